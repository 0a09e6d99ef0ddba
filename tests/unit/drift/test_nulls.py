"""Nulls: what a statistic does when nothing changed, at the actual sample sizes."""

import math

import numpy as np
import pytest
from scipy.stats import binom, chi2, fisher_exact, kstwobign

from drift.nulls import (
    ChiSquareNull,
    Nulls,
    draw_order_statistics,
    expected_bin_counts,
    nearby_size,
    simulated_null,
)
from drift.window_tests.g_test import g_statistic

ALPHAS = (0.3, 0.05, 0.01, 1e-3, 1e-5, 1e-8)


def nulls(n_draws: int = 50_000, **options: int) -> Nulls:
    return Nulls(seed=3, n_draws=n_draws, **options)


def test_the_chi_square_null_is_scipys() -> None:
    null, statistics = ChiSquareNull(9), np.array([0.0, 3.0, 27.9, 60.0])
    np.testing.assert_allclose(null.p_value(statistics), chi2.sf(statistics, 9), rtol=1e-12)
    for alpha in ALPHAS:
        assert null.threshold(alpha) == pytest.approx(chi2.isf(alpha, 9))


def test_one_bin_never_exceeds_anything() -> None:
    null = ChiSquareNull(0)
    assert null.p_value(np.array([0.0, 5.0])).tolist() == [1.0, 1.0]
    assert null.threshold(0.01) == math.inf


def test_a_simulated_null_gives_the_shares_of_its_draws() -> None:
    draws = np.random.default_rng(1).gamma(4.5, 2.0, 200_000)
    null = simulated_null(draws)
    for t in np.quantile(draws, [0.01, 0.2, 0.5, 0.9, 0.99]):
        assert null.p_value(np.array([t]))[0] == pytest.approx((draws >= t).mean(), rel=0.01)
    assert null.mean == pytest.approx(draws.mean())


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_threshold_is_where_the_p_value_reaches_alpha(alpha: float) -> None:
    null = simulated_null(np.random.default_rng(2).gamma(2.0, 2.0, 100_000))
    t = null.threshold(alpha)
    assert null.p_value(np.array([t]))[0] == pytest.approx(alpha, rel=1e-6)
    assert null.p_value(np.array([t * (1 + 1e-6)]))[0] <= alpha
    assert null.p_value(np.array([t * (1 - 1e-6)]))[0] > alpha


@pytest.mark.parametrize("df", [1, 4, 9, 19])
def test_the_tail_beyond_the_draws_errs_to_the_safe_side_and_by_little(df: int) -> None:
    """200,000 draws, p-values down to one in a hundred million: chi-square is known there."""
    null = simulated_null(np.random.default_rng(df).chisquare(df, 200_000))
    for p in (1e-3, 1e-4, 1e-5, 1e-6, 1e-8):
        given = float(null.p_value(np.array([chi2.isf(p, df)]))[0])
        # 1,000 draws carry the tail: 3% of its scale, times the distance in scales, at 4 SE.
        noise = math.exp(4 * (math.log(5e-3 / p) + 1) / math.sqrt(1_000))
        assert p / noise < given < 25 * p * noise


def test_values_with_mass_count_as_reached() -> None:
    """A statistic of few values: P(T >= t) includes t, and t a rounding error below it."""
    draws = np.random.default_rng(4).integers(0, 3, 30_000).astype(np.float64)
    null = simulated_null(draws)
    for t in (1.0, 1.0 - 1e-12, 1.0 + 1e-12):
        assert null.p_value(np.array([t]))[0] == pytest.approx((draws >= 1).mean(), rel=1e-3)
    assert null.p_value(np.array([2.0]))[0] == pytest.approx((draws == 2).mean(), rel=1e-3)
    assert 0 < null.p_value(np.array([2.5]))[0] < (draws == 2).mean()


def test_a_statistic_that_never_moves_is_never_exceeded() -> None:
    null = simulated_null(np.zeros(10_000))
    assert null.p_value(np.array([0.0]))[0] == 1.0
    assert null.threshold(0.01) > 0.0


@pytest.mark.parametrize(("n", "n_bins"), [(50, 20), (7, 3), (10_000, 10), (3, 5)])
def test_expected_bin_counts_are_the_gaps_of_rounded_ranks(n: int, n_bins: int) -> None:
    counts = expected_bin_counts(n, n_bins)
    assert counts.sum() == n
    assert counts.tolist() == [
        int((k + 1) * n / n_bins + 0.5) - int(k * n / n_bins + 0.5) for k in range(n_bins)
    ]


def test_draws_are_what_values_cut_at_their_order_statistics_give() -> None:
    """Against values themselves: normal rows, edges from the reference, counts of the window."""
    rng, n, m, n_bins, runs = np.random.default_rng(6), 60, 40, 5, 40_000
    reference = np.sort(rng.normal(size=(runs, n)), axis=1)
    edges = reference[:, [round(k * n / n_bins) - 1 for k in range(1, n_bins)]]
    window = rng.normal(size=(runs, m))
    bins = (window[:, :, None] > edges[:, None, :]).sum(axis=2)
    counts = np.stack([(bins == k).sum(axis=1) for k in range(n_bins)], axis=1)
    direct = g_statistic(expected_bin_counts(n, n_bins), counts)
    drawn = draw_order_statistics(rng, g_statistic, n, m, n_bins, n_draws=200_000)
    for alpha in (0.2, 0.05, 0.01):
        seen = int((direct >= np.quantile(drawn, 1 - alpha)).sum())
        # the quantile's own noise is a fifth of the runs' variance: 1.2 of it, at one in 100,000
        half = 4.4 * math.sqrt(1.2 * runs * alpha * (1 - alpha))
        assert abs(seen - runs * alpha) < half


