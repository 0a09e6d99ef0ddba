"""Sending at a chosen rate."""

import time
from collections.abc import Callable

MIN_SLEEP_S = 0.005
"""Shorter sleeps oversleep by more than they wait; events go in bursts of this length instead."""

MAX_CATCH_UP_S = 1.0
"""How much of a stall of the receiving side is made up for; more would come as one long burst."""


class Pacer:
    """Event number n is due n / `rate_per_s` after the first; `rate_per_s` None is flat out."""

    def __init__(
        self,
        rate_per_s: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = 0.0 if rate_per_s is None else 1 / rate_per_s
        self._clock, self._sleep = clock, sleep
        self._due_s = clock()

    def wait(self) -> None:
        """Call before each event; returns when it is due, or at most MIN_SLEEP_S early."""
        if not self._interval_s:
            return
        early_s = self._due_s - self._clock()
        if early_s > MIN_SLEEP_S:
            self._sleep(early_s)
        elif early_s < -MAX_CATCH_UP_S:
            self._due_s += -early_s - MAX_CATCH_UP_S
        self._due_s += self._interval_s
