"""Rows of the same customers, interleaved: the covariance they bring to a window and reference."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from drift.dependence.block_hotelling import Verdict
from drift.dependence.pooling import sum_groups

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often a window's customers repeat in it, and come from the reference.

    With n_c rows of customer c in a window of m rows: `excess` is sum n_c^2 / m - 1, `overlap`
    sum n_c^reference n_c / (n m).
    """

    excess: float
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """What the test of any window needs of one column of the reference.

    `counts` int64[B] of all n rows; `covariance` G float64[B, B], the mean covariance of the bins
    of two rows of one customer; `excess` sum n_c^2 / n - 1 over the customers' rows; `n_effective`
    (sum n_c^2)^2 / sum n_c^4, as many customers of the same number of rows as G rests on.
    """

    counts: Counts
    covariance: Floats
    excess: float
    n_effective: float

    @property
    def n_rows(self) -> int:
        return int(self.counts.sum())

    def pooled(self, groups: Counts) -> tuple[Floats, Floats]:
        """Proportions p float64[g] and G float64[g, g] of bins pooled by `groups` int64[B]."""
        g = sum_groups(sum_groups(self.covariance, groups).T, groups)
        return sum_groups(self.counts, groups) / self.n_rows, g

    def steady(self, n_window: int) -> Repeats:
        """Of a window whose customers are not known: as active as ever, and all of them new.

        Cautious: customers that the reference has make a window vary less around it.
        """
        return Repeats(n_window * self.excess / self.n_rows, 0.0)


def customer_test(
    window: Counts, repeats: Repeats, customers: Customers, groups: Counts, *, alpha: float
) -> Verdict:
    """T = d' V^-1 d where customers repeat in, and between, the reference and the window.

    `window` int64[B] are counts, `groups` int64[B] the pooling, at least two.
    V = (D + s_w G)/m + (D + s_r G)/n - 2 o G with D = diag(p) - pp', s the excesses and o the
    overlap. T is chi-square with g - 1 degrees of freedom, or Hotelling's on the reference's
    customers (their effective number, less one) where those are few.
    """
    from scipy.special import fdtrc, fdtri

    p, g = customers.pooled(groups)
    n, m = float(customers.n_rows), float(window.sum())
    rows = (np.diag(p) - np.outer(p, p)) * (1.0 / m + 1.0 / n)
    shared = repeats.excess / m + customers.excess / n - 2.0 * repeats.overlap
    variance = (rows + shared * g)[1:, 1:]
    difference = (sum_groups(window, groups) / m - p)[1:]
    if np.linalg.eigvalsh(variance)[0] <= 0:
        variance = (rows + max(0.0, shared) * _non_negative(g))[1:, 1:]
    statistic = float(difference @ np.linalg.solve(variance, difference))
    df = len(difference)
    freedom = _freedom(rows, shared * g, customers.n_effective, df)
    to_f = (freedom - df + 1.0) / (df * freedom)
    return Verdict(
        statistic,
        float(fdtri(df, freedom - df + 1.0, 1.0 - alpha)) / to_f,
        float(fdtrc(df, freedom - df + 1.0, statistic * to_f)),
    )


def _freedom(rows: Floats, shared: Floats, n_customers: float, df: int) -> float:
    """Degrees of freedom of V by Satterthwaite: only the customers' part of it is estimated."""
    part = abs(float(np.trace(shared)) / float(np.trace(rows + shared)))
    return max(df + 4.0, (n_customers - 1.0) / max(part * part, 1e-9))


def _non_negative(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return cast("Floats", (vectors * np.maximum(values, 0.0)) @ vectors.T)
