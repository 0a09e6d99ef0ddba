"""Missing, unseen and out-of-range values: named, compared exactly, at the stated rate."""

import numpy as np
import pytest
from scipy import stats

from drift.columns import Kind
from drift.window_tests import (
    beyond_extremes,
    compare_rates,
    g_test,
    null_rate,
    range_rate,
    unseen_rate,
)
from drift.window_tests.g_test import g_statistic
from tests.unit.drift.window_counts import counts, of_kind, run


def test_a_rise_of_missing_values_is_named_as_that_and_not_as_a_shift() -> None:
    reference, window = of_kind(Kind.NUMERIC, 5_000, missing=50), of_kind(Kind.NUMERIC, 500)
    window[-1] = 100
    assert run(null_rate, reference, window, Kind.NUMERIC).p_value < 1e-20
    assert run(g_test, reference, window, Kind.NUMERIC).p_value > 0.99


def test_the_evidence_splits_into_missing_unseen_and_spread() -> None:
    """G of all bins is the sum of the three parts' G, so no count is used twice."""
    reference, window = counts(400, 300, 200, 9, 30), counts(35, 41, 20, 4, 9)
    parts = [
        g_statistic(reference[:3], window[:3]),
        g_statistic(counts(reference[:3].sum(), reference[3]), counts(window[:3].sum(), window[3])),
        g_statistic(counts(reference[:4].sum(), reference[4]), counts(window[:4].sum(), window[4])),
    ]
    assert float(g_statistic(reference, window)) == pytest.approx(float(sum(parts)))


@pytest.mark.parametrize(
    ("x", "n", "y", "m"), [(0, 500, 4, 50), (10, 400, 1, 90), (3, 30, 28, 30), (700, 900, 60, 90)]
)
def test_rates_are_compared_as_fisher_does(x: int, n: int, y: int, m: int) -> None:
    table = [[y, m - y], [x, n - x]]
    rise, fall = (
        stats.fisher_exact(table, alternative=side).pvalue for side in ("greater", "less")
    )
    two_sided = compare_rates("rate", x, n, y, m, alpha=0.01)
    one_sided = compare_rates("rate", x, n, y, m, alpha=0.01, rise_only=True)
    assert two_sided.p_value == pytest.approx(min(1.0, 2 * min(rise, fall)), rel=1e-6)
    assert one_sided.p_value == pytest.approx(rise, rel=1e-6)
    assert two_sided.exceeded == (two_sided.p_value <= 0.01)


def test_many_events_are_compared_about_as_fisher_does() -> None:
    table = [[240, 760], [2_000, 8_000]]
    given = compare_rates("rate", 2_000, 10_000, 240, 1_000, alpha=0.01, rise_only=True)
    exact = stats.fisher_exact(table, alternative="greater").pvalue
    assert given.p_value == pytest.approx(exact, rel=0.2)


def test_a_fall_of_missing_values_counts_a_fall_of_unseen_ones_does_not() -> None:
    reference = counts(500, 300, 100, 100)
    window = counts(200, 120, 0, 0)
    assert run(null_rate, reference, window, Kind.CATEGORY).exceeded
    assert run(unseen_rate, reference, window, Kind.CATEGORY).p_value > 0.999


@pytest.mark.parametrize(("n", "y", "m"), [(50, 3, 40), (1_000, 9, 500), (100, 0, 10), (20, 6, 6)])
def test_values_beyond_the_references_extremes_are_beta_binomial(n: int, y: int, m: int) -> None:
    given = beyond_extremes(n, y, m, alpha=0.01).p_value
    assert given == pytest.approx(stats.betabinom.sf(y - 1, m, 2, n - 1), rel=1e-6)


def test_values_beyond_the_references_extremes_keep_their_rate() -> None:
    rng, runs, n, m = np.random.default_rng(9), 4_000, 100, 300
    values = rng.normal(size=(runs, n))
    window = rng.normal(size=(runs, m))
    low, high = values.min(axis=1)[:, None], values.max(axis=1)[:, None]
    outside = ((window < low) | (window > high)).sum(axis=1)
    alarms = sum(beyond_extremes(n, y, m, alpha=0.05).exceeded for y in outside.tolist())
    assert stats.binom.ppf(1e-6, runs, 0.03) <= alarms <= stats.binom.isf(1e-6, runs, 0.05)


def test_declared_bounds_are_compared_with_how_often_the_reference_broke_them() -> None:
    assert range_rate(100, 1_000, 10, 100, alpha=0.01).p_value > 0.3
    assert range_rate(0, 1_000, 10, 100, alpha=0.01).p_value < 1e-8
    assert range_rate(100, 1_000, 0, 100, alpha=0.01).p_value > 0.99


@pytest.mark.parametrize("m", [100, 1_000])
def test_new_values_are_expected_where_many_are_rare(m: int) -> None:
    """Categories by Zipf's law: a window always holds unseen ones, and that is no drift."""
    rng, n, runs = np.random.default_rng(m), 1_000, 600
    shares = 1 / np.arange(1, 81) ** 1.2
    shares /= shares.sum()
    alarms = naive = 0
    for _ in range(runs):
        reference, window = rng.multinomial(n, shares), rng.multinomial(m, shares)
        known = reference > 0
        left = np.append(reference[known], (0, 0))
        right = np.append(window[known], (window[~known].sum(), 0))
        alarms += run(unseen_rate, left, right, Kind.CATEGORY).exceeded
        naive += compare_rates("rate", 0, n, int(right[-2]), m, alpha=0.01).exceeded
    assert alarms <= stats.binom.isf(1e-4, runs, 0.015)
    assert naive >= alarms
