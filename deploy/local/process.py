"""One supervised process: started, watched until healthy, restarted with back-off, stopped."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from deploy.local.children import last_lines, signal_group, spawn, started_at
from deploy.local.restarts import RestartPolicy
from deploy.local.state import ProcessInfo, ProcessState
from schemas.errors import ThalwegError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What to run, and how to tell that it works. `prepare` runs before every start."""

    name: str
    command: list[str]
    log_file: Path
    healthy: Callable[[], bool]
    prepare: Callable[[], None] = field(default=lambda: None)
    environment: Mapping[str, str] | None = None


class ManagedProcess:
    """A small state machine that `tick` moves on; it never blocks except in `wait_stopped`."""

    def __init__(
        self,
        service: Service,
        policy: RestartPolicy,
        *,
        start_timeout_s: float,
        stop_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.state = ProcessState.STOPPED
        self.reason = ""
        self._policy = policy
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0
        self._restarts = 0
        self._due = 0.0
        self._replacing = False

    @property
    def info(self) -> ProcessInfo:
        alive = self._process is not None
        return ProcessInfo(
            name=self.service.name,
            pid=self._process.pid if self._process else 0,
            started=self._started if alive else 0,
            state=self.state,
            restarts=self._restarts,
            reason=self.reason,
        )

    def start(self) -> None:
        """Prepare and spawn; what goes wrong counts as an end like any other. Main thread only."""
        try:
            self.service.prepare()
            self._process = spawn(
                self.service.command,
                log_file=self.service.log_file,
                environment=self.service.environment,
            )
        except (ThalwegError, OSError) as error:
            self._ended(str(error))
            return
        self._started = started_at(self._process.pid)
        self.state = ProcessState.STARTING
        self._due = self._clock() + self._start_timeout_s

    def tick(self) -> None:
        """Notice what happened since the last call and act on it."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self._process = None
            if self._replacing:
                self._replacing = False
                self.start()
            else:
                self._ended(_how_it_ended(status))
        elif self._replacing and self._clock() >= self._due:
            assert self._process is not None
            signal_group(self._process.pid, signal.SIGKILL)
        elif self.state is ProcessState.STARTING:
            self._check_start()
        elif self.state is ProcessState.BACKING_OFF and self._clock() >= self._due:
            self._restarts += 1
            log.info("process_restarting", name=self.service.name, restarts=self._restarts)
            self.start()

    def replace(self) -> None:
        """Drain and start again on purpose: not counted as a failure."""
        if self._process is None:
            self.start()
            return
        self._replacing = True
        self.state = ProcessState.STOPPED
        self._due = self._clock() + self._stop_timeout_s
        signal_group(self._process.pid, signal.SIGTERM)

    def request_stop(self) -> None:
        """Ask it to drain; it is not started again."""
        self.state = ProcessState.STOPPED
        self._replacing = False
        if self._process is not None:
            signal_group(self._process.pid, signal.SIGTERM)

    def wait_stopped(self, deadline: float) -> None:
        """Wait until it has drained, at most until `deadline` of the clock, then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - self._clock()))
        except subprocess.TimeoutExpired:
            log.warning("process_killed", name=self.service.name, reason="did not stop in time")
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def explain(self) -> str:
        """The reason of its end and the last lines it wrote."""
        lines = last_lines(self.service.log_file)
        text = f"{self.service.name}: {self.reason or self.state}"
        if not lines:
            return text
        return "\n".join([f"{text}; the end of {self.service.log_file}:", *lines])

    def _check_start(self) -> None:
        if self.service.healthy():
            self.state = ProcessState.RUNNING
            self.reason = ""
            log.info("process_healthy", name=self.service.name)
        elif self._clock() >= self._due:
            assert self._process is not None
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            self._ended(f"not healthy within {self._start_timeout_s:g} s of its start")

    def _ended(self, reason: str) -> None:
        self._started = 0
        self.reason = reason
        now = self._clock()
        delay_s = self._policy.delay_s(now)
        if delay_s is None:
            self.state = ProcessState.FAILED
            log.error("process_given_up", name=self.service.name, reason=reason)
            return
        self.state = ProcessState.BACKING_OFF
        self._due = now + delay_s
        log.warning("process_ended", name=self.service.name, reason=reason, retry_in_s=delay_s)


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exited with status {status}"
