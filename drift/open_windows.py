"""Windows that pieces come in for, until the watermark closes them.

Pieces move the clock of event time by the latest event time they tell of, each its own source
partition's. A piece of a window that has closed is late: it counts nowhere but in `n_late_rows`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from drift.coverage import Source
from drift.merging import Merged, merge_once
from drift.sketch import Sketch
from drift.windows import EventTimeWindows, WindowSettings, WindowsState

MAX_PIECES = 512
"""Pieces of one window, version and segment that are held one by one."""
RECENT_PIECES = 32
"""Of each source partition the newest stay apart: a replay may cut them otherwise (it begins at a
commit, a second or a few flushes ago)."""


class OpenState(msgspec.Struct, frozen=True):
    """What a successor must know besides the pieces: they are read again from `resume_from` on.

    `position`: the first place on the topic that has not moved the clock yet. `closing`: windows
    that are closed and not told yet. `late`: places of pieces that came too late, from
    `resume_from` on.
    """

    windows: WindowsState
    position: int
    resume_from: int
    closing: list[int]
    late: list[int]


@dataclass(slots=True)
class _Window:
    """The pieces of one window by model version and segment, and where its first piece lies."""

    first_place: int
    pieces: dict[tuple[str, str], list[Sketch]] = field(default_factory=dict)


@dataclass(slots=True)
class OpenWindows:
    """Pieces in, closed windows out. `place` is a piece's offset on its topic; places ascend, and
    one that was taken is not taken again. What was sketched for windows of another width, before
    that was changed, counts in `n_foreign_rows` only. Rows of segments are counted with all rows.

    After a restart, `restored` gives a successor of the same clock; the pieces from `resume_from`
    on are then added again, and those before `position` do not move the clock twice.
    """

    windows: EventTimeWindows
    position: int = 0
    n_late_rows: int = 0
    n_foreign_rows: int = 0
    _next: int = 0
    _late: set[int] = field(default_factory=set)
    _open: dict[int, _Window] = field(default_factory=dict)
    _closing: set[int] = field(default_factory=set)

    @classmethod
    def restored(cls, settings: WindowSettings, state: OpenState) -> "OpenWindows":
        """As it was when `state` was taken, but for the pieces."""
        windows = EventTimeWindows(settings, state.windows)
        return cls(
            windows,
            state.position,
            _next=state.resume_from,
            _late=set(state.late),
            _closing=set(state.closing),
        )

    def watch(self, sources: Iterable[Source], now_ms: int) -> None:
        """The source partitions whose pieces come: each holds the clock until it is idle."""
        self.windows.watch(sources, now_ms)

    def alive(self, source: Source, now_ms: int) -> None:
        """`source` is not idle: it has rows that nobody had time to sketch."""
        self.windows.feed(source, np.empty(0, dtype=np.int64), now_ms)

    def add(self, piece: Sketch, place: int, now_ms: int) -> bool:
        """Take a piece; False when its window had closed. `now_ms`: when the broker took it.

        A piece from `position` on is new; one before it was new to a predecessor.
        """
        if place < self._next:
            return False
        self._next = place + 1
        start, end = piece.key.window_start_ms, piece.key.window_end_ms
        if end - start != self.windows.settings.width_ms:
            self.n_foreign_rows += 0 if piece.key.segment else piece.n
            return False
        if place < self.position:  # it moved the clock before a restart
            is_open = start in self._closing or start in self.windows.open_windows
            if place in self._late or not is_open:
                return False
        elif not self._move(piece, place, now_ms):
            self._late.add(place)
            self.n_late_rows += 0 if piece.key.segment else piece.n
            return False
        window = self._open.setdefault(start, _Window(place))
        held = window.pieces.setdefault((piece.key.model_version, piece.key.segment), [])
        held.append(piece)
        if len(held) >= MAX_PIECES:
            held[:] = _thinned(held)
        return True

    def would_close(self, now_ms: int) -> bool:
        """Whether `close` would say so; nothing changes."""
        return bool(self._closing) or self.windows.would_close(now_ms)

    def close(self, now_ms: int) -> bool:
        """Whether there are windows to be told now, those of an earlier call among them."""
        self._closing.update(self.windows.closed(now_ms))
        return bool(self._closing)

    @property
    def closing(self) -> list[int]:
        """Starts of the windows that are closed and not told yet, in time order."""
        return sorted(self._closing)

    def merged(self, start: int) -> dict[tuple[str, str], Merged]:
        """A closing window's sketches by model version and segment, every row once."""
        window = self._open.get(start)
        if window is None:  # its pieces expired while nobody read them
            return {}
        return {key: merge_once(pieces) for key, pieces in sorted(window.pieces.items())}

    def told(self, start: int) -> None:
        """What there is to say of a closing window is said; its pieces are not needed any more."""
        self._closing.discard(start)
        self._open.pop(start, None)

    def state(self) -> OpenState:
        """For `restored`."""
        places = [window.first_place for window in self._open.values()]
        resume_from = min(places, default=self.position)
        self._late = {place for place in self._late if place >= resume_from}
        windows, late = self.windows.state(), sorted(self._late)
        return OpenState(windows, self.position, resume_from, self.closing, late)

    def _move(self, piece: Sketch, place: int, now_ms: int) -> bool:
        self.position = place + 1
        latest = piece.latest_ms if piece.latest_ms is not None else piece.key.window_start_ms
        times = np.array([latest], dtype=np.int64)
        fed = [self.windows.feed(source, times, now_ms) for source in piece.coverage.ranges]
        return any(bool(each.accepted[0]) for each in fed)


def _thinned(pieces: list[Sketch]) -> list[Sketch]:
    """The older ones merged, so that a long window under load is held in bounded memory."""
    n_later: Counter[Source] = Counter()
    older: list[Sketch] = []
    recent: list[Sketch] = []
    for piece in reversed(pieces):
        sources = list(piece.coverage.ranges)
        is_recent = len(sources) == 1 and n_later[sources[0]] < RECENT_PIECES
        (recent if is_recent else older).append(piece)
        n_later.update(sources)
    if len(older) < 2:
        return pieces
    return [merge_once(older).sketch, *reversed(recent)]
