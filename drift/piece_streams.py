"""ADWIN on the mean of the score and of every feature, fed by pieces of windows as they come.

Pieces have tens to 50,000 rows; ADWIN wants items that are alike. Each column's values are counted
off into items of a fixed number of rows (`drift.mean_scale`). Of a piece that fills one, what falls
on either side of the cut is not known, but its law is: given the sum of n rows, the sums of its
parts are, for rows whose sums are Pearson III (a gamma with its origin moved: the normal, and
skewed ones alike), the whole times Dirichlet shares. They are drawn so, from a generator seeded by
the piece. ADWIN then gets what it would have got from the rows themselves, whatever the pieces'
sizes: items of one variance, whose mean does not move with the traffic.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from drift.alert_signals import Signal
from drift.coverage import Source
from drift.families import StatedRate
from drift.fed_pieces import FedPieces, Place
from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.mean_scale import MeanScale, RestlessError, measure_mean
from drift.reference import Reference
from drift.result import Result
from drift.sketch import Sketch
from drift.stream.adwin import Adwin
from drift.stream.baseline import Baseline
from drift.stream.contract import State
from drift.stream.history import N_KEPT

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

MIN_ARL0_ITEMS = 50.0
"""ADWIN has no quicker rate."""

MIN_SKEWNESS = 0.01
"""Of a row: less is drawn as this much, which no test tells from none."""


@dataclass(frozen=True, slots=True)
class StreamAlarm:
    """ADWIN's alarm on the mean of a column, raised by a piece of the window that begins at
    `window_start_ms`.

    The result's effect is in the column's unit, its sizes are finite values; `scale` is the
    reference's standard deviation of a value, for `AlertBands.level`. `change_point_ms` is the
    start of the window that the change is estimated to lie in.
    """

    column: int
    result: Result
    scale: float
    window_start_ms: int
    change_point_ms: int


@dataclass(slots=True)
class _Watch:
    """One column's detector; `begun_ms` are the windows in which its latest items began."""

    column: int
    scale: MeanScale
    detector: Adwin
    begun_ms: deque[int] = field(default_factory=lambda: deque(maxlen=N_KEPT))


