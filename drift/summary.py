"""Counts and moments of rows: what windows and the reference are compared by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.assign import CHUNK_ROWS
from drift.columns import Columns, Counts, Matrix

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What is kept of `n` rows; arrays are over the columns unless they say otherwise.

    counts          int64[n_bins], over the bins of all columns
    n_finite        int64, values that are neither missing nor infinite
    shift, m2       float64, of the finite values: mean minus the column's centre, and sum of
                    squared differences from the mean (0 where there are none)
    minimum,        float32, of all values that are not missing (inf, -inf where there are none)
    maximum
    n_out_of_range  int64, values below the column's `lowest` or above its `highest`

    Counts, minimum and maximum of merged summaries are those of the whole, bit for bit, however it
    was cut. Moments are merged in float64 (Chan, Golub, LeVeque 1983): equal to the whole's within
    about 1e-15 of the standard deviation times the number of merges. Exact accumulators would
    double the cost of an update.
    """

    n: int
    counts: Counts
    n_finite: Counts
    shift: Floats
    m2: Floats
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    n_out_of_range: Counts

    @classmethod
    def empty(cls, columns: Columns) -> "Summary":
        n = len(columns)
        return cls(
            n=0,
            counts=np.zeros(columns.n_bins, dtype=np.int64),
            n_finite=np.zeros(n, dtype=np.int64),
            shift=np.zeros(n),
            m2=np.zeros(n),
            minimum=np.full(n, np.inf, dtype=np.float32),
            maximum=np.full(n, -np.inf, dtype=np.float32),
            n_out_of_range=np.zeros(n, dtype=np.int64),
        )

    def merge(self, other: "Summary") -> "Summary":
        """The summary of both together; `a.merge(b)` equals `b.merge(a)` bit for bit."""
        n_finite = self.n_finite + other.n_finite
        divisor = np.maximum(n_finite, 1)
        shift = (self.n_finite * self.shift + other.n_finite * other.shift) / divisor
        between = (self.shift - other.shift) ** 2 * (self.n_finite * other.n_finite / divisor)
        # Where one side has no values the other's moments pass through unrounded.
        left, right = other.n_finite == 0, self.n_finite == 0
        return Summary(
            n=self.n + other.n,
            counts=self.counts + other.counts,
            n_finite=n_finite,
            shift=np.where(left, self.shift, np.where(right, other.shift, shift)),
            m2=self.m2 + other.m2 + between,
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            n_out_of_range=self.n_out_of_range + other.n_out_of_range,
        )

    def means(self, columns: Columns) -> Floats:
        """The mean of each column's finite values; NaN where there are none."""
        return np.where(self.n_finite > 0, columns.centres + self.shift, np.nan)

    def variances(self) -> Floats:
        """The sample variance of each column's finite values; NaN where there are under two."""
        return np.where(self.n_finite > 1, self.m2 / np.maximum(self.n_finite - 1, 1), np.nan)

    def n_missing(self, columns: Columns) -> Counts:
        return self.counts[columns.missing_bins]

    def n_unseen(self, columns: Columns) -> Counts:
        """Values that the reference does not hold, of discrete columns and categories; else 0."""
        places = columns.offsets[:-1] + [column.other_bin or 0 for column in columns]
        has = np.array([column.other_bin is not None for column in columns])
        return np.where(has, self.counts[places], 0)


SUMMARY_ARRAYS: dict[str, type] = {
    "counts": np.int64,
    "n_finite": np.int64,
    "shift": np.float64,
    "m2": np.float64,
    "minimum": np.float32,
    "maximum": np.float32,
    "n_out_of_range": np.int64,
}
"""The arrays of a summary, for those who store them."""


def summary_of_arrays(n: int, arrays: dict[str, NDArray[Any]]) -> Summary:
    """The summary of `n` rows that these arrays are; raises ValueError when they cannot be."""
    if set(arrays) != set(SUMMARY_ARRAYS):
        raise ValueError(f"it holds the arrays {sorted(arrays)}")
    n_columns = len(arrays["m2"].ravel())
    for name, dtype in SUMMARY_ARRAYS.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != 1:
            raise ValueError(f"{name} is {array.dtype}{list(array.shape)}")
        if name != "counts" and len(array) != n_columns:
            raise ValueError(f"{name} is of {len(array)} columns instead of {n_columns}")
    if arrays["counts"].sum() != n * n_columns or (arrays["counts"] < 0).any():
        raise ValueError(f"its counts are not those of {n} rows")
    return Summary(n=n, **arrays)


def summarise(columns: Columns, matrix: Matrix) -> Summary:
    """The summary of the rows of `matrix`, float32[n, n_columns]."""
    columns.check(matrix)
    found = Summary.empty(columns)
    for begin in range(0, len(matrix), CHUNK_ROWS):
        chunk = np.ascontiguousarray(matrix[begin : begin + CHUNK_ROWS].T)
        part = _summarise_chunk(columns, chunk)
        found = part if begin == 0 else found.merge(part)
    return found


def _summarise_chunk(columns: Columns, values: NDArray[np.float32]) -> Summary:
    """The summary of float32[n_columns, n], n > 0."""
    finite = np.isfinite(values)
    minimum, maximum = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    minimum = np.where(np.isnan(minimum), np.float32(np.inf), minimum) + np.float32(0)
    maximum = np.where(np.isnan(maximum), np.float32(-np.inf), maximum) + np.float32(0)
    n_finite, shift, m2 = _moments(values, finite, columns.centres)
    return Summary(
        n=values.shape[1],
        counts=np.bincount(columns.assigner.assign(values).ravel(), minlength=columns.n_bins),
        n_finite=n_finite,
        shift=shift,
        m2=m2,
        minimum=minimum,
        maximum=maximum,
        n_out_of_range=_count_out_of_range(columns, values, minimum, maximum),
    )


def _moments(
    values: NDArray[np.float32], finite: NDArray[np.bool_], centres: Floats
) -> tuple[Counts, Floats, Floats]:
    """Count, mean about the centre and squared deviations (two passes) of the finite values."""
    whole = bool(finite.all())
    about = values.astype(np.float64)
    if whole:
        n_finite = np.full(len(values), values.shape[1], dtype=np.int64)
    else:
        n_finite = finite.sum(axis=1, dtype=np.int64)
        about[~finite] = 0.0
    about -= centres[:, None]
    if not whole:
        about[~finite] = 0.0
    shift = about.sum(axis=1) / np.maximum(n_finite, 1)
    about -= shift[:, None]
    if not whole:
        about[~finite] = 0.0
    return n_finite, shift, np.einsum("ij,ij->i", about, about)


def _count_out_of_range(
    columns: Columns,
    values: NDArray[np.float32],
    minimum: NDArray[np.float32],
    maximum: NDArray[np.float32],
) -> Counts:
    lowest, highest = columns.ranges
    found = np.zeros(len(values), dtype=np.int64)
    for index in np.flatnonzero((minimum < lowest) | (maximum > highest)):
        own = values[index]
        found[index] = np.count_nonzero((own < lowest[index]) | (own > highest[index]))
    return found
