"""The domain classifier: its rate on identical rows, and what it sees that no column shows."""

import os

import numpy as np
import pytest
from scipy import stats

from drift.multivariate import MAX_ROWS, domain_classifier
from drift.result import Result

LONG = os.environ.get("DRIFT_LONG") == "1"
N_RUNS = 2_000 if LONG else 120


def judge(
    reference: np.ndarray, window: np.ndarray, *, seed: int = 0, block: int = 1, alpha: float = 0.05
) -> Result:
    return domain_classifier(
        reference,
        window,
        alpha=alpha,
        generator=np.random.default_rng(seed),
        n_permutations=99,
        block=block,
    )


def correlated(rng: np.random.Generator, n: int, rho: float, n_features: int = 8) -> np.ndarray:
    """Standard normal columns, the first two correlated by rho."""
    rows = rng.normal(size=(n, n_features))
    rows[:, 1] = rho * rows[:, 0] + np.sqrt(1 - rho**2) * rows[:, 1]
    return rows


@pytest.mark.parametrize("kind", ["normal", "heavy", "unequal sizes", "many columns"])
def test_identical_rows_exceed_at_the_stated_rate(kind: str) -> None:
    rng = np.random.default_rng(1)
    n, m = (400, 80) if kind == "unequal sizes" else (150, 150)
    n_features = 20 if kind == "many columns" else 5
    exceeded = 0
    for seed in range(N_RUNS):
        rows = rng.normal(size=(n + m, n_features))
        if kind == "heavy":
            rows = rng.standard_t(2, size=(n + m, n_features))
        exceeded += judge(rows[:n], rows[n:], seed=seed).exceeded

    assert exceeded <= stats.binom.ppf(0.9995, N_RUNS, 0.05)
    assert exceeded >= stats.binom.ppf(0.0005, N_RUNS, 0.05)


@pytest.mark.parametrize(("n", "block"), [(800, 120), (4_000, 40)])
def test_dependent_rows_keep_the_rate_by_blocks_and_not_without(n: int, block: int) -> None:
    """AR(1) 0.9, by blocks of 6 times the autocorrelation time, or of 2 with gaps between them."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(2)
    n_runs = N_RUNS // 2
    by_rows = by_blocks = 0
    for seed in range(n_runs):
        rows = lfilter([1.0], [1.0, -0.9], rng.normal(size=(2 * n + 100, 3)), axis=0)[100:]
        by_rows += judge(rows[:800], rows[-800:], seed=seed).exceeded
        by_blocks += judge(rows[:n], rows[n:], seed=seed, block=block).exceeded

    assert by_blocks <= stats.binom.ppf(0.9995, n_runs, 0.075)
    assert by_rows > n_runs // 2


@pytest.mark.parametrize("seed", range(3))
def test_a_turned_pair_is_seen_though_every_column_is_as_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, window = correlated(rng, 600, 0.6), correlated(rng, 400, -0.6)

    result = judge(reference, window)

    columns = [stats.ks_2samp(reference[:, j], window[:, j]).pvalue for j in range(8)]
    assert min(columns) > 0.05 / 8
    assert result.p_value == 0.01
    assert result.effect > 0.05


def test_power_for_a_new_correlation() -> None:
    """0.4 between two of 8 columns, 600 rows against 400: 97% once; PCA reconstruction had 13%."""
    rng = np.random.default_rng(3)
    n_runs = 40
    seen = sum(
        judge(correlated(rng, 600, 0.0), correlated(rng, 400, 0.4), seed=seed).exceeded
        for seed in range(n_runs)
    )

    assert seen >= 0.8 * n_runs


def test_a_lost_correlation_among_thirty_columns_is_seen() -> None:
    rng = np.random.default_rng(4)
    loadings = np.repeat(np.eye(3), 10, axis=0)
    rows = rng.normal(size=(1_000, 3)) @ loadings.T + rng.normal(size=(1_000, 30))
    rows[600:, 0] = rng.permutation(rows[600:, 0])
    rows[600:, 10] = rng.permutation(rows[600:, 10])

    assert judge(rows[:600], rows[600:]).exceeded


@pytest.mark.parametrize("moved", ["mean", "scale", "missing"])
def test_what_columns_show_is_seen_too(moved: str) -> None:
    rng = np.random.default_rng(5)
    reference, window = rng.normal(size=(500, 6)), rng.normal(size=(500, 6))
    if moved == "mean":
        window[:, 2] += 0.5
    elif moved == "scale":
        window[:, 2] *= 1.6
    else:
        window[rng.random(500) < 0.7, 2] = np.nan

    assert judge(reference, window).exceeded


def test_the_threshold_and_the_p_value_decide_alike() -> None:
    rng = np.random.default_rng(6)
    decided = set()
    for seed in range(60):
        rows = rng.normal(size=(200, 3))
        rows[100:, 0] += 0.3
        result = judge(rows[:100], rows[100:], seed=seed)
        assert result.exceeded == (result.p_value <= 0.05)
        decided.add(result.exceeded)
    assert decided == {True, False}


def test_identical_constant_and_missing_columns_say_nothing() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(200, 4))
    rows[:, 1] = 3.7
    rows[:, 2] = np.nan

    result = judge(rows[:100], rows[100:])

    assert np.isfinite(result.statistic)
    assert 0 < result.p_value <= 1
    constant = np.full((100, 2), 5.0)
    assert not judge(constant, constant).exceeded


def test_units_do_not_matter() -> None:
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(300, 4))
    units = np.array([1e-6, 1.0, 1e3, 1e9])

    plain = judge(rows[:150], rows[150:])
    scaled = judge(rows[:150] * units + units, rows[150:] * units + units)

    assert scaled.statistic == pytest.approx(plain.statistic, rel=1e-6)
    assert scaled.p_value == plain.p_value


def test_many_rows_are_thinned_and_the_sizes_say_so() -> None:
    rng = np.random.default_rng(9)

    result = judge(rng.normal(size=(5_000, 3)), rng.normal(size=(3_000, 3)), block=25)

    assert (result.n_reference, result.n_window) == (MAX_ROWS, MAX_ROWS)


def test_the_same_seed_gives_the_same_answer() -> None:
    rows = np.random.default_rng(10).normal(size=(200, 3))

    assert judge(rows[:100], rows[100:], seed=5) == judge(rows[:100], rows[100:], seed=5)


def test_what_cannot_be_judged_is_an_error() -> None:
    rows = np.zeros((100, 3))
    with pytest.raises(ValueError, match="do not compare"):
        judge(rows, rows[:, :2])
    with pytest.raises(ValueError, match="needs 50"):
        judge(rows, rows[:10])
    with pytest.raises(ValueError, match="permutations cannot show"):
        judge(rows, rows, alpha=0.001)
    with pytest.raises(ValueError, match="5 are needed"):
        judge(rows, rows, block=30)
