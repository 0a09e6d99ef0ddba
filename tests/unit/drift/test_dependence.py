"""The plan picks what the reference asks for; each test is the formula it names."""

import numpy as np
import pytest
from scipy import stats

from drift.dependence import (
    block_hotelling,
    block_length,
    dependent_test,
    merge_blocks,
    plan_dependence,
    window_scale,
)
from drift.dependence.blocks import spread
from drift.dependence.pooling import halves, pool_neighbours, pool_rare, sum_groups
from drift.dependence.rare_rows import rare_rows
from tests.unit.drift.dependent_rows import N_BINS, block_counts, stream


def _reference(kind: str, n: int = 10_000, seed: int = 1) -> np.ndarray:
    values = stream(kind, n, np.random.default_rng(seed))
    edges = np.quantile(values, np.arange(1, N_BINS) / N_BINS)
    return block_counts(np.searchsorted(edges, values))


@pytest.mark.parametrize(
    ("kind", "detector"),
    [("iid", "chi_square"), ("ar0.5", "block_hotelling"), ("ar0.9", "block_hotelling")],
)
def test_rows_that_depend_on_their_neighbours_get_block_hotelling(kind: str, detector: str) -> None:
    assert plan_dependence(_reference(kind), 1_000).detector == detector


def test_a_reference_that_varies_from_window_to_window_is_its_own_scale() -> None:
    plan = plan_dependence(_reference("days"), 1_000)
    assert plan.detector == "window_scale"
    assert "varies" in plan.note
    assert plan.windows.sum(axis=1).tolist() == [1_000] * 10


def test_dispersion_is_how_many_rows_say_as_much_as_one() -> None:
    """AR(1) at 0.9: indicators of bins of a normal hang together less than its values, 19-fold."""
    strong = plan_dependence(_reference("ar0.9", 50_000), 1_000).dispersion
    weak = plan_dependence(_reference("ar0.5", 50_000), 1_000).dispersion
    assert 3 < strong < 19
    assert 1 < weak < 3
    assert plan_dependence(_reference("iid"), 1_000).dispersion == 1.0


@pytest.mark.parametrize(("kind", "least", "most"), [("iid", 20, 20), ("ar0.9", 40, 200)])
def test_the_block_length_outlasts_the_autocorrelation(kind: str, least: int, most: int) -> None:
    assert least <= block_length(_reference(kind)) <= most


def test_a_block_length_for_a_constant_is_the_shortest() -> None:
    blocks = np.zeros((100, 3), dtype=np.int64)
    blocks[:, 0] = 25
    assert block_length(blocks) == 25


def test_the_statistic_is_hotellings_of_the_blocks() -> None:
    """Against the formula of the docstring, with blocks that have stopped hanging together."""
    rng = np.random.default_rng(3)
    blocks = rng.multinomial(100, [0.2, 0.3, 0.5], size=80)
    window = rng.multinomial(1_000, [0.25, 0.3, 0.45])
    seen = spread(blocks, 100)
    d = window[1:] / 1_000 - blocks[:, 1:].sum(axis=0) / 8_000
    verdict = block_hotelling(d, seen, n_reference=8_000, n_window=1_000, alpha=0.05)
    s = np.cov(blocks[:, 1:].T / 100)
    c = 1 + 2 * (1 - 0.1) * max(0.0, seen.neighbours)
    t = d @ np.linalg.inv(c * 100 * s * (1 / 1_000 + 1 / 8_000)) @ d
    assert verdict.statistic == pytest.approx(t)
    v = seen.freedom
    assert verdict.p_value == pytest.approx(stats.f.sf(t * (v - 1) / (2 * v), 2, v - 1))
    at = verdict.threshold * (v - 1) / (2 * v)
    assert stats.f.sf(at, 2, v - 1) == pytest.approx(0.05)
    assert seen.freedom <= 79


def test_too_few_blocks_for_a_covariance_are_refused() -> None:
    blocks = spread(np.ones((4, 3), dtype=np.int64), 10)
    with pytest.raises(ValueError, match="4 blocks"):
        block_hotelling(np.zeros(3), blocks, n_reference=40, n_window=10, alpha=0.05)


def test_window_scale_is_the_f_of_its_formula() -> None:
    rng = np.random.default_rng(4)
    windows = np.stack([rng.multinomial(500, rng.dirichlet([40, 40, 20])) for _ in range(30)])
    window = rng.multinomial(500, [0.4, 0.4, 0.2])
    verdict = window_scale(window.astype(float), windows.astype(float), alpha=0.01)
    p = windows.sum(axis=0) / windows.sum()
    x2_blocks = ((windows - 500 * p) ** 2 / (500 * p)).sum(axis=1)
    d_w = x2_blocks.sum() / (29 * 2)
    assert d_w > 2, "the reference varies at the window's scale"
    plain = ((window / 500 - p) ** 2 / p).sum() / (1 / 500 + 1 / 15_000) / (d_w * 2)
    # Neighbouring windows that happen to be alike weigh the reference a little less.
    assert 0.9 * plain <= verdict.statistic <= plain * (1 + 1e-9)
    assert (verdict.statistic >= verdict.threshold) == (verdict.p_value <= 0.01)


def test_windows_that_vary_less_than_independent_rows_count_as_independent() -> None:
    """The floor of 1: every window of the reference is the same."""
    windows = np.tile([250.0, 250.0], (20, 1))
    verdict = window_scale(np.array([275.0, 225.0]), windows, alpha=0.05)
    assert verdict.statistic == pytest.approx(0.05**2 * 2 * 2 / (1 / 500 + 1 / 10_000))


