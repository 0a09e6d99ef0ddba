"""Frames in, pieces of windows out. Pure: no broker, no clock.

A piece is a sketch of one model version's rows of one window, all of them or those of a segment, in
one contiguous range of one source partition. What it covers is the whole range, so that the
detector can put pieces of any number of workers together and count each offset once
(`drift.merging`), whoever replays what.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from drift.columns import Columns
from drift.coverage import Coverage, Range, Source
from drift.row_sample import hash_places
from drift.segments import Segment
from drift.sketch import Sketch, SketchKey
from schemas.frames import Frame
from stream_processors.sketch_drift.rows import (
    Longs,
    VersionRows,
    hash_row_entities,
    join,
    split_by_version,
)

MAX_SAMPLE_BYTES = 128 * 1024
"""A sketch with its sample, counts and entities stays below the topic's message limit."""

MAX_WINDOWS = 10_000
"""Windows of a source partition, each of its segments counting, whose coverage is remembered (1
MB)."""

_EARLIEST_MS = -(2**62)
"""As in drift.windows: the start of a window must fit int64."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched of a model version: the reference's columns, the score last, whether its
    rows have entities, and the segments that have pieces of their own beside those of all rows.
    """

    columns: Columns
    has_entities: bool
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """What every piece has in common. Pieces of different shapes do not merge."""

    pipeline: str
    window_ms: int
    max_ahead_ms: int
    entity_limit: int
    sample_rows: int


@dataclass(slots=True)
class Tally:
    """Rows since it was made: in pieces (of all rows) by version, and those left out."""

    sketched: dict[str, int] = field(default_factory=dict)
    n_no_reference: int = 0
    n_ahead: int = 0
    n_repeated: int = 0
    n_gaps: int = 0


@dataclass(slots=True)
class _Progress:
    """How far one source partition was read, and which of it pieces answer for.

    `reached`: the next offset. A window and segment without an entry in `covered_to` has had no
    rows from `floor` on (of a version with an entry in `floors`: from there on).
    """

    reached: int
    floor: int
    covered_to: dict[tuple[str, int, str], int] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)

    def restart(self, offset: int) -> None:
        """Nothing before `offset` is answered for by pieces to come."""
        self.reached = self.floor = offset
        self.covered_to.clear()
        self.floors.clear()

    def cover(self, version: str, window: int, segment: str) -> Range:
        """What the next piece of a window and segment answers for: up to `reached`, all since the
        one before it, where there were no rows of these.
        """
        key, end = (version, window, segment), self.reached
        begin = self.covered_to.get(key, self.floors.get(version, self.floor))
        self.covered_to[key] = end
        return begin, end

    def skip(self, version: str) -> None:
        """Rows of `version` up to `reached` are in no piece: none may answer for them."""
        self.floors[version] = self.reached
        for key in [key for key in self.covered_to if key[0] == version]:
            del self.covered_to[key]