def test_taking_sizes_to_the_nearest_in_the_grid_moves_rates_little() -> None:
    """The worst case: both sizes 4% off, samples as small as rounding starts."""
    n, m, n_bins = 73, 73, 20
    assert nearby_size(n) == 76
    drawn = draw_order_statistics(
        np.random.default_rng(1), g_statistic, n, m, n_bins, n_draws=300_000
    )
    null = nulls(300_000).order_statistics(g_statistic, n=n, m=m, n_bins=n_bins)
    for alpha in (0.05, 0.01, 0.001):
        seen = int((drawn >= null.threshold(alpha)).sum())
        noise = 4.4 * math.sqrt(2 * len(drawn) * alpha)
        assert abs(seen - alpha * len(drawn)) < noise + 0.05 * alpha * len(drawn)


def test_sizes_are_at_most_a_sixteenth_of_an_octave_off() -> None:
    sizes = np.unique(np.geomspace(1, 1e9, 500).astype(int)).tolist()
    for size in sizes:
        assert nearby_size(size) == pytest.approx(size, rel=2 ** (1 / 16) - 1 + 1e-2)
    assert [nearby_size(size) for size in (1, 50, 64)] == [1, 50, 64]


def test_windows_of_about_one_size_share_a_null() -> None:
    kept = nulls(10_000)
    for m in range(1_000, 1_040):
        kept.order_statistics(g_statistic, n=10_000, m=m, n_bins=10)
    assert len(kept) == 1


def test_the_cache_is_bounded_and_forgets_the_longest_unused() -> None:
    kept = nulls(10_000, max_cached=2)
    first = kept.order_statistics(g_statistic, n=100, m=20, n_bins=5)
    kept.order_statistics(g_statistic, n=100, m=21, n_bins=5)
    assert kept.order_statistics(g_statistic, n=100, m=20, n_bins=5) is first
    kept.order_statistics(g_statistic, n=100, m=22, n_bins=5)
    assert len(kept) == 2
    assert kept.order_statistics(g_statistic, n=100, m=20, n_bins=5) is first


def test_a_cached_null_takes_a_few_kilobytes() -> None:
    null = nulls(200_000).order_statistics(g_statistic, n=1_000, m=100, n_bins=10)
    assert null.values.nbytes + null.log_p.nbytes < 8_000
    assert null.values.base is None


def test_the_same_seed_gives_the_same_null_in_whatever_order_they_are_asked_for() -> None:
    one, other = nulls(10_000), nulls(10_000)
    other.order_statistics(g_statistic, n=50, m=50, n_bins=5)
    np.testing.assert_array_equal(
        one.order_statistics(g_statistic, n=80, m=30, n_bins=5).values,
        other.order_statistics(g_statistic, n=80, m=30, n_bins=5).values,
    )


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10,000"):
        Nulls(seed=1, n_draws=500)


@pytest.mark.parametrize("table", [((30, 10), (9, 12)), ((50, 3), (10, 2)), ((200, 20), (22, 18))])
def test_the_permutation_null_of_two_categories_is_fishers(
    table: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    """Ordered by G, not by probability: the sum of what is at least as far, from scipy's terms."""
    from scipy.stats import hypergeom

    reference, window = np.array(table[0]), np.array(table[1])
    combined, m = reference + window, int(window.sum())
    possible = np.arange(max(0, m - combined[1]), min(m, combined[0]) + 1)
    tables = np.stack([possible, m - possible], axis=1)
    observed = float(g_statistic(reference, window))
    g = g_statistic(combined - tables, tables)
    weights = hypergeom(combined.sum(), combined[0], m).pmf(possible)
    exact = weights[g >= observed - 1e-9].sum()
    null = nulls().permutation(g_statistic, reference, window)
    given = float(null.p_value(np.array([observed]))[0])
    assert given == pytest.approx(exact, rel=1e-6)
    assert (given < 0.05) == (fisher_exact(table).pvalue < 0.05)


def test_the_permutation_null_keeps_its_rate_with_rare_categories() -> None:
    rng, kept, runs = np.random.default_rng(12), nulls(), 3_000
    shares = np.array([0.6, 0.3, 0.05, 0.03, 0.01, 0.01])
    p = []
    for _ in range(runs):
        reference, window = rng.multinomial(200, shares), rng.multinomial(50, shares)
        null = kept.permutation(g_statistic, reference, window)
        p.append(float(null.p_value(g_statistic(reference, window)[None])[0]))
    for alpha in (0.05, 0.01):
        alarms = int((np.array(p) <= alpha).sum())
        assert alarms <= binom.isf(1e-5, runs, alpha * 1.1)
        assert alarms >= binom.ppf(1e-5, runs, alpha / 2)


def test_a_kolmogorov_null_of_many_bins_nears_kolmogorovs_limit() -> None:
    from drift.window_tests.kolmogorov_smirnov import ks_binned

    null = nulls(100_000).order_statistics(ks_binned.standardised, n=20_000, m=20_000, n_bins=200)
    assert null.threshold(0.05) ** 0.5 == pytest.approx(kstwobign.isf(0.05), rel=0.04)
