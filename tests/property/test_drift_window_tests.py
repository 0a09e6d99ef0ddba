"""Whatever the counts: tests of windows stay in range, and ignore what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.columns import Kind
from drift.nulls import Nulls, simulated_null
from drift.window_tests import (
    WINDOW_TESTS,
    Counts,
    WindowTest,
    beyond_extremes,
    compare_rates,
    g_test,
)
from drift.window_tests.contract import WITH_UNSEEN
from drift.window_tests.histogram import HistogramTest, pooled

NULLS = Nulls(seed=2, n_draws=10_000)
UNORDERED = [
    test for test in WINDOW_TESTS.values() if isinstance(test, HistogramTest) and not test.ordered
]


@st.composite
def tables(draw: st.DrawFn, least: int = 3, most: int = 8) -> tuple[Counts, Counts]:
    n_bins = draw(st.integers(least, most))
    count = st.one_of(st.just(0), st.integers(0, 30), st.integers(0, 2_000))
    sides = [draw(st.lists(count, min_size=n_bins, max_size=n_bins)) for _ in range(2)]
    return np.array(sides[0], dtype=np.int64), np.array(sides[1], dtype=np.int64)


@pytest.mark.parametrize("test", WINDOW_TESTS.values(), ids=WINDOW_TESTS.keys())
@settings(max_examples=25, deadline=None)
@given(table=tables(), kind=st.sampled_from([Kind.MIXED, Kind.DISCRETE, Kind.NUMERIC]))
def test_every_answer_is_in_range_and_agrees_with_itself(
    test: WindowTest, table: tuple[Counts, Counts], kind: Kind
) -> None:
    kind = kind if kind in test.kinds else Kind.DISCRETE
    with np.errstate(all="raise", under="ignore"):
        result = test(*table, kind=kind, nulls=NULLS, alpha=0.02)
    assert 0.0 <= result.p_value <= 1.0
    assert math.isfinite(result.statistic)
    assert math.isfinite(result.effect)
    assert result.effect >= 0.0
    assert result.exceeded == (result.p_value <= 0.02)


@pytest.mark.parametrize("test", UNORDERED, ids=lambda test: test.name)
@settings(max_examples=20, deadline=None)
@given(table=tables(), seed=st.integers(0, 1_000))
def test_the_order_of_categories_does_not_matter(
    test: HistogramTest, table: tuple[Counts, Counts], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(table[0]) - 2)
    order = np.append(order, (len(table[0]) - 2, len(table[0]) - 1))
    answers = [
        test(reference, window, kind=Kind.CATEGORY, nulls=NULLS, alpha=0.02)
        for reference, window in (table, (table[0][order], table[1][order]))
    ]
    assert answers[0] == answers[1]


@settings(max_examples=60, deadline=None)
@given(m=st.integers(1, 3_000), seed=st.integers(0, 1_000))
def test_the_order_of_numeric_bins_does_not_matter_to_g(m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = np.append(np.full(10, 100), 0)
    window = np.append(rng.multinomial(m, rng.dirichlet(np.full(10, 5.0))), 0)
    again = np.append(rng.permutation(window[:-1]), 0)
    one, other = (
        g_test(reference, side, kind=Kind.NUMERIC, nulls=NULLS, alpha=0.02)
        for side in (window, again)
    )
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6)
    assert one.effect == pytest.approx(other.effect, abs=1e-12)


@pytest.mark.parametrize("test", WINDOW_TESTS.values(), ids=WINDOW_TESTS.keys())
@settings(max_examples=15, deadline=None)
@given(table=tables(), missing=st.integers(0, 500))
def test_only_the_null_rate_sees_missing_values(
    test: WindowTest, table: tuple[Counts, Counts], missing: int
) -> None:
    reference, window = table
    more = window.copy()
    more[-1] += missing
    one, other = (
        test(reference, side, kind=Kind.DISCRETE, nulls=NULLS, alpha=0.02)
        for side in (window, more)
    )
    assert (one == other) or test.name == "null_rate"


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_pooling_keeps_totals_and_leaves_at_most_one_rare_bin(
    table: tuple[Counts, Counts],
) -> None:
    n, m = int(table[0].sum()), int(table[1].sum())
    if not (n and m):
        return
    left, right = pooled(*table)
    assert (left.sum(), right.sum()) == (n, m)
    expected = (left + right) * min(n, m) / (n + m)
    assert (expected[:-1] >= 1).all()
    assert expected[-1] > 0


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 5_000), m=st.integers(1, 5_000), shares=st.tuples(*[st.floats(0, 1)] * 2))
def test_a_rate_test_is_the_same_for_what_does_not_happen(
    n: int, m: int, shares: tuple[float, float]
) -> None:
    x, y = round(n * shares[0]), round(m * shares[1])
    one = compare_rates("rate", x, n, y, m, alpha=0.01)
    other = compare_rates("rate", n - x, n, m - y, m, alpha=0.01)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6, abs=1e-12)
    assert one.effect == pytest.approx(other.effect, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 10**6), m=st.integers(1, 10**6), share=st.floats(0, 1))
def test_more_values_beyond_the_extremes_are_more_evidence(n: int, m: int, share: float) -> None:
    y = round((m - 1) * share)
    fewer, more = (beyond_extremes(n, k, m, alpha=0.01).p_value for k in (y, y + 1))
    assert 0.0 <= more <= fewer * (1 + 1e-6) <= 1.0 + 1e-6


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    n_values=st.integers(1, 400),
    alpha=st.floats(1e-12, 0.99),
)
def test_a_nulls_threshold_and_p_value_agree_however_few_values_it_takes(
    seed: int, n_values: int, alpha: float
) -> None:
    draws = np.random.default_rng(seed).integers(0, n_values, 10_000) * 0.37
    null = simulated_null(draws)
    t = null.threshold(alpha)
    assert null.p_value(np.array([t]))[0] <= alpha * (1 + 1e-9)
    p = null.p_value(np.linspace(-1, 2 * n_values, 200))
    assert (np.diff(p) <= 0).all()
    assert p[0] == 1.0


def test_the_kinds_with_an_unseen_bin_are_those_of_columns() -> None:
    from drift.columns import Column

    for kind in Kind:
        column = Column("x", kind, (), ("a", "b", "c"), 0.0, 1.0, 0.0)
        assert (column.other_bin is not None) == (kind in WITH_UNSEEN)
