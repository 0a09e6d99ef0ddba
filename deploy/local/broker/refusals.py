"""One line for each connection that is refused, and few lines for many of them."""

from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

_PERIOD_S = 1.0
LINES = 10


class Refusals:
    """Logs at most 10 refusals a second, and then how many more there were."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._period_ends = clock() + _PERIOD_S
        self._seen = 0

    def note(self, client: str, reason: str) -> None:
        """A connection from `client` is closed for `reason`."""
        self.tick()
        self._seen += 1
        if self._seen <= LINES:
            log.warning("request_refused", client=client, reason=reason)

    def tick(self) -> None:
        """Say what was left out, once the period is over."""
        if self._clock() < self._period_ends:
            return
        if self._seen > LINES:
            log.warning("more_requests_refused", n=self._seen - LINES)
        self._seen = 0
        self._period_ends = self._clock() + _PERIOD_S
