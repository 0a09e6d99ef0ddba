"""The customer test against the rows themselves, and what samples of entities do to it."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drift.binning import bin_columns
from drift.columns import ColumnSpec
from drift.customers import CustomerMoments, customer_moments
from drift.dependence import Customers, Repeats, customer_test, dependent_test, plan_dependence
from drift.entities import EntityTable, hash_entities
from tests.unit.drift.dependent_rows import N_BINS, block_counts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NONE = np.empty(0, dtype=np.uint64)


def uneven_rows(n: int, n_customers: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Customers of uneven activity, half of the variance of their values between them."""
    level, activity = rng.standard_normal(n_customers), rng.gamma(2.0, size=n_customers)
    codes = rng.choice(n_customers, size=n, p=activity / activity.sum())
    return codes, np.sqrt(0.5) * (level[codes] + rng.standard_normal(n))


def by_rows(
    codes: Ints, groups: Ints, window_codes: Ints, window_groups: Ints
) -> tuple[float, float]:
    """The statistic and its degrees of freedom by a customer's counts, from FACTS' formula."""
    n, m, g = len(codes), len(window_codes), int(groups.max()) + 1
    n_customers = 1 + max(codes.max(), window_codes.max())
    table = np.zeros((n_customers, g))
    np.add.at(table, (codes, groups), 1)
    rows, window_rows = table.sum(axis=1), np.bincount(window_codes, minlength=n_customers)
    p = table.sum(axis=0) / n
    d = np.diag(p) - np.outer(p, p)
    sums = table - rows[:, None] * p
    pair = (sums.T @ sums - n * d) / (rows * (rows - 1)).sum()
    s_r, s_w = (rows**2).sum() / n - 1, (window_rows**2).sum() / m - 1
    shared = s_w / m + s_r / n - 2 * (rows @ window_rows) / (n * m)
    variance = d * (1 / m + 1 / n) + shared * pair
    difference = (np.bincount(window_groups, minlength=g) / m - p)[1:]
    statistic = difference @ np.linalg.inv(variance[1:, 1:]) @ difference
    n_effective = (rows**2).sum() ** 2 / (rows**4).sum()
    share = np.trace(shared * pair) / np.trace(variance)
    return float(statistic), (n_effective - 1) / share**2


