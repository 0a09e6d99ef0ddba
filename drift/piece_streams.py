"""ADWIN on the mean of the score and of every feature, fed by pieces of windows as they come.

Pieces have tens to 50,000 rows; ADWIN wants items that are alike. Each column's values are counted
off into items of a fixed number of rows (`drift.mean_scale`). Of rows that fill one, what falls on
either side of the cut is not known, but its law is: given the sum of n rows, the sums of its parts
are, for rows whose sums are Pearson III (a gamma with its origin moved: the normal, and skewed ones
alike), the whole times Dirichlet shares. They are drawn so, from a generator seeded by the place of
the rows. ADWIN then gets what it would have got from the rows themselves, whatever the pieces'
sizes: items of one variance, whose mean does not move with the traffic.

Pieces of several source partitions that come together are of one stretch of time, and hang together
where its rows do. They count as one: a round lasts until a source comes again. (Fed one by one,
AR(1) rows of three partitions raised 3 times the stated alarms.)
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.alert_signals import Signal
from drift.column_watch import ColumnWatch, StreamAlarm, WatchState, adwin_of_items
from drift.columns import Columns
from drift.families import StatedRate
from drift.fed_pieces import FedPieces, SourceState
from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.mean_scale import MeanScale, RestlessError, measure_mean
from drift.piece_items import Round, RoundState, generator_of, item_parts, share_out
from drift.reference import Reference
from drift.sketch import Sketch

Floats = NDArray[np.float64]

FEW = 0.01
"""Columns that their own reference may leave unwatched by chance, at a quick stated rate."""


class PieceStreams:
    """Watches the mean of every column of one model version, in one segment of its rows.

    Alarms of all columns together come once in `rate.sequential_arl0` windows of `window_rows`
    rows while nothing drifts: one family's part of the stated rate. `restless` are the columns
    that are left alone, and why; `moody` is added to them: columns that move for longer than
    windows (`drift.moods`), which ADWIN would take for drift. Pieces come in the order of their
    topic, each range of a source partition and window counted once (`drift.fed_pieces`).
    """

    def __init__(
        self,
        reference: Reference,
        *,
        rate: StatedRate,
        window_rows: int,
        moody: Collection[str] = (),
    ) -> None:
        self._reference = reference
        self._built = {
            "reference": reference.fingerprint,
            "arl0": rate.sequential_arl0,
            "window_rows": window_rows,
            "moody": sorted(moody),
        }
        self.restless = dict.fromkeys(moody, "its reference moves for longer than windows")
        self._watched = self._build(rate.sequential_arl0 * window_rows, window_rows)
        self._columns = np.array([each.column for each in self._watched], dtype=np.intp)
        self._item_rows = np.array([w.scale.item_rows for w in self._watched], dtype=np.int64)
        self._row_std = np.array([each.scale.row_std for each in self._watched])
        self._level = np.array([each.scale.level for each in self._watched])
        self._by_bins, self._scores = _scores(self._watched, reference.columns)
        self._offsets = reference.columns.offsets[:-1]
        self._fed = FedPieces()
        self._round: Round | None = None
        # The item that is being filled: its values, their distance from the mean, where it began.
        self._rows = np.zeros(len(self._watched), dtype=np.int64)
        self._sums = np.zeros(len(self._watched))
        self._begun_ms = np.zeros(len(self._watched), dtype=np.int64)

    @property
    def n_repeated(self) -> int:
        """Pieces left out since the start: they overlap what was fed, or cover no one range."""
        return self._fed.n_repeated

    def update(self, piece: Sketch) -> list[StreamAlarm]:
        """Take one piece; what is told after the round that it ends, by column, oldest first.

        Raises ValueError for a piece over other columns than the reference's.
        """
        if piece.key.columns != self._reference.columns.fingerprint:
            raise ValueError("the piece is over other columns than the reference")
        place = self._fed.take(piece)
        if place is None:
            return []
        alarms: list[StreamAlarm] = []
        if self._round is not None and place[0] in self._round.sources:
            alarms = self._end_round(self._round)
            self._round = None
        n = piece.summary.n_finite[self._columns]
        sums = n * (piece.summary.shift[self._columns] - self._level)
        if len(self._by_bins):
            scored = np.add.reduceat(piece.summary.counts * self._scores, self._offsets)
            sums[self._by_bins] = scored[self._columns[self._by_bins]]
        sums /= self._row_std
        if self._round is None:
            self._round = Round.begin(place, piece.key.window_start_ms, n, sums)
        else:
            self._round.add(place[0], n, sums)
        return alarms

    def encode(self) -> bytes:
        """The whole state; `decode` gives one that goes on as this one would have."""
        state = _State(
            built=self._built,
            fed=self._fed.state(),
            round=None if self._round is None else self._round.state(),
            item=(self._rows.tolist(), self._sums.tolist(), self._begun_ms.tolist()),
            columns=[each.state() for each in self._watched],
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def decode(
        cls,
        data: bytes,
        reference: Reference,
        *,
        rate: StatedRate,
        window_rows: int,
        moody: Collection[str] = (),
    ) -> "PieceStreams":
        """The streams of `encode`; raises ValueError for anything else: another reference, rate or
        window, or a state of ADWIN's that another version of river kept."""
        streams = cls(reference, rate=rate, window_rows=window_rows, moody=moody)
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not streams of pieces: {error}") from error
        if state.built != streams._built:
            raise ValueError(f"streams built with {state.built}, not {streams._built}")
        streams._fed = FedPieces.of_state(state.fed)
        if state.round is not None:
            streams._round = Round.of_state(state.round)
        streams._rows[:], streams._sums[:], streams._begun_ms[:] = state.item
        for watch, kept in zip(streams._watched, state.columns, strict=True):
            watch.load(kept)
        return streams

    def _build(self, arl0_rows: float, window_rows: int) -> list[ColumnWatch]:
        scales: dict[int, MeanScale] = {}
        for i, name in enumerate(self._reference.columns.names):
            if name in self.restless:
                continue
            try:
                scales[i] = measure_mean(self._reference, i, window_rows)
            except RestlessError as error:
                self.restless[name] = str(error)
        watched = []
        for i, scale in scales.items():
            n_reference = int(self._reference.summary.n_finite[i]) / scale.item_rows
            arl0 = arl0_rows * len(scales) * n_reference / self._reference.n
            slow_enough = max(arl0, len(scale.blocks) / FEW)
            if adwin_of_items(slow_enough).update(scale.blocks):
                name = self._reference.columns.names[i]
                self.restless[name] = "its own reference raises alarms"
                continue
            watched.append(ColumnWatch(i, scale, n_reference, adwin_of_items(arl0)))
        return watched

    def _end_round(self, done: Round) -> list[StreamAlarm]:
        start = done.window_start_ms
        self._begun_ms[(self._rows == 0) & (done.n > 0)] = start
        had_rows, had_sums = self._rows, self._sums
        self._rows, self._sums = had_rows + done.n, had_sums + done.sums
        full = np.flatnonzero(self._rows >= self._item_rows)
        if not len(full):
            return []
        rng = generator_of(done.source, start, done.offsets)
        alarms = []
        for i in full.tolist():
            watch = self._watched[i]
            parts = item_parts(int(done.n[i]), int(had_rows[i]), watch.scale.item_rows)
            sums = share_out(float(done.sums[i]), parts, watch.scale.row_skewness, rng)
            sums[0] += had_sums[i]
            self._rows[i], self._sums[i] = parts[-1], sums[-1]
            alarms += watch.feed(sums[:-1], int(self._begun_ms[i]), start)
            self._begun_ms[i] = start
        return alarms


