"""ADWIN on the items of one column, and what of its alarms is told.

ADWIN compares the stream with itself: what leaves the reference for a month and comes back is two
changes to it. The first is news and the second is none, which is known, as is the reference's
level. So a change towards the reference after a stretch that was plainly off it is a doubt until
`N_FRESH` more items have come, which the likeliest of many splits did not choose; it is told only
if what came after the change is plainly further off than what was before.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.mean_scale import MeanScale
from drift.result import Result
from drift.stream.adwin import Adwin, symmetric
from drift.stream.baseline import CLIP, Baseline
from drift.stream.contract import State
from drift.stream.history import N_KEPT

Floats = NDArray[np.float64]

MIN_ARL0_ITEMS = 50.0
"""ADWIN has no quicker rate."""

N_FRESH = 64
"""Items after a doubtful alarm that decide it: a window's, where items are 1/64 of one."""

APART = 4.0
"""Standard errors that a mean lies off the reference plainly: splits are the likeliest of many."""


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


@dataclass(frozen=True, slots=True)
class Doubt:
    """An alarm that may be a way back: the mean of the items before its change, in standard
    deviations of one off the reference, and how many followed up to the alarm, with their sum."""

    alarm: StreamAlarm
    before: float
    n_after: int
    total_after: float


class WatchState(msgspec.Struct, frozen=True):
    """All that a `ColumnWatch` needs to go on."""

    detector: State
    begun_ms: list[int]
    n: int
    total: float
    doubt: Doubt | None


@dataclass(slots=True)
class ColumnWatch:
    """One column's detector.

    `begun_ms` are the windows in which its latest items began; `n` and `total` the items since
    ADWIN last began anew and their sum, in standard deviations of an item off the reference, whose
    own level was measured on `n_reference` items.
    """

    column: int
    scale: MeanScale
    n_reference: float
    detector: Adwin
    begun_ms: deque[int] = field(default_factory=lambda: deque(maxlen=N_KEPT))
    n: int = 0
    total: float = 0.0
    doubt: Doubt | None = None

    def feed(self, sums: Floats, begun_ms: int, start_ms: int) -> list[StreamAlarm]:
        """What is to be told of items float64[k], in standard deviations of a row off the
        reference, of which the first began in window `begun_ms`, the others in `start_ms`."""
        items = standardised(sums, self.scale)
        begun = [*self.begun_ms, begun_ms, *[start_ms] * (len(items) - 1)]
        n_before = len(self.begun_ms)
        self.begun_ms.extend(begun[n_before:])
        told, first = [], 0
        for raised in self.detector.update(items):
            self._add(items[first : raised.row + 1])
            first = raised.row + 1
            change = begun[n_before + first - raised.result.n_window]
            alarm = StreamAlarm(
                self.column, raised.result, self.scale.spread, start_ms, change_point_ms=change
            )
            told += self._raised(alarm)
        self._add(items[first:])
        if self.doubt is not None and self.n >= N_FRESH:
            told += self._decided(self.n, self.total, start_ms)
        return [self._in_units(alarm) for alarm in told]

    def state(self) -> WatchState:
        begun = list(self.begun_ms)
        return WatchState(self.detector.state_dict(), begun, self.n, self.total, self.doubt)

    def load(self, state: WatchState) -> None:
        """Go on from `state`; ValueError where its detector was built otherwise."""
        self.detector.load(state.detector)
        self.begun_ms.extend(state.begun_ms)
        self.n, self.total, self.doubt = state.n, state.total, state.doubt

    def _add(self, items: Floats) -> None:
        self.n += len(items)
        self.total += float(items.sum())

    def _raised(self, alarm: StreamAlarm) -> list[StreamAlarm]:
        """ADWIN has begun anew: the doubt there was is decided, and this alarm told or doubted."""
        n_before, n_after = alarm.result.n_reference, alarm.result.n_window
        mean, effect = self.total / self.n, alarm.result.effect
        before = mean - effect * n_after / self.n
        after = mean + effect * n_before / self.n
        told = self._decided(n_before, before * n_before, alarm.window_start_ms)
        self.n, self.total = 0, 0.0
        left = self._is_off(before, n_before)
        if not left or self._is_further(after, n_after, before):
            return [*told, alarm]
        self.doubt = Doubt(alarm, before, n_after, after * n_after)
        return told

    def _decided(self, n: int, total: float, start_ms: int) -> list[StreamAlarm]:
        """The doubtful alarm, if `n` more items with this sum say that it was no way back."""
        doubt, self.doubt = self.doubt, None
        if doubt is None:
            return []
        n += doubt.n_after
        after = (total + doubt.total_after) / n
        if not self._is_further(after, n, doubt.before):
            return []
        result = replace(doubt.alarm.result, effect=after - doubt.before, n_window=n)
        return [replace(doubt.alarm, result=result, window_start_ms=start_ms)]

    def _is_off(self, mean: float, n: int) -> bool:
        return abs(mean) >= APART * math.sqrt(1 / n + 1 / self.n_reference)

    def _is_further(self, after: float, n: int, before: float) -> bool:
        return abs(after) > abs(before) and self._is_off(after, n)

    def _in_units(self, alarm: StreamAlarm) -> StreamAlarm:
        """Of the column and its values, from items and their standard deviation."""
        rows, result = self.scale.item_rows, alarm.result
        result = replace(
            result,
            effect=result.effect * self.scale.row_std / math.sqrt(rows),
            n_reference=result.n_reference * rows,
            n_window=result.n_window * rows,
        )
        return replace(alarm, result=result)


def standardised(sums: Floats, scale: MeanScale) -> Floats:
    """Items float64[k] of variance 1, nearly normal, of sums in standard deviations of a row."""
    return symmetric(np.clip(sums / math.sqrt(scale.item_rows), -CLIP, CLIP), scale.skewness)


def adwin_of_items(arl0_items: float) -> Adwin:
    """Over items that come standardised: each is a block of its own."""
    return Adwin(Baseline(1, 0.0, 1.0, 0.0, n_rows=1), arl0_rows=max(MIN_ARL0_ITEMS, arl0_items))
