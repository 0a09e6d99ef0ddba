"""Long moods: how far quarters of the reference lie apart, and what a p-value is worth beside that.

A feature that looks back 30 days moves for weeks without any drift. Windows of such a column agree
with their neighbours and not with a reference of another month, and every test that takes them for
independent draws notices it. What the reference shows of it is how far its own quarters lie apart.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drift.dependence import Plan
from drift.dependence.pooling import sum_groups
from drift.dependence.window_scale import effective_df
from drift.result import Result

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

QUARTERS = 4
"""Few enough that a quarter is long, enough that their variance has a bound at all."""

SEEN = 0.05
"""Rate at which quarters of a steady column are taken to lie apart: that costs it some power."""

BOUND = 0.01
"""Chance that the variance of moods is more than its bound. Four quarters show little of it: the
bound is 4 to 25 times what was seen (docs/drift/long-run.md)."""

DOUBT = 0.05
"""The same for a mood too small to be seen, which only evidence of many windows would find."""

MIN_RARE_ROWS = 20
"""Fewer rows outside the usual bin say nothing about quarters."""


@dataclass(frozen=True, slots=True)
class Mood:
    """How a column moves in the long run, by its reference alone. PSIs are those of a window far
    from the reference, beyond chance.

    `psi` bounds it where quarters lie apart, else 0; `doubt` is what may hide where they do not,
    else 0. `df` and `dispersion` are of the column's test: what a row is worth there. `p_value` is
    that of quarters that lie so far apart.
    """

    psi: float
    doubt: float
    df: int
    dispersion: float
    p_value: float

    @property
    def seen(self) -> bool:
        return self.psi > 0

    def allow(self, result: Result) -> Result:
        """The result of a test of values, with the column's mood among what chance may do."""
        if not self.seen:
            return result
        factor = self._factor(self.psi, result)
        p_value = _p_value(result.p_value, factor, self.df)
        return replace(result, p_value=p_value, threshold=result.threshold * factor)

    def evidence(self, result: Result) -> float:
        """The p-value that may be added up over windows: NaN, none, where a mood is seen, for then
        neighbours share it; else larger than the test's by as much as a hidden mood could make it.
        """
        if self.seen:
            return float("nan")
        return _p_value(result.p_value, self._factor(self.doubt, result), self.df)

    def _factor(self, psi: float, result: Result) -> float:
        """How much larger X2 is, in the mean, for a window that lies `psi` off."""
        rows = result.n_window / (1.0 + result.n_window / max(1, result.n_reference))
        return 1.0 + rows * psi / (self.df * self.dispersion)


def mood_of(block_counts: Counts, plan: Plan) -> Mood:
    """The mood of a column whose reference has blocks int64[K, B], tested by `plan`.

    X2 of the quarters against all of them is chi-square with 3 df degrees of freedom for rows of
    the plan's dispersion. Where it is more, moods are taken to move f directions (`effective_df` of
    the quarters), so that their variance is known with 3 f degrees of freedom.
    """
    from scipy.special import chdtrc, chdtri

    groups = _grouped(block_counts, plan)
    length = len(groups) // QUARTERS
    df = max(1, groups.shape[1] - 1)
    dispersion = max(1.0, plan.dispersion)
    if length == 0 or groups.shape[1] < 2:
        return Mood(0.0, 0.0, df, dispersion, 1.0)
    quarters = groups[len(groups) - QUARTERS * length :].reshape(QUARTERS, length, -1).sum(axis=1)
    n = float(quarters[0].sum())
    expected = quarters.mean(axis=0)
    scaled = (quarters - expected) / np.sqrt(np.maximum(expected, 1e-12))
    x2, free = float((scaled * scaled).sum()), QUARTERS - 1
    p_value = float(chdtrc(free * df, x2 / dispersion))
    if p_value > SEEN:
        most = free * df / float(chdtri(free * df, 1.0 - DOUBT))
        return Mood(0.0, (most - 1.0) * df * dispersion / n, df, dispersion, p_value)
    freedom = free * min(effective_df(scaled.T @ scaled / free), float(df))
    most = x2 / free * freedom / float(chdtri(freedom, 1.0 - BOUND))
    psi = max(0.0, most - df * dispersion) / n
    return Mood(psi, 0.0, df, max(dispersion, _of_windows(plan)), p_value)


def _grouped(block_counts: Counts, plan: Plan) -> Floats:
    """Blocks over the groups that the plan tests, float64[K, g], none of them empty."""
    if plan.groups.max() > 0:
        grouped = sum_groups(block_counts, plan.groups)
    else:
        usual = block_counts[:, int(block_counts.sum(axis=0).argmax())]
        rare = block_counts.sum(axis=1) - usual
        if rare.sum() < MIN_RARE_ROWS:
            return np.zeros((len(block_counts), 1))
        grouped = np.column_stack([rare, usual]).astype(np.float64)
    return grouped[:, grouped.sum(axis=0) > 0]


def _of_windows(plan: Plan) -> float:
    """The dispersion of a window-scale test, 1 for the others."""
    if not len(plan.windows):
        return 1.0
    windows = sum_groups(plan.windows, plan.groups)
    windows = windows[:, windows.sum(axis=0) > 0]
    expected = windows.mean(axis=0)
    x2 = ((windows - expected) ** 2 / expected).sum()
    return float(x2 / (max(1, len(windows) - 1) * max(1, windows.shape[1] - 1)))


def _p_value(p_value: float, factor: float, df: int) -> float:
    """P(factor times chi-square(df) >= x), x being where the test's p-value lies without it."""
    from scipy.special import chdtrc, chdtri

    if factor == 1.0:
        return p_value
    return float(chdtrc(df, float(chdtri(df, max(p_value, 1e-300))) / factor))
