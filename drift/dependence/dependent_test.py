"""A window against a reference whose rows depend on each other, as its plan says."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.dependence.block_hotelling import Verdict, block_hotelling
from drift.dependence.customers import Customers, Repeats, customer_test
from drift.dependence.plan import Plan
from drift.dependence.pooling import sum_groups
from drift.dependence.rare_rows import rare_rows
from drift.dependence.window_scale import window_scale
from drift.result import Result

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dependent:
    """A corrected result and the sentence that says which correction it is."""

    result: Result
    note: str


def dependent_test(
    window: Counts,
    plan: Plan,
    *,
    alpha: float,
    customers: Customers | None = None,
    repeats: Repeats | None = None,
    effect: float | None = None,
) -> Dependent:
    """Test window counts int64[B] as `plan` says; the result names the detector, the note why.

    A plan on customers needs the reference's `customers` (ValueError) and how the window's repeat;
    without `repeats` they are taken for `Customers.steady`. `effect` is the caller's; without one
    it is the corrected PSI of the pooled groups: PSI less what chance gives on rows this dependent.
    A window of other bins than the reference, or without rows, is a ValueError.
    """
    n_window, n_reference = int(window.sum()), int(plan.counts.sum())
    if n_window < 1 or window.shape != plan.counts.shape:
        raise ValueError("a window needs rows, and the bins of the reference")
    if plan.detector == "rare_rows":
        usual = int(plan.counts.argmax())
        verdict = rare_rows(
            n_reference - int(plan.counts[usual]),
            n_window - int(window[usual]),
            n_reference=n_reference,
            n_window=n_window,
            clump=plan.dispersion,
            alpha=alpha,
        )
    elif plan.detector == "customer_covariance":
        if customers is None:
            raise ValueError("this plan needs the customers of the reference")
        repeats = repeats or customers.steady(n_window)
        verdict = customer_test(window, repeats, customers, plan.groups, alpha=alpha)
    else:
        verdict = _by_counts(sum_groups(window, plan.groups), plan, alpha)
    if effect is None:
        effect = _corrected_psi(window, plan)
    result = Result(
        plan.detector,
        verdict.statistic,
        verdict.threshold,
        verdict.p_value,
        effect,
        n_reference,
        n_window,
    )
    return Dependent(result, plan.note)


def _by_counts(window: Floats, plan: Plan, alpha: float) -> Verdict:
    """`window` float[g] by groups, for the plans that need nothing but counts."""
    if plan.detector == "window_scale":
        return window_scale(window, sum_groups(plan.windows, plan.groups), alpha=alpha)
    counts = sum_groups(plan.counts, plan.groups)
    n, m = counts.sum(), window.sum()
    p = counts / n
    difference = window / m - p
    if plan.detector == "block_hotelling":
        assert plan.blocks is not None
        return block_hotelling(
            difference[1:], plan.blocks, n_reference=int(n), n_window=int(m), alpha=alpha
        )
    return _chi_square(difference, p, 1.0 / m + 1.0 / n, alpha)


def _chi_square(difference: Floats, p: Floats, scale: float, alpha: float) -> Verdict:
    from scipy.special import chdtrc, chdtri

    df = len(p) - 1
    statistic = float((difference * difference / p).sum() / scale)
    return Verdict(statistic, float(chdtri(df, alpha)), float(chdtrc(df, statistic)))


def _corrected_psi(window: Counts, plan: Plan) -> float:
    """PSI of the groups, half a row added to each, less its mean when nothing has changed."""
    groups = plan.groups
    if plan.detector == "rare_rows":
        groups = (np.arange(len(plan.counts)) == plan.counts.argmax()).astype(np.int64)
    r, w = sum_groups(plan.counts, groups) + 0.5, sum_groups(window, groups) + 0.5
    p, q = r / r.sum(), w / w.sum()
    chance = (len(p) - 1) * (1.0 / plan.counts.sum() + 1.0 / window.sum()) * plan.dispersion
    return float(((q - p) * np.log(q / p)).sum() - chance)