class Gatherer:
    """Cuts frames into pieces. `watched` says what is known of a version, None for nothing.

    Frames of a source partition come in order; where a scorer has repeated some, their offsets are
    taken once, and where some are missing, the pieces after it do not answer for those.
    """

    def __init__(self, shape: Shape, watched: Callable[[str], Watched | None]) -> None:
        self._shape = shape
        self._watched = watched
        self._progress: dict[Source, _Progress] = {}
        self.tally = Tally()

    def take_tally(self) -> Tally:
        """What was counted since the last call."""
        tally, self.tally = self.tally, Tally()
        return tally

    def resume(self, source: Source, reached: int) -> None:
        """Offsets of `source` below `reached` are in pieces of a predecessor."""
        self._progress[source] = _Progress(reached, reached)

    def cut(self, frames: Sequence[Frame]) -> Iterator[Sketch]:
        """The pieces of all rows of `frames`; take all of them before the next call."""
        by_source: dict[Source, list[Frame]] = {}
        for frame in frames:
            source = (frame.header.source_topic_id, frame.header.source_partition)
            by_source.setdefault(source, []).append(frame)
        for source, own in by_source.items():
            for run in self._runs(source, own):
                yield from self._pieces(source, run)

    def _runs(self, source: Source, frames: Sequence[Frame]) -> Iterator[list[tuple[Frame, int]]]:
        """Frames that join up, each with the first of its offsets that is new."""
        start = frames[0].header.covers_from
        progress = self._progress.setdefault(source, _Progress(start, start))
        run: list[tuple[Frame, int]] = []
        for frame in frames:
            header = frame.header
            if header.covers_from > progress.reached:
                if run:
                    yield run
                    run = []
                self.tally.n_gaps += 1
                progress.restart(header.covers_from)
            if header.covers_from < progress.reached:
                offsets = frame.rows.column("source_offset").to_numpy()
                self.tally.n_repeated += int(np.searchsorted(offsets, progress.reached))
            if header.covers_to > progress.reached:
                run.append((frame, progress.reached))
                progress.reached = header.covers_to
        if run:
            yield run

    def _pieces(self, source: Source, run: list[tuple[Frame, int]]) -> Iterator[Sketch]:
        progress = self._progress[source]
        for version, parts in split_by_version(run):
            watched = self._watched(version)
            width = len(watched.columns) if watched is not None else -1
            fitting = all(part.matrix.shape[1] == width for part in parts)
            if watched is None or not fitting:
                self.tally.n_no_reference += sum(map(len, parts))
                progress.skip(version)
                continue
            rows = join(parts)
            for start, places in self._windows(rows):
                own = rows if places is None else rows.at(places)
                self.tally.sketched[version] = self.tally.sketched.get(version, 0) + len(own)
                for segment, part in _segments(watched, own):
                    covers = Coverage.of({source: [progress.cover(version, start, segment)]})
                    key = self._key(version, start, segment, watched.columns)
                    yield self._piece(key, covers, source, watched, part)
        if len(progress.covered_to) > MAX_WINDOWS or len(progress.floors) > MAX_WINDOWS:
            progress.restart(progress.reached)

    def _windows(self, rows: VersionRows) -> Iterator[tuple[int, Longs | None]]:
        """Each window with rows, in time order: its start, and the places of its rows (None: all).

        Whether an event time is believed is decided by what the row itself says: a replay must cut
        the same rows.
        """
        times = np.maximum(rows.event_times_ms, _EARLIEST_MS)
        ahead = times > rows.append_times_ms + self._shape.max_ahead_ms
        self.tally.n_ahead += int(np.count_nonzero(ahead))
        starts = times - times % self._shape.window_ms
        if not ahead.any() and starts.min() == starts.max():
            yield int(starts[0]), None
            return
        believed = np.flatnonzero(~ahead)
        order = believed[np.argsort(starts[believed], kind="stable")]
        ordered = starts[order]
        bounds = np.flatnonzero(np.diff(ordered)) + 1
        for places in np.split(order, bounds):
            if len(places):
                yield int(starts[places[0]]), places

    def _key(self, version: str, start: int, segment: str, columns: Columns) -> SketchKey:
        end = start + self._shape.window_ms
        return SketchKey(self._shape.pipeline, version, start, end, segment, columns.fingerprint)

    def _piece(
        self, key: SketchKey, covers: Coverage, source: Source, watched: Watched, rows: VersionRows
    ) -> Sketch:
        columns = watched.columns
        entity_limit = self._shape.entity_limit if watched.has_entities else 0
        fitting = max(1, MAX_SAMPLE_BYTES // (4 * len(columns)))
        sample_limit = min(self._shape.sample_rows, fitting)
        empty = Sketch.empty(columns, key, entity_limit=entity_limit, sample_limit=sample_limit)
        return empty.update(
            columns,
            rows.matrix,
            covers,
            hash_row_entities(rows, source) if entity_limit else None,
            hash_places(source, rows.offsets) if sample_limit else None,
            latest_ms=int(rows.event_times_ms.max()),
        )


def _segments(watched: Watched, rows: VersionRows) -> Iterator[tuple[str, VersionRows]]:
    """All `rows`, named "", then those of each segment that has some."""
    yield "", rows
    for segment in watched.segments:
        places = segment.places(rows.matrix)
        if len(places):
            yield segment.name, rows.at(places)
