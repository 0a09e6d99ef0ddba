"""Notices a worker that stands still while there is work; Faust is known to (faust#175, #523,
#629).
"""

from collections.abc import Callable


class Watchdog:
    """`clock` returns seconds and never goes back."""

    def __init__(self, timeout_s: float, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._progress = -1
        self._since = clock()

    def stalled(self, *, progress: int, n_waiting: int) -> bool:
        """Whether `progress` (any count that grows) has stood still for the time-out with work
        waiting.
        """
        now = self._clock()
        if progress != self._progress or n_waiting == 0:
            self._progress, self._since = progress, now
        return now - self._since >= self._timeout_s
