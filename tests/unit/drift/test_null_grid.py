"""Identical distributions: the G test keeps the rate it states, over sizes, bins and families.

The reference is drawn value by value and cut at its own order statistics, as a column is. In the
long form (DRIFT_LONG=1, about 10 minutes; the table with -s) every cell has 20,000 families of 30
columns, so 600,000 single columns; in the thinned one the bounds are binomial.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom, chi2

from drift.binning import order_statistic_ranks
from drift.columns import Kind
from drift.nulls import Nulls
from drift.window_tests import g_test
from drift.window_tests.g_test import g_statistic

FAMILY = 30
ALPHAS = (0.05, 0.01)
WITHIN = 1.5
LONG = os.environ.get("DRIFT_LONG") == "1"


@dataclass(frozen=True)
class Cell:
    n: int
    m: int
    n_bins: int
    alpha: float
    family: int


def shares_between_order_statistics(n: int, n_bins: int, values: np.ndarray) -> np.ndarray:
    """float64[C, n_bins]: the true shares of bins cut at order statistics of float64[C, n]."""
    edges = values[:, order_statistic_ranks(n, n_bins) - 1]
    return np.diff(edges, axis=1, prepend=0.0, append=1.0)


def p_values(
    rng: np.random.Generator, nulls: Nulls, n: int, sizes: list[tuple[int, int]], n_columns: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(m, n_bins, float64[n_columns]) of `g_test` for each (m, n_bins), one reference for all."""
    values = np.sort(rng.random((n_columns, n)), axis=1)  # uniform: the null does not see which
    for m, n_bins in sizes:
        per_bin = np.diff(order_statistic_ranks(n, n_bins), prepend=0, append=n)
        reference = np.tile(np.append(per_bin, 0), (n_columns, 1))
        shares = shares_between_order_statistics(n, n_bins, values)
        window = np.zeros_like(reference)
        window[:, :-1] = rng.multinomial(m, shares)
        results = g_test.columns(reference, window, kind=Kind.NUMERIC, nulls=nulls, alpha=0.01)
        yield m, n_bins, np.array([result.p_value for result in results])


def realised(p: np.ndarray) -> Iterator[tuple[float, int, int, int]]:
    """(alpha, family, alarms, trials) of independent columns' p-values, Bonferroni in a family."""
    smallest = p.reshape(-1, FAMILY).min(axis=1)
    for alpha in ALPHAS:
        yield alpha, 1, int((p <= alpha).sum()), len(p)
        yield alpha, FAMILY, int((smallest <= alpha / FAMILY).sum()), len(smallest)


@pytest.mark.parametrize(
    ("n", "m", "n_bins"),
    [(50, 50, 10), (50, 1000, 20), (500, 60, 20), (100, 100, 5), (1000, 400, 20), (2000, 1000, 10)],
)
def test_the_stated_rate_is_kept_within_half_as_much_again(n: int, m: int, n_bins: int) -> None:
    rng, nulls = np.random.default_rng([n, m, n_bins]), Nulls(seed=5, n_draws=200_000)
    ((_, _, p),) = p_values(rng, nulls, n, [(m, n_bins)], 15_000)
    for alpha, family, alarms, trials in realised(p):
        # A test at exactly 1.5 times its rate, or 1 / 1.5, would fail once in 100,000 cells.
        assert alarms <= binom.isf(1e-5, trials, alpha * WITHIN), (alpha, family)
        assert alarms >= binom.ppf(1e-5, trials, alpha / WITHIN), (alpha, family)


def test_chi_square_for_small_samples_would_not_keep_it() -> None:
    """The grid can fail: the same G against its limit alarms too often at 50 and 50."""
    rng = np.random.default_rng(8)
    values = np.sort(rng.random((200_000, 50)), axis=1)
    window = rng.multinomial(50, shares_between_order_statistics(50, 10, values))
    g = g_statistic(np.full_like(window, 5), window)
    alarms = int((chi2.sf(g, 9) <= 0.01).sum())
    assert alarms > binom.isf(1e-5, len(g), 0.01 * WITHIN)


@pytest.mark.skipif(not LONG, reason="DRIFT_LONG=1 runs the whole grid, about 10 minutes")
@pytest.mark.timeout(3600)
def test_the_whole_grid_keeps_the_stated_rate() -> None:
    sizes, bins = (50, 100, 500, 2_000, 10_000), (5, 10, 20)
    nulls = Nulls(seed=5)
    rng = np.random.default_rng(20_000)
    alarms: dict[Cell, int] = {}
    trials: dict[Cell, int] = {}
    blocks, n_columns = 200, 3_000  # 200 x 100 families of 30
    for _ in range(blocks):
        for n in sizes:
            pairs = [(m, n_bins) for m in sizes for n_bins in bins]
            for m, n_bins, p in p_values(rng, nulls, n, pairs, n_columns):
                for alpha, family, seen, of in realised(p):
                    cell = Cell(n, m, n_bins, alpha, family)
                    alarms[cell] = alarms.get(cell, 0) + seen
                    trials[cell] = trials.get(cell, 0) + of
    ratios = {cell: alarms[cell] / trials[cell] / cell.alpha for cell in alarms}
    print_table(ratios)
    assert all(1 / WITHIN <= ratio <= WITHIN for ratio in ratios.values())


def print_table(ratios: dict[Cell, float]) -> None:
    print("\n| bins | family | alpha | least | greatest | where least | where greatest |")
    print("|---|---|---|---|---|---|---|")
    for n_bins in sorted({cell.n_bins for cell in ratios}):
        for family in (1, FAMILY):
            for alpha in ALPHAS:
                some = [
                    (ratio, cell)
                    for cell, ratio in ratios.items()
                    if (cell.n_bins, cell.family, cell.alpha) == (n_bins, family, alpha)
                ]
                (least, low), (most, high) = (
                    min(some, key=lambda x: x[0]),
                    max(some, key=lambda x: x[0]),
                )
                print(
                    f"| {n_bins} | {family} | {alpha} | {least:.2f} | {most:.2f} "
                    f"| n {low.n}, m {low.m} | n {high.n}, m {high.m} |"
                )
