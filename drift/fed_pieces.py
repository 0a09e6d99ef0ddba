"""Which pieces a stream has been fed, so that none counts twice.

What a piece covers is a range of offsets of one source partition, all of whose rows of one window
are in it; another window's piece covers the same range again. So places are kept by window.
"""

from drift.coverage import Range, Source
from drift.sketch import Sketch

Place = tuple[Source, Range]
SourceState = tuple[Source, int, list[tuple[int, int]]]

MAX_WINDOWS = 64
"""Windows of a source that are remembered; pieces of older ones are left out."""

MAX_SOURCES = 1_024
"""Sources remembered, the latest fed: a topic made anew is another source."""

_NEVER = -(2**63)


class FedPieces:
    """How far each window of each source partition was fed.

    Pieces come in the order they were published. One that begins before what was fed of its window
    is a replay, perhaps cut otherwise; as histograms cannot be cut, it is left out with what may be
    new in it.
    """

    def __init__(self) -> None:
        self.n_repeated = 0
        self._reached: dict[Source, dict[int, int]] = {}
        self._forgotten: dict[Source, int] = {}

    def take(self, piece: Sketch) -> Place | None:
        """Where the piece belongs; None, and counted, when it is not to be fed."""
        place = piece.coverage.only_range
        if place is None or not self._is_new(place, piece.key.window_start_ms):
            self.n_repeated += 1
            return None
        return place

    def state(self) -> list[SourceState]:
        """In types that MessagePack has: sources, the least lately fed first."""
        return [
            (source, self._forgotten[source], list(windows.items()))
            for source, windows in self._reached.items()
        ]

    @classmethod
    def of_state(cls, state: list[SourceState]) -> "FedPieces":
        fed = cls()
        for source, forgotten, windows in state:
            fed._reached[source] = dict(windows)
            fed._forgotten[source] = forgotten
        return fed

    def _is_new(self, place: Place, window: int) -> bool:
        source, (begin, end) = place
        if window <= self._forgotten.get(source, _NEVER):
            return False
        windows = self._reached.pop(source, {})
        self._reached[source] = windows
        self._forgotten.setdefault(source, _NEVER)
        if begin < windows.get(window, begin):
            return False
        windows[window] = end
        if len(windows) > MAX_WINDOWS:
            oldest = min(windows)
            del windows[oldest]
            self._forgotten[source] = oldest
        if len(self._reached) > MAX_SOURCES:
            stale = next(iter(self._reached))
            del self._reached[stale], self._forgotten[stale]
        return True
