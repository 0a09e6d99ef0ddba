"""Distances of histograms against scipy, their formulas and the rate they state."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from drift.columns import Kind
from drift.nulls import expected_bin_counts
from drift.window_tests import (
    WINDOW_TESTS,
    Counts,
    corrected_psi,
    g_test,
    ks_two_sample,
    psi,
)
from drift.window_tests.chi_square import chi_square_statistic
from drift.window_tests.contract import WITH_UNSEEN
from drift.window_tests.divergences import kl_divergence, squared_hellinger, wasserstein_distance
from drift.window_tests.g_test import g_statistic
from drift.window_tests.histogram import HistogramTest, pooled
from drift.window_tests.kolmogorov_smirnov import binned_distance
from tests.unit.drift.window_counts import NULLS, OF_VALUES, counts, of_kind, run

TABLES = [
    (counts(120, 80, 60, 40, 0), counts(30, 31, 20, 25, 0)),
    (counts(500, 0, 20, 7, 0), counts(40, 3, 0, 9, 0)),
    (counts(1, 1, 1, 0), counts(5, 0, 2, 0)),
]


@pytest.mark.parametrize(("reference", "window"), TABLES)
def test_g_and_chi_square_are_scipys(reference: Counts, window: Counts) -> None:
    table = np.stack([reference, window])[:, (reference + window) > 0]
    g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    x2 = stats.chi2_contingency(table, correction=False)
    assert float(g_statistic(reference, window)) == pytest.approx(g.statistic)
    assert float(chi_square_statistic(reference, window)) == pytest.approx(x2.statistic)


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.MIXED, Kind.CATEGORY])
def test_large_samples_are_judged_by_chi_square(kind: Kind) -> None:
    reference = of_kind(kind, 20_000)
    window = of_kind(kind, 4_000)
    window[:2] += (60, -60)
    n_bins = len(reference) - (2 if kind in WITH_UNSEEN else 1)
    for name in ("g_test", "chi_square"):
        result = run(WINDOW_TESTS[name], reference, window, kind)
        assert result.p_value == pytest.approx(stats.chi2.sf(result.statistic, n_bins - 1))
        assert result.threshold == pytest.approx(stats.chi2.isf(0.01, n_bins - 1))


@pytest.mark.parametrize(("reference", "window"), TABLES)
def test_divergences_are_scipys(reference: Counts, window: Counts) -> None:
    smooth = (reference + 0.5) / (reference + 0.5).sum(), (window + 0.5) / (window + 0.5).sum()
    assert float(kl_divergence(reference, window)) == pytest.approx(
        stats.entropy(smooth[1], smooth[0])
    )
    assert float(psi(reference, window)) == pytest.approx(
        stats.entropy(smooth[1], smooth[0]) + stats.entropy(smooth[0], smooth[1])
    )
    p, q = reference / reference.sum(), window / window.sum()
    assert float(squared_hellinger(reference, window)) == pytest.approx(1 - np.sqrt(p * q).sum())
    assert float(wasserstein_distance(reference, window)) == pytest.approx(
        stats.wasserstein_distance(range(len(p)), range(len(p)), p, q) / (len(p) - 1)
    )
    rows = [np.repeat(np.arange(len(side)), side) for side in (reference, window)]
    assert float(binned_distance(reference, window)) == pytest.approx(
        stats.ks_2samp(*rows).statistic
    )


@pytest.mark.parametrize("name", ["psi", "kullback_leibler", "jensen_shannon", "hellinger"])
def test_the_reported_statistic_is_the_divergence_itself(name: str) -> None:
    reference, window = of_kind(Kind.NUMERIC, 3_000), of_kind(Kind.NUMERIC, 2_000)
    window[:2] += (80, -80)
    p, q = reference[:-1] / 3_000, window[:-1] / 2_000
    smooth = (reference[:-1] + 0.5) / 3_005, (window[:-1] + 0.5) / 2_005
    expected = {
        "psi": stats.entropy(*smooth) + stats.entropy(*smooth[::-1]),
        "kullback_leibler": stats.entropy(*smooth[::-1]),
        "jensen_shannon": jensenshannon(p, q, base=2),
        "hellinger": math.sqrt(1 - np.sqrt(p * q).sum()),
    }[name]
    result = run(WINDOW_TESTS[name], reference, window, Kind.NUMERIC)
    assert result.statistic == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m"), [(60, 40), (400, 900), (12_000, 300)])
def test_the_two_sample_test_is_scipys(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.1, 0.3, 0.5):
        reference, window = rng.normal(size=n), rng.normal(shift, size=m)
        expected = stats.ks_2samp(reference, window)
        result = ks_two_sample(np.append(reference, np.nan), window, alpha=0.05)
        assert result.statistic == pytest.approx(expected.statistic)
        assert result.p_value == pytest.approx(expected.pvalue)
        assert result.exceeded == (result.p_value <= 0.05)
        assert (result.n_reference, result.n_window) == (n, m)


def test_two_samples_of_which_one_is_empty_are_no_evidence() -> None:
    result = ks_two_sample(np.array([np.nan]), np.ones(5), alpha=0.05)
    assert (result.p_value, result.n_reference, result.n_window) == (1.0, 0, 5)


# Rates at the actual sample sizes.


@pytest.mark.parametrize("test", OF_VALUES, ids=lambda test: test.name)
@pytest.mark.parametrize(
    ("kind", "n", "m"),
    [(Kind.NUMERIC, 200, 60), (Kind.NUMERIC, 90, 400), (Kind.MIXED, 200, 60)],
)
def test_every_distance_keeps_its_rate_on_small_samples(
    test: HistogramTest, kind: Kind, n: int, m: int
) -> None:
    rng, runs = np.random.default_rng(n), 10_000 if kind is Kind.NUMERIC else 500
    if kind is Kind.NUMERIC:
        edges = np.sort(rng.random((runs, n)), axis=1)[:, np.arange(1, 10) * n // 10 - 1]
        shares = np.diff(edges, axis=1, prepend=0.0, append=1.0)
        reference = np.tile(of_kind(kind, n), (runs, 1))
    else:
        shares = np.tile([0.3, 0.02, 0.2, 0.48], (runs, 1))
        reference = np.hstack([rng.multinomial(n, shares), np.zeros((runs, 1), dtype=np.int64)])
    window = np.hstack([rng.multinomial(m, shares), np.zeros((runs, 1), dtype=np.int64)])
    results = test.columns(reference, window, kind=kind, nulls=NULLS, alpha=0.05)
    alarms = sum(result.exceeded for result in results)
    assert alarms <= stats.binom.isf(1e-6, runs, 0.05 * 1.2)
    assert alarms >= stats.binom.ppf(1e-6, runs, 0.05 / 2)  # few values: some levels are missed


def test_the_corrected_effect_is_about_the_square_of_a_shift_in_sigmas() -> None:
    rng, n, m = np.random.default_rng(3), 20_000, 2_000
    edges = stats.norm.ppf(np.arange(1, 10) / 10)
    for delta in (0.0, 0.1, 0.32, 0.45):
        shares = np.diff(stats.norm.cdf(edges - delta), prepend=0.0, append=1.0)
        window = rng.multinomial(m, shares, size=400)
        effects = corrected_psi(np.tile(expected_bin_counts(n, 10), (400, 1)), window)
        # sd of PSI about (1/n + 1/m) sqrt(2 df + 4 lambda), of a mean of 400 a twentieth of that
        spread = (1 / n + 1 / m) * math.sqrt(18 + 4 * delta**2 / (1 / n + 1 / m))
        assert abs(effects.mean() - delta**2) < 0.05 * delta**2 + 0.5 * spread


def test_the_correction_takes_off_what_chance_gives() -> None:
    """Identical data at 100 and 100 rows: PSI passes 0.1 most of the time, corrected seldom."""
    rng = np.random.default_rng(4)
    reference, window = (rng.multinomial(100, [0.1] * 10, size=4_000) for _ in range(2))
    assert (psi(reference, window) > 0.1).mean() > 0.7
    by_chance = 9 * (1 / 100 + 1 / 100)
    expected = np.maximum(psi(reference, window) - by_chance, 0.0)
    np.testing.assert_allclose(corrected_psi(reference, window), expected)


def test_rare_categories_are_pooled_by_combined_counts() -> None:
    left, right = pooled(counts(500, 3, 300, 2, 1), counts(50, 0, 30, 0, 1))
    assert left.tolist() == [500, 300, 6]
    assert right.tolist() == [50, 30, 1]
    assert pooled(counts(9, 9), counts(9, 8))[0].tolist() == [9, 9]


def test_a_value_new_to_a_constant_column_is_seen() -> None:
    """3 of 100 rows against none of 10,000: rarer than what is pooled, and no chance."""
    result = run(g_test, counts(0, 10_000, 0, 0), counts(0, 97, 3, 0), Kind.CONSTANT)
    exact = stats.fisher_exact([[0, 10_000], [3, 97]]).pvalue
    assert result.p_value == pytest.approx(exact, rel=1e-6)


def test_pooling_keeps_every_count() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        left, right = rng.poisson(rng.gamma(0.3, 20, size=(2, 12)))
        left[0] += 1
        right[1] += 1
        pooled_left, pooled_right = pooled(left, right)
        assert (pooled_left.sum(), pooled_right.sum()) == (left.sum(), right.sum())
        assert 1 <= len(pooled_left) <= 12
