"""Rows of the same customers, interleaved: the covariance they bring to a window and reference."""

from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from drift.dependence.block_hotelling import Verdict
from drift.dependence.pooling import sum_groups

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CustomerCounts:
    """A column of the reference by customer: enough for the test of any window.

    `cross` int64[B, B] is the sum over customers of outer products of their counts, `weighted`
    int64[B] the sum of counts times the customer's rows; both add over disjoint sets of customers.
    `rows` int64[C] are the rows of each customer code, shared by all columns.
    """

    counts: Counts
    cross: Counts
    weighted: Counts
    rows: Counts

    @classmethod
    def of(cls, codes: Counts, bins: Counts, n_bins: int) -> Self:
        """From rows: customer codes int64[n] (0..C-1) and bin indices int64[n] (0..B-1)."""
        from scipy.sparse import csr_array

        if len(codes) != len(bins) or len(codes) == 0:
            raise ValueError("codes and bins must be of the same length, at least one row")
        n_customers = int(codes.max()) + 1
        rows = np.bincount(codes, minlength=n_customers).astype(np.int64)
        table = csr_array(
            (np.ones(len(codes), dtype=np.int64), (codes, bins)), shape=(n_customers, n_bins)
        )
        return cls(
            counts=np.bincount(bins, minlength=n_bins).astype(np.int64),
            cross=cast("Counts", (table.T @ table).toarray()),
            weighted=cast("Counts", table.T @ rows),
            rows=rows,
        )

    @property
    def pairs(self) -> int:
        """Ordered pairs of rows of one customer: sum n_c (n_c - 1)."""
        return int((self.rows * (self.rows - 1)).sum())


def pair_covariance(customers: CustomerCounts, groups: Counts) -> tuple[Floats, Floats]:
    """Proportions p float[g] and G float[g, g], the mean covariance of two rows of one customer.

    G = (sum S_c S_c' - n D) / sum n_c (n_c - 1), S_c the customer's counts less n_c p,
    D = diag(p) - pp'; zero where no customer has two rows.
    """
    counts = sum_groups(customers.counts, groups)
    n = float(counts.sum())
    p = counts / n
    if customers.pairs == 0:
        return p, np.zeros((len(p), len(p)))
    cross = sum_groups(sum_groups(customers.cross, groups).T, groups)
    mixed = np.outer(sum_groups(customers.weighted, groups), p)
    squares = float((customers.rows.astype(np.float64) ** 2).sum())
    around = cross - mixed - mixed.T + squares * np.outer(p, p)
    d = np.diag(p) - np.outer(p, p)
    return p, (around - n * d) / customers.pairs


def customer_test(
    window: Counts,
    window_rows: Counts,
    customers: CustomerCounts,
    groups: Counts,
    *,
    alpha: float,
) -> Verdict:
    """T = d' V^-1 d where customers repeat in, and between, the reference and the window.

    `window` int64[B] are counts, `window_rows` int64[C'] rows per customer code (the reference's
    coding; codes past the reference's are new customers), `groups` int64[B] the pooling, at least
    two. V = (D + s_w G)/m + (D + s_r G)/n - 2 o G with s = sum n_c^2/N - 1 and
    o = sum n_c^ref n_c^win/(n m). T is chi-square with g - 1 degrees of freedom, or Hotelling's
    on the reference's customers (their effective number, less one) where those are few.
    """
    from scipy.special import fdtrc, fdtri

    p, g = pair_covariance(customers, groups)
    n, m = float(customers.rows.sum()), float(window.sum())
    n_both = min(len(customers.rows), len(window_rows))
    overlap = float(customers.rows[:n_both].astype(np.float64) @ window_rows[:n_both]) / (n * m)
    s_reference = float((customers.rows.astype(np.float64) ** 2).sum()) / n - 1.0
    s_window = float((window_rows.astype(np.float64) ** 2).sum()) / m - 1.0
    rows = (np.diag(p) - np.outer(p, p)) * (1.0 / m + 1.0 / n)
    shared = s_window / m + s_reference / n - 2.0 * overlap
    variance = (rows + shared * g)[1:, 1:]
    difference = (sum_groups(window, groups) / m - p)[1:]
    if np.linalg.eigvalsh(variance)[0] <= 0:
        variance = (rows + max(0.0, shared) * _non_negative(g))[1:, 1:]
    statistic = float(difference @ np.linalg.solve(variance, difference))
    df = len(difference)
    freedom = _freedom(rows, shared * g, customers.rows, df)
    to_f = (freedom - df + 1.0) / (df * freedom)
    return Verdict(
        statistic,
        float(fdtri(df, freedom - df + 1.0, 1.0 - alpha)) / to_f,
        float(fdtrc(df, freedom - df + 1.0, statistic * to_f)),
    )


def _freedom(rows: Floats, shared: Floats, customer_rows: Counts, df: int) -> float:
    """Degrees of freedom of V by Satterthwaite: only the customers' part of it is estimated.

    G weighs a customer by its pairs, so it rests on (sum n_c^2)^2 / sum n_c^4 of them.
    """
    squares = customer_rows.astype(np.float64) ** 2
    n_customers = float(squares.sum()) ** 2 / float((squares * squares).sum())
    part = abs(float(np.trace(shared)) / float(np.trace(rows + shared)))
    return max(df + 4.0, (n_customers - 1.0) / max(part * part, 1e-9))


def _non_negative(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return cast("Floats", (vectors * np.maximum(values, 0.0)) @ vectors.T)
