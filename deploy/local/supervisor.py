"""Children in layers: started bottom up, each waited for; stopped top down, each drained."""

import time
from collections.abc import Callable

from deploy.local.process import ManagedProcess, Service
from deploy.local.restarts import RestartPolicy
from deploy.local.state import ProcessInfo, ProcessState
from schemas.errors import ThalwegError
from schemas.settings import LocalSettings

POLL_S = 0.1


class ProcessFailedError(ThalwegError):
    """A process the rest cannot do without; the message has its reason and its last log lines."""


class Stopped(Exception):  # noqa: N818 (not an error: somebody asked to stop while we waited)
    """A stop was asked for during a wait."""


class Supervisor:
    """Owns the child processes. All methods belong to the main thread.

    `stop_requested` ends every wait; `changed` is called after anything happened to a process.
    """

    def __init__(
        self,
        settings: LocalSettings,
        *,
        stop_requested: Callable[[], bool],
        changed: Callable[[tuple[ProcessInfo, ...]], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._stop_requested = stop_requested
        self._changed = changed
        self._sleep = sleep
        self._layers: list[list[ManagedProcess]] = []
        self._seen: tuple[ProcessInfo, ...] = ()

    @property
    def processes(self) -> list[ManagedProcess]:
        return [process for layer in self._layers for process in layer]

    def add_layer(self) -> None:
        """What is started from here on is stopped before everything older."""
        self._layers.append([])

    def start(self, service: Service) -> ManagedProcess:
        """Start a process in the newest layer; `tick` or `wait_healthy` moves it on."""
        policy = RestartPolicy(
            max_restarts=self._settings.max_restarts, window_s=self._settings.restart_window_s
        )
        process = ManagedProcess(
            service,
            policy,
            start_timeout_s=self._settings.start_timeout_s,
            stop_timeout_s=self._settings.stop_timeout_s,
        )
        self._layers[-1].append(process)
        process.start()
        self._notify()
        return process

    def wait_healthy(self, process: ManagedProcess) -> None:
        """Wait for a first start; raises ProcessFailedError when it fails, Stopped on a stop.

        No restarts here: what fails at once fails again, and the reader is waiting for the reason.
        """
        while process.state is ProcessState.STARTING:
            if self._stop_requested():
                raise Stopped
            self._sleep(POLL_S)
            self.tick()
        if process.state is not ProcessState.RUNNING:
            raise ProcessFailedError(process.explain())

    def tick(self) -> None:
        """Move every process on by what happened since the last tick."""
        for process in self.processes:
            process.tick()
        self._notify()

    def stop(self) -> None:
        """Drain and stop everything, newest layer first; what does not drain in time is killed."""
        for layer in reversed(self._layers):
            deadline = time.monotonic() + self._settings.stop_timeout_s
            for process in layer:
                process.request_stop()
            for process in layer:
                process.wait_stopped(deadline)
            self._notify()

    def _notify(self) -> None:
        now = tuple(process.info for process in self.processes)
        if now != self._seen:
            self._seen = now
            self._changed(now)