class PieceStreams:
    """Watches the mean of every column of one model version, segment by segment of its own.

    Alarms of all columns together come once in `rate.sequential_arl0` windows of `window_rows`
    rows while nothing drifts: one family's part of the stated rate. `restless` are the columns
    that are left alone, and why. Pieces come in the order of their topic, each range of a source
    partition and window counted once (`drift.fed_pieces`).
    """

    def __init__(self, reference: Reference, *, rate: StatedRate, window_rows: int) -> None:
        self._reference = reference
        self._built = {
            "reference": reference.fingerprint,
            "arl0": rate.sequential_arl0,
            "window_rows": window_rows,
        }
        self._fed = FedPieces()
        self.restless: dict[str, str] = {}
        self._watched = self._build(rate.sequential_arl0 * window_rows, window_rows)
        self._columns = np.array([each.column for each in self._watched], dtype=np.intp)
        self._item_rows = np.array([w.scale.item_rows for w in self._watched], dtype=np.int64)
        self._row_std = np.array([each.scale.row_std for each in self._watched])
        self._level = reference.summary.shift[self._columns]
        # The item that is being filled: its values, their distance from the mean, where it began.
        self._rows = np.zeros(len(self._watched), dtype=np.int64)
        self._sums = np.zeros(len(self._watched))
        self._begun_ms = np.zeros(len(self._watched), dtype=np.int64)

    @property
    def n_repeated(self) -> int:
        """Pieces left out since the start: they overlap what was fed, or cover no one range."""
        return self._fed.n_repeated

    def update(self, piece: Sketch) -> list[StreamAlarm]:
        """Take one piece; the alarms it raises, by column, a column's oldest first.

        Raises ValueError for a piece over other columns than the reference's.
        """
        if piece.key.columns != self._reference.columns.fingerprint:
            raise ValueError("the piece is over other columns than the reference")
        place = self._fed.take(piece)
        if place is None:
            return []
        summary, start = piece.summary, piece.key.window_start_ms
        n = summary.n_finite[self._columns]
        with np.errstate(over="ignore"):
            sums = n * ((summary.shift[self._columns] - self._level) / self._row_std)
        self._begun_ms[(self._rows == 0) & (n > 0)] = start
        full = np.flatnonzero(self._rows + n >= self._item_rows)
        before = self._rows[full], self._sums[full]
        self._rows += n
        self._sums += sums
        if not len(full):
            return []
        rng = _generator(place, start)
        alarms = []
        for i, had_rows, had in zip(full.tolist(), *map(np.ndarray.tolist, before), strict=True):
            parts = _cut(int(n[i]), had_rows, self._watched[i].scale.item_rows)
            shares = _shares(float(sums[i]), parts, self._watched[i].scale, rng)
            shares[0] += had
            self._rows[i], self._sums[i] = parts[-1], shares[-1]
            alarms += _feed(self._watched[i], shares[:-1], int(self._begun_ms[i]), start)
            self._begun_ms[i] = start
        return alarms

    def encode(self) -> bytes:
        """The whole state; `decode` gives one that goes on as this one would have."""
        state = _State(
            built=self._built,
            fed=self._fed.state(),
            rows=self._rows.tolist(),
            sums=self._sums.tolist(),
            begun_ms=self._begun_ms.tolist(),
            items_begun_ms=[list(each.begun_ms) for each in self._watched],
            detectors=[each.detector.state_dict() for each in self._watched],
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def decode(
        cls, data: bytes, reference: Reference, *, rate: StatedRate, window_rows: int
    ) -> "PieceStreams":
        """The streams of `encode`; raises ValueError for anything else: another reference, rate or
        window, or a window of ADWIN's that another version of river kept."""
        streams = cls(reference, rate=rate, window_rows=window_rows)
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not streams of pieces: {error}") from error
        if state.built != streams._built:
            raise ValueError(f"streams built with {state.built}, not {streams._built}")
        streams._fed = FedPieces.of_state(state.fed)
        streams._rows[:] = state.rows
        streams._sums[:] = state.sums
        streams._begun_ms[:] = state.begun_ms
        for watch, begun, kept in zip(
            streams._watched, state.items_begun_ms, state.detectors, strict=True
        ):
            watch.begun_ms.extend(begun)
            watch.detector.load(kept)
        return streams

    def _build(self, arl0_rows: float, window_rows: int) -> list[_Watch]:
        scales: dict[int, MeanScale] = {}
        for i, name in enumerate(self._reference.columns.names):
            try:
                scales[i] = measure_mean(self._reference, i, window_rows)
            except RestlessError as error:
                self.restless[name] = str(error)
        watched = []
        for i, scale in scales.items():
            arl0 = arl0_rows * len(scales) / scale.item_rows
            if _adwin(scale, arl0).update(scale.blocks):
                name = self._reference.columns.names[i]
                self.restless[name] = "its own reference raises alarms"
                continue
            watched.append(_Watch(i, scale, _adwin(scale, arl0)))
        return watched


class _State(msgspec.Struct, frozen=True):
    built: dict[str, Any]
    fed: list[tuple[Source, int, list[tuple[int, int]]]]
    rows: list[int]
    sums: list[float]
    begun_ms: list[int]
    items_begun_ms: list[list[int]]
    detectors: list[State]


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


def _adwin(scale: MeanScale, arl0_items: float) -> Adwin:
    """Over items that come standardised: each is a block of its own."""
    baseline = Baseline(1, 0.0, 1.0, scale.skewness, n_rows=len(scale.blocks))
    return Adwin(baseline, arl0_rows=max(MIN_ARL0_ITEMS, arl0_items))


def _generator(place: Place, window_start_ms: int) -> np.random.Generator:
    """What is drawn for a piece depends on the piece alone: a replay draws it again."""
    (topic_id, partition), (begin, end) = place
    seed = crc32(topic_id.encode()), partition, begin, end, window_start_ms % 2**63
    return np.random.default_rng(seed)


def _cut(n: int, had: int, size: int) -> Longs:
    """Of a piece of `n`, what ends the item that has `had`, whole items, what begins the next."""
    n_items, rest = divmod(had + n, size)
    return np.array([size - had, *[size] * (n_items - 1), rest], dtype=np.int64)


def _shares(total: float, parts: Longs, scale: MeanScale, rng: np.random.Generator) -> Floats:
    """`total`, a piece's distance from the mean in rows' deviations, as sums over `parts` of it."""
    skewness = scale.skewness * math.sqrt(scale.item_rows)
    sign = 1.0 if skewness >= 0 else -1.0
    skewness = max(MIN_SKEWNESS, abs(skewness))
    # A row is a gamma of this shape, in units of skewness / 2, less the mean of one.
    weights = rng.standard_gamma(parts * (4 / skewness**2))
    share = weights / weights.sum() if weights.sum() > 0 else parts / parts.sum()
    mean = 2 / skewness
    shares: Floats = sign * ((sign * total + parts.sum() * mean) * share - parts * mean)
    return shares


def _feed(watch: _Watch, sums: Floats, begun_ms: int, start_ms: int) -> list[StreamAlarm]:
    """Feed items, of which the first began in window `begun_ms`, the others in `start_ms`."""
    scale, rows = watch.scale, watch.scale.item_rows
    begun = [*watch.begun_ms, begun_ms, *[start_ms] * (len(sums) - 1)]
    n_before = len(watch.begun_ms)
    watch.begun_ms.extend(begun[n_before:])
    return [
        StreamAlarm(
            column=watch.column,
            result=replace(
                alarm.result,
                effect=alarm.result.effect * scale.row_std / math.sqrt(rows),
                n_reference=alarm.result.n_reference * rows,
                n_window=alarm.result.n_window * rows,
            ),
            scale=scale.spread,
            window_start_ms=start_ms,
            change_point_ms=begun[n_before + alarm.row + 1 - alarm.result.n_window],
        )
        for alarm in watch.detector.update(sums / math.sqrt(rows))
    ]
