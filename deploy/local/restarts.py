"""When to start a process again that ended by itself, and when to stop trying."""

from collections import deque

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 10.0


class RestartPolicy:
    """At most `max_restarts` within any `window_s` seconds, each waiting twice as long as the last.

    A process that then runs for a whole window starts over with the shortest wait.
    """

    def __init__(self, *, max_restarts: int, window_s: float) -> None:
        self._max_restarts = max_restarts
        self._window_s = window_s
        self._recent: deque[float] = deque()

    def delay_s(self, now: float) -> float | None:
        """How long to wait before the restart after an end at `now`; None: give up."""
        while self._recent and self._recent[0] <= now - self._window_s:
            self._recent.popleft()
        if len(self._recent) >= self._max_restarts:
            return None
        delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** len(self._recent))
        self._recent.append(now)
        return float(delay)
