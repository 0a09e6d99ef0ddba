"""The change point: the split of kept history that makes the change most likely."""

import os

import numpy as np
import pytest
from scipy import stats

from drift.change_point import likelihood_drop, split_counts, split_means, split_rates
from drift.history import History

N_RUNS = 400 if os.environ.get("DRIFT_LONG") else 60


def _at_least(coverage: float) -> int:
    """Fewest hits of N_RUNS that a set of this coverage gives, but for one time in a thousand."""
    return int(stats.binom.ppf(0.001, N_RUNS, coverage))


@pytest.mark.parametrize(("sigma", "median_error"), [(0.25, 60), (0.5, 15), (1.0, 4), (2.0, 1)])
def test_a_shift_of_the_mean_is_dated_to_the_row(sigma: float, median_error: int) -> None:
    """Bounds are twice the medians over 300 runs: 28, 7, 2 and 0 rows."""
    rng = np.random.default_rng(1)
    errors, covered = [], 0
    for _ in range(N_RUNS):
        rows = rng.standard_normal(1_500)
        rows[1_000:] += sigma
        split = split_means(rows)
        errors.append(abs(split.index - 1_000))
        covered += 1_000 in split.candidates
    assert np.median(errors) <= median_error
    assert covered >= _at_least(0.93)


def test_a_rise_of_the_error_rate_is_dated_to_the_row() -> None:
    rng = np.random.default_rng(2)
    errors, covered = [], 0
    for _ in range(N_RUNS):
        rows = (rng.random(4_000) < np.where(np.arange(4_000) < 3_000, 0.05, 0.2)).astype(np.int64)
        split = split_rates(rows)
        errors.append(abs(split.index - 3_000))
        covered += 3_000 in split.candidates
    assert np.median(errors) <= 15
    assert covered >= _at_least(0.93)


def test_a_shift_of_a_histogram_is_dated_to_the_window() -> None:
    rng = np.random.default_rng(3)
    before, after = np.full(10, 0.1), np.full(10, 0.1)
    after[[0, 9]] += [-0.02, 0.02]
    errors, covered = [], 0
    for _ in range(N_RUNS):
        counts = np.vstack([rng.multinomial(500, before, 60), rng.multinomial(500, after, 20)])
        split = split_counts(counts)
        errors.append(abs(split.index - 60))
        covered += 60 in split.candidates
    assert np.median(errors) <= 1
    assert covered >= _at_least(0.93)


def test_the_likelihood_ratio_is_that_of_the_formulas() -> None:
    rng = np.random.default_rng(4)
    counts = rng.multinomial(50, [0.2, 0.3, 0.5], size=6)
    split = split_counts(counts)
    sides = counts[: split.index].sum(axis=0), counts[split.index :].sum(axis=0)
    pooled = counts.sum(axis=0) / counts.sum()
    expected = sum(
        stats.multinomial.logpmf(s, s.sum(), s / s.sum())
        - stats.multinomial.logpmf(s, s.sum(), pooled)
        for s in sides
    )
    assert split.log_likelihood_ratio == pytest.approx(expected)

    values = rng.standard_normal(30)
    split = split_means(values)
    a, b = values[: split.index], values[split.index :]
    left = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    whole = ((values - values.mean()) ** 2).sum()
    assert split.log_likelihood_ratio == pytest.approx(-15 * np.log(left / whole))


def test_means_of_many_rows_weigh_more() -> None:
    """A window of two rows that strays moves the split less than one of a thousand."""
    values = np.array([0.0, 0.1, -0.1, 3.0, 0.1, 1.0, 1.1, 0.9, 1.0])
    weights = np.array([100, 100, 100, 1, 100, 100, 100, 100, 100])
    assert split_means(values, weights).index == 5
    assert split_means(values).index == 3


def test_dependent_rows_make_the_set_of_candidates_larger() -> None:
    rng = np.random.default_rng(5)
    counts = np.vstack([rng.multinomial(50, [0.5, 0.5], 40), rng.multinomial(50, [0.4, 0.6], 40)])
    sure, unsure = split_counts(counts), split_counts(counts, dispersion=5.0)
    assert unsure.index == sure.index
    assert set(sure.candidates) < set(unsure.candidates)
    assert unsure.log_likelihood_ratio == pytest.approx(sure.log_likelihood_ratio / 5)


def test_a_higher_confidence_asks_for_a_larger_drop() -> None:
    assert likelihood_drop(0.95) == pytest.approx(np.log(40))
    assert likelihood_drop(0.99) > likelihood_drop(0.95)
    with pytest.raises(ValueError, match="between"):
        likelihood_drop(1.0)


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match="1 entries"):
        split_counts(np.array([[1, 2]]))
    with pytest.raises(ValueError, match="3 entries"):
        split_means(np.zeros(3))
    with pytest.raises(ValueError, match="trials"):
        split_rates(np.array([2, 0]))
    with pytest.raises(ValueError, match="positive"):
        split_means(np.zeros(4), np.zeros(4))


def test_a_constant_has_no_better_split() -> None:
    assert split_means(np.ones(10)).log_likelihood_ratio == 0.0
    assert len(split_means(np.ones(10)).candidates) == 7


def test_kept_history_is_bounded_spans_all_time_and_is_fine_at_the_end() -> None:
    history = History(64)
    for i in range(5_000):
        history.append(np.array([1, i % 7]), start=10 * i)
        assert len(history) <= 64
    assert history.n_windows == 5_000
    assert history.starts[0] == 0
    assert (history.spans[-10:] == 1).all()
    age = history.n_windows - history.starts // 10
    assert (history.spans <= 1 + age / 4).all(), "an entry is short for its age"
    np.testing.assert_array_equal(np.diff(history.starts), 10 * history.spans[:-1])


def test_a_change_is_found_in_merged_history_within_the_grain_of_its_age() -> None:
    rng = np.random.default_rng(6)
    history = History(64)
    for i in range(3_000):
        p = [0.5, 0.3, 0.2] if i < 2_500 else [0.4, 0.35, 0.25]
        history.append(rng.multinomial(200, p), start=i)
    split = split_counts(history.totals)
    grain = int(history.spans[split.index - 1])
    assert grain <= 500 / 4
    assert abs(int(history.starts[split.index]) - 2_500) <= grain


def test_history_resumes_from_its_arrays_and_restarts_at_a_change() -> None:
    whole = History(8)
    for i in range(20):
        whole.append(np.array([i, 1.0]), start=i)
    resumed = History(8, whole.totals.copy(), whole.spans.copy(), whole.starts.copy())
    for history in (whole, resumed):
        history.append(np.array([20.0, 1.0]), start=20)
    np.testing.assert_array_equal(whole.totals, resumed.totals)
    first = int(whole.starts[3])
    whole.restart(3)
    assert int(whole.starts[0]) == first
    assert whole.n_windows == 21 - first


def test_history_takes_windows_in_order_only() -> None:
    history = History(8)
    history.append(np.array([1]), start=5)
    with pytest.raises(ValueError, match="order"):
        history.append(np.array([1]), start=4)
    with pytest.raises(ValueError, match="four"):
        History(2)
