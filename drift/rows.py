"""Rows to scan, and how."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drift.columns import ColumnSpec
from drift.findings import Subject
from drift.levels import AlertBands

DEFAULT_ARL0 = 1_000.0
MIN_WINDOW = 50
MIN_REFERENCE = 500
MAX_WINDOW = 10_000

SCORE = "score"
LABEL = "label"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in order of time: `matrix` float32[n, f] with its `specs`, NaN where missing.

    `labels` int8[n] (1, 0, -1 where none has come), `scores` float32[n], `entities` int64[n] codes
    from 0, -1 for none, and `times_ms` int64[n] are None where there are none.
    """

    specs: tuple[ColumnSpec, ...]
    matrix: NDArray[np.float32]
    labels: NDArray[np.int8] | None = None
    scores: NDArray[np.float32] | None = None
    entities: NDArray[np.int64] | None = None
    times_ms: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.matrix)

    def entity_keys(self) -> NDArray[np.int64] | None:
        """int64[n]: `entities`, where a row without one is an entity of its own, below 0."""
        if self.entities is None:
            return None
        return np.where(self.entities >= 0, self.entities, -1 - np.arange(len(self)))


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """`n_reference` rows are what the rest is held against, in windows of `window_rows` rows.

    `arl0`: mean number of windows between false notices, everything together. `threshold`: the
    score from which a row counts as positive, for errors. `season_hours` asks for a season of slots
    of so many hours and needs times, `calendar` names the columns that follow the calendar. `seed`
    draws samples and nulls.
    """

    n_reference: int
    window_rows: int
    arl0: float = DEFAULT_ARL0
    threshold: float = 0.5
    season_hours: int | None = None
    calendar: tuple[str, ...] = ()
    bands: AlertBands = field(default_factory=AlertBands)
    seed: int = 0

    def check_sizes(self, n_rows: int) -> None:
        """ValueError that says why so many rows cannot be scanned so."""
        if not 2 <= self.n_reference < n_rows:
            raise ValueError(
                f"a reference of {self.n_reference} of {n_rows} rows leaves nothing to hold against"
                " it; it takes at least 2 rows and fewer than there are"
            )
        if not 1 <= self.window_rows <= n_rows - self.n_reference:
            raise ValueError(
                f"windows of {self.window_rows} rows do not fit into the"
                f" {n_rows - self.n_reference} rows behind the reference"
            )


def default_sizes(n_rows: int, n_reference: int | None, window_rows: int | None) -> tuple[int, int]:
    """Reference and window where they are not given: a fifth of the rows (500 at least, a half at
    most), and windows of a tenth of that (50 to 10,000 rows)."""
    if n_reference is None:
        n_reference = min(max(n_rows // 5, MIN_REFERENCE), n_rows // 2)
    if window_rows is None:
        window_rows = min(max(n_reference // 10, MIN_WINDOW), MAX_WINDOW)
    return n_reference, window_rows


def watched(
    rows: Rows,
) -> tuple[NDArray[np.float32], tuple[ColumnSpec, ...], tuple[Subject, ...]]:
    """The features, then the score, then the label, as columns of one matrix."""
    parts, specs = [rows.matrix], list(rows.specs)
    subjects = [Subject.FEATURE] * len(specs)
    if rows.scores is not None:
        parts.append(rows.scores[:, None])
        specs.append(ColumnSpec(SCORE))
        subjects.append(Subject.SCORE)
    if rows.labels is not None:
        labels = np.where(rows.labels < 0, np.nan, rows.labels).astype(np.float32)
        parts.append(labels[:, None])
        specs.append(ColumnSpec(LABEL))
        subjects.append(Subject.LABEL)
    return np.hstack(parts).astype(np.float32), tuple(specs), tuple(subjects)
