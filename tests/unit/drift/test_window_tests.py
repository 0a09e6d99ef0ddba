"""Tests of windows: one suite over all of them, then each against scipy or its formula."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from drift.columns import Kind
from drift.nulls import Nulls, expected_bin_counts
from drift.result import Result
from drift.window_tests import (
    WINDOW_TESTS,
    Counts,
    WindowTest,
    beyond_extremes,
    compare_rates,
    corrected_psi,
    each_column,
    g_test,
    ks_binned,
    ks_two_sample,
    null_rate,
    psi,
    range_rate,
    unseen_rate,
)
from drift.window_tests.chi_square import chi_square_statistic
from drift.window_tests.contract import WITH_UNSEEN
from drift.window_tests.divergences import kl_divergence, squared_hellinger, wasserstein_distance
from drift.window_tests.g_test import g_statistic
from drift.window_tests.histogram import HistogramTest, pooled
from drift.window_tests.kolmogorov_smirnov import binned_distance

NULLS = Nulls(seed=11, n_draws=50_000)
CASES = [
    pytest.param(test, kind, id=f"{name}-{kind}")
    for name, test in WINDOW_TESTS.items()
    for kind in Kind
    if kind in test.kinds
]
OF_VALUES = [test for test in WINDOW_TESTS.values() if isinstance(test, HistogramTest)]


def counts(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


def of_kind(kind: Kind, n: int, missing: int = 0) -> Counts:
    """Counts of a column with `n` values."""
    shares = {
        Kind.NUMERIC: [0.1] * 10,
        Kind.MIXED: [0.3, 0.1, 0.2, 0.4],
        Kind.DISCRETE: [0.5, 0.2, 0.3, 0.0],
        Kind.CONSTANT: [0.0, 1.0, 0.0],
        Kind.CATEGORY: [0.4, 0.3, 0.2, 0.1, 0.0],
    }[kind]
    if kind is Kind.NUMERIC:
        return np.append(expected_bin_counts(n, 10), missing)
    return np.append(np.round(np.array(shares) * n).astype(np.int64), missing)


def moved(test: WindowTest, kind: Kind, m: int) -> Counts:
    """What `test` should see at once: all in the first bin, or unseen, or missing."""
    window = np.zeros_like(of_kind(kind, m))
    window[{null_rate: -1, unseen_rate: -2}.get(test, 0)] = m  # type: ignore[call-overload]
    return window


def run(test: WindowTest, reference: Counts, window: Counts, kind: Kind = Kind.MIXED) -> Result:
    with np.errstate(all="raise", under="ignore"):
        return test(reference, window, kind=kind, nulls=NULLS, alpha=0.01)


@pytest.mark.parametrize(("test", "kind"), CASES)
class TestEveryWindowTest:
    def test_equal_proportions_are_no_evidence(self, test: WindowTest, kind: Kind) -> None:
        result = run(test, of_kind(kind, 1_000, missing=20), of_kind(kind, 100, missing=2), kind)
        assert result.p_value > 0.7
        assert result.effect == pytest.approx(0.0, abs=1e-9)
        assert not result.exceeded

    @pytest.mark.parametrize(("n", "m"), [(1_000, 100), (10_000, 5_000), (60, 50)])
    def test_a_huge_shift_has_a_tiny_p_value_and_a_large_effect(
        self, test: WindowTest, kind: Kind, n: int, m: int
    ) -> None:
        result = run(test, of_kind(kind, n), moved(test, kind, m), kind)
        assert result.p_value < (1e-6 if m > 50 else 1e-5)
        assert result.effect > 0.3
        assert result.exceeded

    @pytest.mark.parametrize("m", [1, 7, 100, 5_000])
    def test_it_exceeds_its_threshold_exactly_when_p_is_at_most_alpha(
        self, test: WindowTest, kind: Kind, m: int
    ) -> None:
        rng = np.random.default_rng(m)
        reference = of_kind(kind, 1_000, missing=30)
        for sharpness in (30.0, 1_000.0):
            shares = rng.dirichlet(1e-3 + sharpness * reference / reference.sum())
            result = run(test, reference, rng.multinomial(m, shares), kind)
            assert 0.0 <= result.p_value <= 1.0
            assert result.effect >= 0.0
            assert result.exceeded == (result.p_value <= 0.01)
            assert all(map(math.isfinite, (result.statistic, result.effect)))

    def test_sizes_are_those_of_what_it_looked_at(self, test: WindowTest, kind: Kind) -> None:
        reference, window = of_kind(kind, 1_000, missing=50), of_kind(kind, 100, missing=7)
        result = run(test, reference, window, kind)
        missing = test.name == "null_rate"
        assert (result.n_reference, result.n_window) == ((1_050, 107) if missing else (1_000, 100))
        assert result.detector == test.name

    def test_an_empty_side_is_no_evidence_and_the_sizes_say_why(
        self, test: WindowTest, kind: Kind
    ) -> None:
        full = of_kind(kind, 100)
        for reference, window in ((full, full * 0), (full * 0, full), (full * 0, full * 0)):
            result = run(test, reference, window, kind)
            assert (result.p_value, result.effect, result.exceeded) == (1.0, 0.0, False)
            assert result.n_reference == reference.sum()
            assert result.n_window == window.sum()

    def test_columns_at_once_answer_as_one_by_one(self, test: WindowTest, kind: Kind) -> None:
        rng = np.random.default_rng(1)
        reference = np.stack([of_kind(kind, n, missing=n // 50) for n in (200, 1_000, 9_000)])
        window = np.stack(
            [
                rng.multinomial(m, row / row.sum())
                for row, m in zip(reference, (90, 90, 4_000), strict=True)
            ]
        )
        window[1] = 0
        together = test.columns(reference, window, kind=kind, nulls=NULLS, alpha=0.01)
        assert together == [run(test, *pair, kind) for pair in zip(reference, window, strict=True)]

    def test_what_cannot_be_judged_raises(self, test: WindowTest, kind: Kind) -> None:
        good = of_kind(kind, 100)
        with pytest.raises(ValueError, match="do not compare"):
            run(test, good, good[:-1], kind)
        with pytest.raises(ValueError, match="negative"):
            run(test, good, good - 50, kind)
        with pytest.raises(ValueError, match="alpha"):
            test(good, good, kind=kind, nulls=NULLS, alpha=0.0)
        with pytest.raises(ValueError, match="value bin"):
            run(test, good[:1], good[:1], kind)


def test_a_test_that_needs_an_order_refuses_categories() -> None:
    with pytest.raises(ValueError, match="ks_binned does not apply to category"):
        run(ks_binned, of_kind(Kind.CATEGORY, 50), of_kind(Kind.CATEGORY, 50), Kind.CATEGORY)


def test_tests_are_registered_under_their_names() -> None:
    assert all(name == test.name for name, test in WINDOW_TESTS.items())
    assert {"g_test", "null_rate", "unseen_rate"} <= WINDOW_TESTS.keys()


def test_columns_of_any_kind_are_tested_in_their_order() -> None:
    kinds: Sequence[Kind] = [Kind.CATEGORY, Kind.NUMERIC, Kind.DISCRETE, Kind.NUMERIC]
    references = [of_kind(kind, 1_000) for kind in kinds]
    windows = [moved(ks_binned, kind, 100 + i) for i, kind in enumerate(kinds)]
    results = each_column(ks_binned, references, windows, kinds, nulls=NULLS, alpha=0.01)
    assert results[0] is None
    assert [result and result.n_window for result in results] == [None, 101, 102, 103]


# The same numbers as scipy, and the formulas.

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


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.MIXED])
@pytest.mark.parametrize("test", OF_VALUES, ids=lambda test: test.name)
@pytest.mark.parametrize(("n", "m"), [(200, 60), (90, 400)])
def test_every_distance_keeps_its_rate_on_small_samples(
    test: HistogramTest, kind: Kind, n: int, m: int
) -> None:
    rng, runs = np.random.default_rng(n), 10_000 if kind is Kind.NUMERIC else 1_000
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


# Missing, unseen, out of range.


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
