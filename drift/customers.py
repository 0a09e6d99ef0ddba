"""How rows of the same entity (customer, card) hang together, for each column's bins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Counts, Matrix
from drift.dependence import Customers, Repeats
from drift.entities import REFERENCE_LIMIT, EntityTable, Hashes

Floats = NDArray[np.float64]

_ENTITIES_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class CustomerMoments:
    """What the customer covariance needs of the reference (FACTS, Drift; Liang and Zeger 1986).

    `sum_squares` is sum n_c^2 over entities c with n_c rows each. `covariances` holds G of every
    column, flat, one after another: the covariance of the bins of two rows of one entity,
    (sum_c S_c S_c' - n D) / sum n_c (n_c - 1) with S_c = sum over the rows of c of (bin - p) and
    D = diag(p) - p p'; zeros where no entity has two rows.
    """

    n_rows: int
    n_entities: int
    sum_squares: int
    covariances: Floats
    entities: EntityTable

    def covariance(self, columns: Columns, index: int) -> Floats:
        """G of one column: float64[B, B], missing bin included."""
        sizes = np.diff(columns.offsets)
        begin = int((sizes[:index] ** 2).sum())
        size = int(sizes[index])
        return self.covariances[begin : begin + size**2].reshape(size, size)

    @property
    def excess(self) -> float:
        """sum n_c^2 / n - 1: how many other rows of its entity a row has, on average."""
        return self.sum_squares / self.n_rows - 1.0

    @property
    def n_effective(self) -> float:
        """(sum n_c^2)^2 / sum n_c^4, at least 1; low rather than high where the table is a sample.

        The squares that a sample of entities leaves unexplained may all be those of one entity.
        """
        squares = self.entities.counts.astype(np.float64) ** 2
        share = len(squares) / self.n_entities
        missed = max(0.0, self.sum_squares - float(squares.sum()) / share)
        fourths = float((squares * squares).sum()) / share + missed * missed
        return max(1.0, self.sum_squares**2 / fourths)

    @property
    def largest(self) -> int:
        """Rows of the entity with the most; of those in the table, where that is a sample."""
        return int(self.entities.counts.max(initial=1))

    def of_column(self, columns: Columns, index: int, counts: Counts) -> Customers:
        """What the test of a column needs; `counts` int64[B] are the column's."""
        return Customers(counts, self.covariance(columns, index), self.excess, self.n_effective)

    def repeats(self, window: EntityTable, n_window: int) -> Repeats:
        """Of a window of `n_window` rows; estimates where a table is a sample of its entities.

        A sample may miss the entities that have most of a window's rows, or weigh them too much:
        then the window repeats at least as the reference does, and the overlap stays within what
        repeats of both allow (Cauchy and Schwarz). ValueError for a table without rows, with more
        than the window's, or with all entities and yet fewer rows.
        """
        n_counted = int(window.counts.sum())
        if n_counted == 0 or n_counted > n_window or (window.is_complete and n_counted < n_window):
            raise ValueError(f"entities of {n_counted} rows for a window of {n_window}")
        excess = window.rows_per_row_of(window) - 1.0
        overlap = self.entities.rows_per_row_of(window) / self.n_rows
        if not window.is_complete:
            excess = max(excess, n_window * self.excess / self.n_rows)
        most = math.sqrt((excess + 1.0) / n_window * (self.excess + 1.0) / self.n_rows)
        return Repeats(excess, min(overlap, most))


def customers_by_column(
    moments: CustomerMoments | None, columns: Columns, counts: Sequence[Counts]
) -> list[Customers | None]:
    """Of every column, whose `counts` are int64[B]; None where no entity has two rows, so that
    nothing is known of pairs."""
    if moments is None or moments.excess == 0:
        return [None] * len(counts)
    return [moments.of_column(columns, i, own) for i, own in enumerate(counts)]


def customer_moments(
    columns: Columns, matrix: Matrix, hashes: Hashes, limit: int = REFERENCE_LIMIT
) -> CustomerMoments:
    """The moments of the rows of `matrix`, whose entities have `hashes`, uint64[n]."""
    if hashes.shape != (len(matrix),):
        raise ValueError(f"{len(hashes)} entity keys for {len(matrix)} rows")
    _, entity, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    order = np.argsort(entity, kind="stable")
    order = order[sizes[entity[order]] > 1]  # an entity of one row has no pairs
    groups = _renumber(entity[order])
    n_pairs = int((sizes * (sizes - 1)).sum())
    proportions = columns.count(matrix) / max(len(matrix), 1)
    blocks = []
    for index in range(len(columns)):
        codes = _codes(columns, matrix, index)[order]
        p = columns.of(proportions, index).astype(np.float64)
        blocks.append((_pair_products(codes, groups, p) / max(n_pairs, 1)).ravel())
    return CustomerMoments(
        n_rows=len(matrix),
        n_entities=len(sizes),
        sum_squares=int((sizes.astype(np.int64) ** 2).sum()),
        covariances=np.concatenate(blocks),
        entities=EntityTable.of(hashes, limit),
    )


def _codes(columns: Columns, matrix: Matrix, index: int) -> Counts:
    one = Columns([columns[index]])
    codes: Counts = one.assign(matrix[:, index : index + 1])[0]
    return codes


def _renumber(ascending: NDArray[np.intp]) -> NDArray[np.intp]:
    """0, 1, 2 ... for each run of equal values."""
    if not len(ascending):
        return ascending
    return np.concatenate([[0], np.cumsum(np.diff(ascending) > 0)]).astype(np.intp)


def _pair_products(codes: Counts, groups: NDArray[np.intp], p: Floats) -> Floats:
    """Sum over ordered pairs of different rows of one group of (e_i - p)(e_j - p)': float64[B, B].

    A bounded number of groups at a time; `groups` ascends.
    """
    n_bins = len(p)
    total = np.zeros((n_bins, n_bins))
    last = int(groups[-1]) + 1 if len(groups) else 0
    for first in range(0, last, _ENTITIES_AT_ONCE):
        end = min(first + _ENTITIES_AT_ONCE, last)
        begin_row, end_row = np.searchsorted(groups, [first, end])
        own = codes[begin_row:end_row]
        cells = (groups[begin_row:end_row] - first) * n_bins + own
        counts = np.bincount(cells, minlength=(end - first) * n_bins).reshape(-1, n_bins)
        sums = counts - counts.sum(axis=1, keepdims=True) * p
        q = np.bincount(own, minlength=n_bins)
        same = np.diag(q) - np.outer(q, p) - np.outer(p, q) + len(own) * np.outer(p, p)
        total += sums.T @ sums - same
    return total
