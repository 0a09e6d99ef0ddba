"""Event-time windows that close by watermark.

Each source partition has read as far as its latest event time. The frontier is the earliest of
these over the partitions that are active; the watermark lies `allowed_lateness_ms` behind it, and a
window closes when the watermark reaches its end. Times are int64 ms; event times may lie years back
(replayed history), processing time is an argument. (Akidau et al., The Dataflow Model, 2015.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.coverage import Source

Times = NDArray[np.int64]

_NEVER = -(2**63)
"""Before every time: the frontier of a partition without rows, and of no partitions."""

_EARLIEST = -(2**62)
"""Event times before this (146 million years ago) are taken as this; starts then fit int64."""


class WindowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`width_ms` of a window, which begin at multiples of it since 1970.

    `allowed_lateness_ms`: how long a window stays open after the frontier has passed its end.
    `idle_timeout_ms`: a partition not fed for so long (processing time) does not hold the watermark
    any more. `max_ahead_ms`: an event time further ahead of processing time is not believed.
    """

    width_ms: int
    allowed_lateness_ms: int = 0
    idle_timeout_ms: int = 60_000
    max_ahead_ms: int = 60_000

    def __post_init__(self) -> None:
        if self.width_ms < 1:
            raise ValueError(f"a window is at least a millisecond wide, not {self.width_ms}")
        if min(self.allowed_lateness_ms, self.idle_timeout_ms, self.max_ahead_ms) < 0:
            raise ValueError("lateness, idle timeout and allowance for clocks are not negative")


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Where the rows of one batch belong.

    `starts`: int64[n], the start of each row's window. `accepted`: bool[n]; the others count
    nowhere: they came after their window had closed (`n_dropped`) or from the future (`n_ahead`).
    `n_late` accepted rows came after the frontier had passed their window's end.
    """

    starts: Times
    accepted: NDArray[np.bool_]
    n_late: int
    n_dropped: int
    n_ahead: int

    def windows(self) -> Iterable[tuple[int, NDArray[np.intp]]]:
        """Each window that got rows, in time order: its start, and the places of its rows."""
        places = np.flatnonzero(self.accepted)
        starts = self.starts[places]
        for start in np.unique(starts).tolist():
            yield start, places[starts == start]


class _Partition(msgspec.Struct):
    frontier: int
    fed_at_ms: int


class WindowsState(msgspec.Struct, frozen=True):
    """What a restarted worker needs to go on: it can be stored as MessagePack or JSON."""

    partitions: list[tuple[Source, int, int]]
    frontier: int
    open: list[int]


class EventTimeWindows:
    """Assigns rows to tumbling windows and says which windows are closed.

    The windows' rows do not depend on how partitions' rows are cut into batches; nor, while none
    are dropped, on how partitions interleave. For that every partition that will be read must be
    named by `watch` first: one that is not known yet cannot hold the watermark.
    """

    def __init__(self, settings: WindowSettings, state: WindowsState | None = None) -> None:
        self.settings = settings
        self._partitions: dict[Source, _Partition] = {}
        self._frontier = _NEVER
        self._open: set[int] = set()
        if state is not None:
            self._partitions = {s: _Partition(latest, fed) for s, latest, fed in state.partitions}
            self._frontier = state.frontier
            self._open = set(state.open)

    def state(self) -> WindowsState:
        """For the constructor of a successor."""
        return WindowsState(
            [(s, p.frontier, p.fed_at_ms) for s, p in sorted(self._partitions.items())],
            self._frontier,
            sorted(self._open),
        )

    def watch(self, partitions: Iterable[Source], now_ms: int) -> None:
        """Read exactly these `partitions` from now on; known ones keep their place.

        A new one holds the watermark until its first row, or until it is idle.
        """
        self._partitions = {
            source: self._partitions.get(source) or _Partition(_NEVER, now_ms)
            for source in partitions
        }

    def feed(self, source: Source, event_times: Times, now_ms: int) -> Assignment:
        """Assign one batch of `source`, int64[n] ms in the order of its offsets.

        No rows means that `source` is alive: it has rows waiting that nobody had time to read.
        """
        times = np.maximum(np.asarray(event_times, dtype=np.int64), _EARLIEST)
        held_by_others = self._advance(now_ms, apart_from=source)
        partition = self._partitions.setdefault(source, _Partition(_NEVER, now_ms))
        partition.fed_at_ms = max(partition.fed_at_ms, now_ms)
        believed = times <= now_ms + self.settings.max_ahead_ms
        latest = np.maximum.accumulate(
            np.concatenate([[partition.frontier], np.where(believed, times, _NEVER)])
        )
        # What was known before each row came, so that cuts of batches make no difference.
        frontier = np.maximum(np.minimum(latest, held_by_others), self._frontier)
        before = frontier[:-1]
        starts = times - times % self.settings.width_ms
        ends = starts + self.settings.width_ms
        is_open = ends > _earlier(before, self.settings.allowed_lateness_ms)
        accepted = believed & is_open
        partition.frontier = int(latest[-1])
        self._frontier = int(frontier[-1])
        self._open.update(np.unique(starts[accepted]).tolist())
        return Assignment(
            starts=starts,
            accepted=accepted,
            n_late=int(np.count_nonzero(accepted & (ends <= before))),
            n_dropped=int(np.count_nonzero(believed & ~is_open)),
            n_ahead=int(np.count_nonzero(~believed)),
        )

    def closed(self, now_ms: int) -> list[int]:
        """Starts of the windows with rows that have closed since the last call, in time order."""
        self._frontier = max(self._frontier, self._advance(now_ms))
        watermark = self.watermark_ms
        done = sorted(s for s in self._open if s + self.settings.width_ms <= watermark)
        self._open.difference_update(done)
        return done

    def would_close(self, now_ms: int) -> bool:
        """Whether `closed` would name a window; nothing changes."""
        frontier = max(self._frontier, self._advance(now_ms))
        watermark = frontier - self.settings.allowed_lateness_ms
        return any(start + self.settings.width_ms <= watermark for start in self._open)

    def flush(self) -> list[int]:
        """Close every open window: the input has ended. Their starts in time order."""
        done = sorted(self._open)
        if done:
            end = done[-1] + self.settings.width_ms + self.settings.allowed_lateness_ms
            self._frontier = max(self._frontier, end)
        self._open.clear()
        return done

    @property
    def watermark_ms(self) -> int:
        """No window that ends at or before this takes rows any more; -2**63 before any row."""
        if self._frontier == _NEVER:
            return _NEVER
        return self._frontier - self.settings.allowed_lateness_ms

    @property
    def open_windows(self) -> list[int]:
        """Starts of the windows that have rows and are open, in time order.

        Many of them mean that a partition is far ahead of the others: pause it (`ahead_ms`).
        """
        return sorted(self._open)

    def ahead_ms(self, source: Source) -> int:
        """How far `source` is ahead of the frontier in event time; 0 when that is unknown."""
        partition = self._partitions.get(source)
        if partition is None or _NEVER in (partition.frontier, self._frontier):
            return 0
        return max(0, partition.frontier - self._frontier)

    def _advance(self, now_ms: int, apart_from: Source | None = None) -> int:
        """The earliest latest event time of the active partitions, `apart_from` one.

        When all partitions are idle there is nothing to wait for: the latest event time of any.
        Without other partitions: the end of time.
        """
        oldest = now_ms - self.settings.idle_timeout_ms
        active = [
            partition.frontier
            for source, partition in self._partitions.items()
            if source != apart_from and partition.fed_at_ms > oldest
        ]
        if active:
            return min(active)
        if apart_from is not None:
            return 2**63 - 1
        return max((p.frontier for p in self._partitions.values()), default=_NEVER)


def _earlier(times: Times, by_ms: int) -> Times:
    """`times - by_ms` where that is a time; `_NEVER` stays."""
    return np.where(times == _NEVER, _NEVER, times - by_ms)