class _State(msgspec.Struct, frozen=True):
    built: dict[str, Any]
    fed: list[SourceState]
    round: RoundState | None
    item: tuple[list[int], list[float], list[int]]
    columns: list[WatchState]


def stream_signals(
    alarms: Iterable[StreamAlarm],
    names: Sequence[str],
    subjects: Sequence[Subject],
    bands: AlertBands,
    *,
    scales: Mapping[str, float] | None = None,
) -> tuple[Signal, ...]:
    """The alarms of a window, one signal a column, in the order of columns: an alert before a
    notice, then the one furthest beyond its threshold.

    `names` and `subjects` are the reference's columns; `scales`, by name, are in place of the
    columns' standard deviations.
    """
    strongest: dict[int, Signal] = {}
    for alarm in alarms:
        subject, name = subjects[alarm.column], names[alarm.column]
        level = bands.level(subject, alarm.result, scale=(scales or {}).get(name, alarm.scale))
        signal = Signal(subject, name, level, alarm.result, change_point_ms=alarm.change_point_ms)
        before = strongest.get(alarm.column)
        if before is None or _strength(signal) > _strength(before):
            strongest[alarm.column] = signal
    return tuple(strongest[column] for column in sorted(strongest))


def _strength(signal: Signal) -> tuple[bool, float]:
    return signal.level is Level.ALERT, signal.result.statistic / signal.result.threshold


def _scores(watched: Sequence[ColumnWatch], columns: Columns) -> tuple[NDArray[np.intp], Floats]:
    """Places in `watched` of those by bins, and what bins count for, float64[n_bins]."""
    scores = np.zeros(columns.n_bins)
    places = []
    for place, watch in enumerate(watched):
        if watch.scale.scores is not None:
            columns.of(scores, watch.column)[:] = watch.scale.scores
            places.append(place)
    return np.array(places, dtype=np.intp), scores