@pytest.mark.parametrize("n_customers", [40, 500, 5_000])
def test_moments_and_tables_give_the_test_that_the_rows_give(n_customers: int) -> None:
    rng = np.random.default_rng(n_customers)
    codes, values = uneven_rows(12_000, n_customers, rng)
    matrix = values.astype(np.float32)[:, None]
    reference, window = slice(0, 10_000), slice(10_000, None)
    columns = bin_columns(matrix[reference], [ColumnSpec("x")])
    bins = columns.assign(matrix)[0]
    keys = hash_entities(codes)
    moments = customer_moments(columns, matrix[reference], keys[reference])
    customers = moments.of_column(columns, 0, columns.count(matrix[reference]))
    groups = np.minimum(np.arange(columns.n_bins) // 2, 4)

    verdict = customer_test(
        columns.count(matrix[window]),
        moments.repeats(EntityTable.of(keys[window], 2_000), 2_000),
        customers,
        groups,
        alpha=0.01,
    )

    statistic, freedom = by_rows(
        codes[reference], groups[bins[reference]], codes[window], groups[bins[window]]
    )
    assert verdict.statistic == pytest.approx(statistic, rel=1e-9)
    to_f = (freedom - 3) / (4 * freedom)
    assert verdict.p_value == pytest.approx(stats.f.sf(statistic * to_f, 4, freedom - 3), rel=1e-6)
    assert verdict.threshold == pytest.approx(stats.f.isf(0.01, 4, freedom - 3) / to_f, rel=1e-6)


def test_customers_of_one_row_each_make_the_plain_chi_square() -> None:
    rng = np.random.default_rng(6)
    counts = rng.multinomial(4_000, np.full(4, 0.25))
    customers = Customers(counts, np.zeros((4, 4)), 0.0, 4_000.0)
    window = rng.multinomial(500, np.full(4, 0.25))
    verdict = customer_test(window, Repeats(0.0, 0.0), customers, np.arange(4), alpha=0.05)
    p = counts / 4_000
    x2 = ((window / 500 - p) ** 2 / p).sum() / (1 / 500 + 1 / 4_000)
    assert verdict.statistic == pytest.approx(x2)
    assert verdict.p_value == pytest.approx(stats.chi2.sf(x2, 3), rel=1e-6)


def test_shared_customers_make_the_same_difference_more_telling() -> None:
    """Without the overlap term the test was silent at 0.14 to 0.7 of its rate."""
    moments, customers = _reference(100)
    window = np.full(len(customers.counts), 0)
    window[:N_BINS] = np.linspace(80, 20, N_BINS)
    groups = np.minimum(np.arange(len(window)), N_BINS - 1)
    codes = np.random.default_rng(7).integers(0, 100, int(window.sum()))
    p = [
        customer_test(
            window,
            moments.repeats(EntityTable.of(hash_entities(codes + first), 500), len(codes)),
            customers,
            groups,
            alpha=0.05,
        ).p_value
        for first in (0, 100)
    ]
    assert p[0] < p[1] / 10


def _reference(n_customers: int, n: int = 10_000) -> tuple[CustomerMoments, Customers]:
    codes, values = uneven_rows(n, n_customers, np.random.default_rng(8))
    matrix = values.astype(np.float32)[:, None]
    columns = bin_columns(matrix, [ColumnSpec("x")])
    moments = customer_moments(columns, matrix, hash_entities(codes))
    return moments, moments.of_column(columns, 0, columns.count(matrix))


def test_a_plan_on_customers_asks_for_them() -> None:
    rng = np.random.default_rng(8)
    customers = Customers(np.full(N_BINS, 1_000), np.zeros((N_BINS, N_BINS)), 19.0, 500.0)
    plan = plan_dependence(
        block_counts(rng.integers(0, N_BINS, 10_000)), 1_000, customers=customers
    )
    assert plan.detector == "customer_covariance"
    with pytest.raises(ValueError, match="customers"):
        dependent_test(np.full(N_BINS, 100), plan, alpha=0.05)


def test_a_window_whose_customers_are_unknown_repeats_like_the_reference_and_shares_nobody() -> (
    None
):
    moments, customers = _reference(500)
    unknown = customers.steady(1_000)
    codes, _ = uneven_rows(11_000, 500, np.random.default_rng(8))
    known = moments.repeats(EntityTable.of(hash_entities(codes[:1_000]), 1_000), 1_000)
    assert unknown.overlap == 0
    assert unknown.excess == pytest.approx(known.excess, rel=0.2)


@pytest.mark.parametrize(
    ("table", "n_window"),
    [
        (EntityTable.of(NONE, 10), 5),
        (EntityTable.of(hash_entities(np.arange(4)), 10), 5),
        (EntityTable.of(hash_entities(np.arange(6)), 10), 5),
        (EntityTable.of(hash_entities(np.arange(20)), 10), 5),
    ],
    ids=["no rows", "rows missing", "rows too many", "a sample of too many"],
)
def test_a_table_of_other_rows_than_the_windows_is_refused(
    table: EntityTable, n_window: int
) -> None:
    moments, _ = _reference(50)
    with pytest.raises(ValueError, match=f"rows for a window of {n_window}"):
        moments.repeats(table, n_window)


# --- samples of entities --------------------------------------------------------------------------


def _moments(counts: Ints, keys: npt.NDArray[np.uint64], limit: int) -> CustomerMoments:
    """Of a reference in which the entity of `keys[c]` has `counts[c]` rows; no columns."""
    table = EntityTable.of(np.repeat(keys, counts), limit)
    squares = int((counts.astype(np.int64) ** 2).sum())
    return CustomerMoments(int(counts.sum()), int((counts > 0).sum()), squares, np.empty(0), table)


@pytest.mark.parametrize("reference_limit", [50_000, 4_000], ids=["whole", "sampled"])
def test_a_sampled_window_says_what_the_whole_one_does_within_a_few_percent(
    reference_limit: int,
) -> None:
    """20,000 customers, a tenth to a quarter of a window's 7,100 in its table.

    The ratio over 700 of them spreads by about 10% for the excess of 0.75 and 4% for the overlap;
    over 40 windows its mean by a sixth of that. `max` with the steady excess raises it: by 0.4
    standard errors of a window.
    """
    rng = np.random.default_rng(11)
    ratios = []
    for _ in range(40):
        activity = rng.gamma(2.0, size=20_000)
        keys = hash_entities(rng.choice(2**40, 20_000, replace=False))
        before = rng.multinomial(200_000, activity / activity.sum())
        window = rng.multinomial(10_000, activity / activity.sum())
        table = EntityTable.of(np.repeat(keys, window), 700)
        repeats = _moments(before, keys, reference_limit).repeats(table, 10_000)
        excess = (window.astype(float) ** 2).sum() / 10_000 - 1
        overlap = (before.astype(float) @ window) / (200_000 * 10_000)
        ratios.append([repeats.excess / excess, repeats.overlap / overlap])
    found = np.array(ratios)
    assert np.abs(found[:, 0] - 1).max() < 0.5
    assert np.abs(found[:, 1] - 1).max() < 0.25
    assert 0.95 < found[:, 0].mean() < 1.15
    assert found[:, 1].mean() == pytest.approx(1, abs=0.03)


def test_a_customer_with_most_rows_never_makes_a_sampled_window_look_independent() -> None:
    """One customer has a tenth of the rows: samples miss it, or take it for four.

    Either way the variance of the difference, s_w/m + s_r/n - 2 o in units of G, is at least the
    true one less what independent rows have: too much of it costs power, too little alarms.
    """
    rng = np.random.default_rng(12)
    missed = 0
    for _ in range(40):
        keys = hash_entities(rng.choice(2**40, 20_000, replace=False))
        p = np.append(np.full(19_999, 0.9 / 19_999), 0.1)
        before, window = rng.multinomial(200_000, p), rng.multinomial(10_000, p)
        table = EntityTable.of(np.repeat(keys, window), 2_048)
        missed += keys[-1] not in table.hashes
        moments = _moments(before, keys, 50_000)
        repeats = moments.repeats(table, 10_000)
        true = (window.astype(float) ** 2).sum() / 10_000 - 1
        assert repeats.excess > 0.85 * true
        shared = repeats.excess / 10_000 + moments.excess / 200_000 - 2 * repeats.overlap
        assert shared >= -1 / 10_000 - 1 / 200_000
    assert 10 < missed < 38, "the samples must show both"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_the_difference_never_varies_less_than_repeats_allow(
    seed: int, reference_limit: int, window_limit: int
) -> None:
    """Cauchy and Schwarz: what G adds is no less than -(1/m + 1/n), so that V has no negative."""
    rng = np.random.default_rng(seed)
    keys = hash_entities(np.arange(40))
    counts = [rng.multinomial(n, rng.dirichlet(np.full(40, 0.2))) for n in (400, 100)]
    moments = _moments(counts[0], keys, reference_limit)
    repeats = moments.repeats(EntityTable.of(np.repeat(keys, counts[1]), window_limit), 100)
    shared = repeats.excess / 100 + moments.excess / 400 - 2 * repeats.overlap
    assert shared >= -(1 / 100 + 1 / 400) - 1e-12
    assert repeats.overlap >= 0
    assert repeats.excess >= 0


def test_the_effective_number_of_customers_is_exact_while_all_are_known() -> None:
    counts = np.array([1, 2, 3, 10])
    made = _moments(counts, hash_entities(np.arange(4)), 10)
    assert made.n_effective == pytest.approx((counts**2).sum() ** 2 / (counts**4).sum())


def test_a_sample_never_takes_one_big_customer_for_many() -> None:
    """Its squares are known to be missing: they count as one customer's."""
    rng = np.random.default_rng(13)
    counts = np.append(np.full(20_000, 5), 100_000)
    found = [
        _moments(counts, hash_entities(rng.choice(2**40, 20_001, replace=False)), 2_000).n_effective
        for _ in range(20)
    ]
    assert max(found) < 1.1


def test_a_sample_of_even_customers_finds_more_than_its_own_share_of_them() -> None:
    """The price of caution: what chance leaves unexplained counts as one customer's, too."""
    rng = np.random.default_rng(14)
    counts = rng.poisson(20, size=20_000)
    exact = _moments(counts, hash_entities(np.arange(20_000)), 20_000).n_effective
    for _ in range(20):
        keys = hash_entities(rng.choice(2**40, 20_000, replace=False))
        assert exact / 10 < _moments(counts, keys, 2_000).n_effective < 1.1 * exact