@pytest.mark.parametrize("n_rare_each", [0, 1])
def test_a_nearly_constant_column_is_tested_on_its_exceptions(n_rare_each: int) -> None:
    blocks = np.zeros((100, 3), dtype=np.int64)
    blocks[:, 0] = 100
    blocks[::50, :2] += np.array([-n_rare_each, n_rare_each])
    plan = plan_dependence(blocks, 1_000)
    silent = dependent_test(np.array([1_000, 0, 0]), plan, alpha=0.001)
    loud = dependent_test(np.array([980, 0, 20]), plan, alpha=0.001)
    assert plan.detector == silent.result.detector == "rare_rows"
    assert ("constant" in plan.note) == (n_rare_each == 0)
    assert silent.result.p_value == 1.0
    assert loud.result.exceeded
    assert loud.result.effect > 0


def test_rare_rows_are_the_conditional_binomial_test() -> None:
    verdict = rare_rows(4, 3, n_reference=900, n_window=100, clump=1.0, alpha=0.05)
    expected = stats.binomtest(3, 7, 0.1, alternative="greater")
    assert verdict.p_value == pytest.approx(expected.pvalue)
    low = expected.proportion_ci(0.95, method="exact").low
    assert verdict.statistic == pytest.approx(low / 0.1)
    clumped = rare_rows(4, 3, n_reference=900, n_window=100, clump=3.0, alpha=0.05)
    assert clumped.p_value > verdict.p_value


def test_blocks_without_any_variance_do_not_break_the_test() -> None:
    """A feature that cycles within a block: S is singular, rows count as independent."""
    blocks = np.tile([5, 5, 10], (500, 1))
    plan = plan_dependence(blocks, 1_000)
    assert plan.detector == "chi_square"
    assert not dependent_test(np.array([250, 250, 500]), plan, alpha=0.05).result.exceeded
    assert dependent_test(np.array([350, 150, 500]), plan, alpha=0.05).result.exceeded


def test_a_short_reference_says_so() -> None:
    rng = np.random.default_rng(9)
    few_windows = plan_dependence(rng.multinomial(20, np.full(5, 0.2), size=100), 500)
    assert "4 windows" in few_windows.note
    few_blocks = plan_dependence(rng.multinomial(500, np.full(5, 0.2), size=30), 500)
    assert few_blocks.detector == "window_scale"
    assert "50 blocks" in few_blocks.note
    neither = plan_dependence(rng.multinomial(500, np.full(5, 0.2), size=6), 500)
    assert neither.detector == "chi_square"
    assert "independent" in neither.note


@pytest.mark.parametrize("kind", ["iid", "ar0.9", "days"])
def test_a_large_shift_is_seen_whatever_the_rows_depend_on(kind: str) -> None:
    rng = np.random.default_rng(10)
    values = stream(kind, 20_000, rng)
    edges = np.quantile(values, np.arange(1, N_BINS) / N_BINS)
    plan = plan_dependence(block_counts(np.searchsorted(edges, values)), 1_000)
    window = np.searchsorted(edges, stream(kind, 1_000, rng) + 2.0)
    seen = dependent_test(np.bincount(window, minlength=N_BINS), plan, alpha=0.001).result
    assert seen.exceeded
    assert seen.p_value <= 0.001
    assert seen.effect > 0.25
    assert (seen.n_reference, seen.n_window) == (20_000, 1_000)


def test_the_effect_is_the_callers_where_it_has_one() -> None:
    plan = plan_dependence(_reference("iid"), 1_000)
    assert dependent_test(np.full(10, 100), plan, alpha=0.05, effect=0.5).result.effect == 0.5


def test_what_does_not_fit_is_refused() -> None:
    plan = plan_dependence(_reference("iid"), 1_000)
    with pytest.raises(ValueError, match="bins"):
        dependent_test(np.ones(3, dtype=np.int64), plan, alpha=0.05)
    with pytest.raises(ValueError, match="rows"):
        dependent_test(np.zeros(N_BINS, dtype=np.int64), plan, alpha=0.05)
    with pytest.raises(ValueError, match="same number"):
        plan_dependence(np.array([[1, 2], [1, 1]]), 10)
    with pytest.raises(ValueError, match="at least one row"):
        plan_dependence(np.ones((60, 2), dtype=np.int64), 0)


def test_pooling_keeps_heavy_bins_and_joins_light_ones() -> None:
    weight = np.array([10.0, 1.0, 20.0, 2.0, 30.0])
    assert pool_rare(weight, minimum=5, max_groups=9).tolist() == [0, 0, 1, 0, 2]
    assert pool_neighbours(weight, minimum=5, max_groups=9).tolist() == [0, 0, 1, 1, 2]
    assert pool_neighbours(weight, minimum=0, max_groups=2).max() == 1
    assert pool_rare(weight, minimum=0, max_groups=2).max() == 1
    assert pool_rare(weight, minimum=5, max_groups=1).max() == 0
    assert pool_rare(np.array([5.0, 6.0]), minimum=5, max_groups=9).tolist() == [0, 1]


def test_halves_are_even_where_bins_allow() -> None:
    assert halves(np.array([0.2, 0.2, 0.1, 0.3, 0.2])).tolist() == [0, 0, 0, 1, 1]


def test_merged_blocks_leave_the_rest_out() -> None:
    blocks = np.arange(10).reshape(5, 2)
    assert merge_blocks(blocks, 2).tolist() == [[2, 4], [10, 12]]
    assert sum_groups(blocks, np.array([0, 0])).tolist() == [[1], [5], [9], [13], [17]]
