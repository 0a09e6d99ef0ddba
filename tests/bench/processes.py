"""Child processes on chosen cores, their memory, and their certain end."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.children import last_lines, signal_group, spawn

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20


class RunFailed(Exception):
    """A contender that could not be measured; the message is shown in its row."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The broker's core, shared with the generator and the observer, and the contender's own."""

    broker: int
    worker: int

    @classmethod
    def choose(cls) -> "Cores":
        """The first two cores we may use; the same one twice where there is only one."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[0], allowed[min(1, len(allowed) - 1)])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run the body, and keep every process started in it, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Child:
    """A process of the bench, in a group of its own."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self.name, self.log_file = name, log_file
        self._process = process

    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise RunFailed, with the last words of its log, when it has ended."""
        status = self.ended()
        if status is not None:
            raise RunFailed(f"exited with {status}: {self.last_words()}")

    def last_words(self) -> str:
        lines = [line.strip(" │╰─╯") for line in last_lines(self.log_file, 30)]
        return next((line for line in reversed(lines) if line), "nothing in its log")

    def wait(self, timeout_s: float) -> int:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RunFailed(f"{self.name} did not end within {timeout_s:.0f} s") from error

    def rss_mib(self) -> float:
        """Resident memory now; 0 when it is gone."""
        return self._status_kib("VmRSS") / 1024

    def peak_rss_mib(self) -> float:
        """The kernel's own high-water mark, which sampling would miss."""
        return self._status_kib("VmHWM") / 1024

    def cpu_s(self) -> float:
        """Processor time it has used so far, user and system; 0 when it is gone."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL, as a crash: it gets to tidy up nothing."""
        signal_group(self._process.pid, signal.SIGKILL)
        self.wait(10.0)

    def stop(self, grace_s: float = 10.0) -> None:
        """SIGTERM, and SIGKILL for what is still there after `grace_s`."""
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
            if self.ended() is not None:
                break
            signal_group(self._process.pid, number)
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
        # A leader may end before what it started.
        signal_group(self._process.pid, signal.SIGKILL)

    def _status_kib(self, field: str) -> float:
        try:
            text = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        for line in text.splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1])
        return 0.0


class Children:
    """Everything the bench has started; `stop_all` ends it whatever happened."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: list[Child] = []
        self._n_started = 0

    def start(
        self, name: str, command: list[str], core: int, environment: Mapping[str, str] | None = None
    ) -> Child:
        """Start a process on one core, its output in a log file of its own."""
        self._n_started += 1
        log_file = self._log_dir / f"{self._n_started:03d}-{name}.log"
        with on_core(core):
            process = spawn(
                command,
                log_file=log_file,
                environment={**clean_environment(), **(environment or {})},
            )
        child = Child(name, process, log_file)
        self._running.append(child)
        return child

    def stop(self, child: Child, grace_s: float = 10.0) -> None:
        child.stop(grace_s)
        if child in self._running:
            self._running.remove(child)

    def stop_all(self) -> None:
        while self._running:
            self._running.pop().stop(grace_s=3.0)


def clean_environment() -> dict[str, str]:
    """Ours without any setting of a deployment, one thread for numeric libraries."""
    kept = {name: v for name, v in os.environ.items() if not name.upper().startswith("THALWEG_")}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
