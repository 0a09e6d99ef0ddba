"""How long source partitions are waited for that have events of which no piece has come yet."""

from collections.abc import Callable, Iterable

from drift.coverage import Source

Behind = Callable[[int], set[Source]]
"""`Surroundings.behind`."""


class Patience:
    """A partition without pieces is idle only if it has no events: one whose events nobody had
    time to score or sketch is waited for, up to `hold_ms` (processing time) at a stretch.

    Who was fed within `quiet_ms`, half of what makes a partition idle, is not asked about.
    """

    def __init__(self, behind: Behind, *, quiet_ms: int, hold_ms: int) -> None:
        self._behind = behind
        self._quiet_ms = quiet_ms
        self._hold_ms = hold_ms
        self._fed_ms: dict[Source, int] = {}
        self._held_ms: dict[Source, int] = {}

    def watch(self, sources: Iterable[Source], now_ms: int) -> None:
        """Know exactly these, all of them fed just now."""
        self._fed_ms = dict.fromkeys(sources, now_ms)
        self._held_ms.clear()

    def fed(self, source: Source, at_ms: int) -> None:
        """A piece of `source` that the broker took at `at_ms`."""
        self._fed_ms[source] = at_ms
        self._held_ms.pop(source, None)

    def waited_for(self, read_to: int, now_ms: int) -> set[Source]:
        """Those that are not idle at `now_ms` though nothing came of them; `read_to` is how far the
        sketches were read. Asks the cluster, each time: what was so a moment ago closes no window.
        """
        quiet = {s for s, fed_ms in self._fed_ms.items() if now_ms - fed_ms > self._quiet_ms}
        behind = quiet & self._behind(read_to) if quiet else set()
        self._held_ms = {source: self._held_ms.get(source, now_ms) for source in behind}
        return {s for s, held_ms in self._held_ms.items() if now_ms - held_ms < self._hold_ms}
