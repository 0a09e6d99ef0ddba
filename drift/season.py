"""The reference's counts by hour of the week, for windows shorter than the week."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Counts, Matrix

Floats = NDArray[np.float64]

HOUR_MS = 3_600_000
WEEK_HOURS = 168
WEEK_MS = WEEK_HOURS * HOUR_MS

MAX_REPEATS = 8
"""Weeks kept one by one; more of them are summed to so many stretches of neighbouring weeks."""

MIN_WEEKS = 2.0
"""How much the same hours differ from week to week, one week cannot say."""

_SINCE_MONDAY_MS = 3 * 24 * HOUR_MS
"""1970 began on a Thursday."""


@dataclass(frozen=True, eq=False)
class Season:
    """`repeats`: int64[R, 168 / slot_hours, n_bins], the counts of R <= 8 stretches of whole weeks,
    each by slots of the week in UTC from Monday 00:00; the stretches begin at the hour, day and
    slot of the first event.

    `repeat_rows`: int64[R, 168 / slot_hours]. `span_ms`: from the first event to the last.
    """

    slot_hours: int
    repeats: Counts
    repeat_rows: Counts
    span_ms: int

    @cached_property
    def counts(self) -> Counts:
        """int64[168 / slot_hours, n_bins] of all weeks."""
        counts: Counts = self.repeats.sum(axis=0)
        return counts

    @cached_property
    def rows(self) -> Counts:
        """int64[168 / slot_hours]: the rows of each slot."""
        rows: Counts = self.repeat_rows.sum(axis=0)
        return rows

    @property
    def weeks(self) -> float:
        """How long the reference is; its last hour counts as a whole one."""
        return (self.span_ms + HOUR_MS) / WEEK_MS

    @property
    def is_usable(self) -> bool:
        """Whether there are slots to tell apart, and weeks that say how much each varies."""
        return self.repeats.shape[1] > 1 and self.weeks >= MIN_WEEKS

    def weights(self, start_ms: int, end_ms: int) -> Floats:
        """The part of each slot that the window [start, end) covers, float64[168 / slot_hours].

        A window of a week or more covers all of them, once.
        """
        if end_ms <= start_ms:
            raise ValueError("the window ends before it begins")
        n_slots = self.repeats.shape[1]
        if end_ms - start_ms >= WEEK_MS:
            return np.ones(n_slots)
        slot_ms = self.slot_hours * HOUR_MS
        begin = (start_ms + _SINCE_MONDAY_MS) % WEEK_MS
        end = begin + end_ms - start_ms
        slots = np.arange(begin // slot_ms, (end - 1) // slot_ms + 1)
        covered = np.minimum(end, (slots + 1) * slot_ms) - np.maximum(begin, slots * slot_ms)
        weights = np.zeros(n_slots)
        np.add.at(weights, slots % n_slots, covered / slot_ms)
        return weights

    def counts_for(self, start_ms: int, end_ms: int) -> tuple[Counts, int]:
        """What the reference holds of a window's hours: counts int64[n_bins] of so many rows.

        Slots are mixed as their rows come in the time that the window covers. A slot that is
        covered in part says no less of its own distribution, so the counts are those of as many
        rows as know the mix equally well: (sum w n)^2 / sum w^2 n for n rows of weight w.
        """
        weights, rows = self.weights(start_ms, end_ms), self.rows
        covered = float(weights @ rows)
        if not covered:
            return np.zeros(self.repeats.shape[2], dtype=np.int64), 0
        worth = covered * covered / float(weights**2 @ rows)
        mixed = (weights @ self.counts) * (worth / covered)
        return np.rint(mixed).astype(np.int64), round(worth)


def make_season(
    columns: Columns, matrix: Matrix, event_times: NDArray[np.int64], slot_hours: int = 1
) -> Season:
    """The season of rows with `event_times`, int64[n] ms UTC; `slot_hours` divides 168."""
    if slot_hours < 1 or WEEK_HOURS % slot_hours:
        raise ValueError(f"{slot_hours} hours do not divide a week of {WEEK_HOURS}")
    if not len(event_times):
        raise ValueError("a season needs rows")
    n_slots, slot_ms = WEEK_HOURS // slot_hours, slot_hours * HOUR_MS
    slot = (event_times + _SINCE_MONDAY_MS) // slot_ms
    week = (slot - slot.min()) // n_slots
    n_weeks = int(week.max()) + 1
    n_repeats = min(n_weeks, MAX_REPEATS)
    cell = week * n_repeats // n_weeks * n_slots + slot % n_slots
    n_cells = n_repeats * n_slots
    counts = np.zeros(n_cells * columns.n_bins, dtype=np.int64)
    for bins in columns.assign(matrix):
        counts += np.bincount(cell * columns.n_bins + bins, minlength=len(counts))
    return Season(
        slot_hours,
        counts.reshape(n_repeats, n_slots, columns.n_bins),
        np.bincount(cell, minlength=n_cells).reshape(n_repeats, n_slots),
        int(event_times.max() - event_times.min()),
    )
