"""Dependent rows without drift: realised over nominal rate of false alarms, through the plan.

Thinned here, with bounds from the binomial; docs/drift/dependent-rows.md has the whole table and
the command (`DRIFT_LONG=1` runs its cells here too, against the bounds of the promise).
"""

import os

import pytest
from scipy import stats

from tests.unit.drift.dependent_rows import CELLS, Cell, realised, simulate

LONG = bool(os.environ.get("DRIFT_LONG"))
N_WINDOWS = 5


@pytest.mark.parametrize(
    "kind", ["iid", "ar0.5", "ar0.9", "runs", "customers", "sampled", "turnover"]
)
def test_a_feature_of_dependent_rows_keeps_its_rate_within_half_as_much_again(kind: str) -> None:
    """One feature, n = 10 m. Windows of one reference share its error: bounds count references."""
    n_references = 300
    p, _ = simulate(Cell(kind, 10_000, 1_000), n_references, N_WINDOWS, seed=21)
    for alpha in (0.05, 0.01):
        worst = (p <= alpha).mean() * n_references
        assert worst <= stats.binom.ppf(0.999, n_references, 1.5 * alpha)
    assert (p <= 0.2).mean() * n_references >= stats.binom.ppf(0.001, n_references, 0.2 / 1.5)


def test_windows_that_do_not_say_whose_their_rows_are_never_alarm_more_often() -> None:
    """Their customers count as new ones: silent where they are the reference's."""
    n_references = 300
    p, used = simulate(Cell("unknown", 10_000, 1_000), n_references, N_WINDOWS, seed=24)
    assert "customer_covariance" in used
    for alpha in (0.05, 0.01):
        worst = (p <= alpha).mean() * n_references
        assert worst <= stats.binom.ppf(0.999, n_references, alpha)


@pytest.mark.parametrize("kind", ["ar0.9", "runs", "turnover"])
def test_the_same_rows_without_the_correction_alarm_all_the_time(kind: str) -> None:
    """What the correction is for; and that these streams would show it missing."""
    p, _ = simulate(Cell(kind, 10_000, 1_000), 60, N_WINDOWS, seed=22, corrected=False)
    assert (p <= 0.05).mean() >= 3 * 0.05


@pytest.mark.skipif(not LONG, reason="long form: DRIFT_LONG=1")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("cell", [c for c in CELLS if c.kind != "days"], ids=str)
def test_the_promise_holds_in_every_cell(cell: Cell) -> None:
    p, _ = simulate(cell, 4_000, N_WINDOWS, seed=23)
    rates = realised(p)
    n = p.size
    for alpha, most in ((0.05, 1.5), (0.01, 1.5)):
        bound = stats.binom.ppf(0.999, n, most * alpha) / n / alpha
        assert rates[f"1 @ {alpha}"] <= bound
    for alpha, most in ((0.05, 1.5), (0.01, 2.5)):
        bound = stats.binom.ppf(0.999, n, most * alpha / 30) * 30 / n / alpha
        assert rates[f"30 @ {alpha}"] <= bound
