"""The reference's counts by hour of the week, for windows shorter than the week."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Counts, Matrix

HOUR_MS = 3_600_000
WEEK_HOURS = 168

_SINCE_MONDAY_MS = 3 * 24 * HOUR_MS
"""1970 began on a Thursday."""


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """`counts`: int64[168 / slot_hours, n_bins], slots of the week in UTC from Monday 00:00.

    `rows`: int64, the rows of each slot. `span_ms`: from the first event to the last.
    """

    slot_hours: int
    counts: Counts
    rows: Counts
    span_ms: int

    def slots(self, start_ms: int, end_ms: int) -> list[int]:
        """The slots that the window [start, end) touches, each once, ascending."""
        if end_ms <= start_ms:
            raise ValueError("the window ends before it begins")
        slot_ms = self.slot_hours * HOUR_MS
        first = (start_ms + _SINCE_MONDAY_MS) // slot_ms
        last = (end_ms - 1 + _SINCE_MONDAY_MS) // slot_ms
        return sorted({slot % len(self.counts) for slot in range(first, last + 1)[:WEEK_HOURS]})

    def counts_for(self, start_ms: int, end_ms: int) -> tuple[Counts, int]:
        """Counts int64[n_bins] and rows of the reference in the slots that a window touches."""
        slots = self.slots(start_ms, end_ms)
        return self.counts[slots].sum(axis=0), int(self.rows[slots].sum())


def make_season(
    columns: Columns, matrix: Matrix, event_times: NDArray[np.int64], slot_hours: int = 1
) -> Season:
    """The season of rows with `event_times`, int64[n] ms UTC; `slot_hours` divides 168."""
    if slot_hours < 1 or WEEK_HOURS % slot_hours:
        raise ValueError(f"{slot_hours} hours do not divide a week of {WEEK_HOURS}")
    n_slots = WEEK_HOURS // slot_hours
    slots = (event_times + _SINCE_MONDAY_MS) // (slot_hours * HOUR_MS) % n_slots
    counts = np.stack([columns.count(matrix[slots == slot]) for slot in range(n_slots)])
    rows = np.bincount(slots, minlength=n_slots)
    span = int(event_times.max() - event_times.min()) if len(event_times) else 0
    return Season(slot_hours, counts, rows.astype(np.int64), span)
