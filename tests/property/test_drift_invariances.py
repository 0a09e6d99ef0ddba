"""What a test of counts, an adjustment and a split must not depend on."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.binning import bin_columns
from drift.change_point import split_counts, split_means, split_rates
from drift.columns import ColumnSpec
from drift.customers import customer_moments
from drift.dependence import dependent_test, plan_dependence
from drift.dependence.pooling import pool_neighbours, pool_rare
from drift.e_detector import EDetector
from drift.entities import hash_entities
from drift.families import adjust, notice
from drift.history import History

seeds = st.integers(0, 2**32 - 1)
p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def _blocks(rng: np.random.Generator, n_bins: int, wobble: float) -> np.ndarray:
    """120 blocks of 50 rows whose proportions wander by `wobble`."""
    p = rng.dirichlet(np.full(n_bins, 5.0))
    moods = np.exp(wobble * rng.standard_normal((120, n_bins))) * p
    return np.stack([rng.multinomial(50, mood / mood.sum()) for mood in moods])


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.4]))
def test_the_order_of_categories_does_not_matter(seed: int, wobble: float) -> None:
    rng = np.random.default_rng(seed)
    blocks = _blocks(rng, 6, wobble)
    window = rng.multinomial(500, np.full(6, 1 / 6))
    order = rng.permutation(6)
    plan = plan_dependence(blocks, 500, ordered=False)
    other = plan_dependence(blocks[:, order], 500, ordered=False)
    assert plan.detector == other.detector
    a = dependent_test(window, plan, alpha=0.01).result
    b = dependent_test(window[order], other, alpha=0.01).result
    np.testing.assert_allclose([a.p_value, a.effect], [b.p_value, b.effect], rtol=1e-6, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.4]), st.sampled_from([0.2, 0.01, 1e-4]))
def test_a_statistic_reaches_its_threshold_when_its_p_value_reaches_alpha(
    seed: int, wobble: float, alpha: float
) -> None:
    rng = np.random.default_rng(seed)
    plan = plan_dependence(_blocks(rng, 5, wobble), 500)
    window = rng.multinomial(500, rng.dirichlet(np.full(5, 5.0)))
    result = dependent_test(window, plan, alpha=alpha).result
    assert 0 <= result.p_value <= 1
    if abs(result.p_value / alpha - 1) > 1e-6:
        assert result.exceeded == (result.p_value <= alpha)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_customers_may_be_numbered_and_rows_ordered_in_any_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes, bins = rng.integers(0, 30, 300), rng.integers(0, 4, 300)
    names, rows = rng.permutation(30), rng.permutation(300)
    values = bins.astype(np.float32)[:, None]
    columns = bin_columns(values, [ColumnSpec("x")])
    made = customer_moments(columns, values, hash_entities(codes))
    other = customer_moments(columns, values[rows], hash_entities(names[codes][rows]))
    g = made.covariance(columns, 0)
    np.testing.assert_allclose(g, other.covariance(columns, 0), atol=1e-12)
    assert (made.excess, made.n_effective) == (other.excess, other.n_effective)
    np.testing.assert_allclose(g.sum(axis=0), 0, atol=1e-12)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=15), st.floats(0, 20), st.integers(1, 15))
def test_pooling_leaves_no_light_group_and_no_bin_out(
    weights: list[float], minimum: float, most: int
) -> None:
    weight = np.array(weights)
    for pool in (pool_rare, pool_neighbours):
        groups = pool(weight, minimum=minimum, max_groups=most)
        assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
        sums = np.bincount(groups, weights=weight)
        assert len(sums) == 1 or sums.min() >= minimum * (1 - 1e-9)
        assert len(sums) <= most
    assert (np.diff(pool_neighbours(weight, minimum=minimum, max_groups=most)) >= 0).all()


@given(p_lists, st.floats(0.001, 0.5), seeds)
def test_what_is_noticed_does_not_depend_on_the_order_of_columns(
    p_values: list[float], q: float, seed: int
) -> None:
    p = np.array(p_values)
    order = np.random.default_rng(seed).permutation(len(p))
    labels = [str(i) for i in range(len(p))]
    a, b = notice(p, labels, q), notice(p[order], [labels[i] for i in order], q)
    assert set(a.labels) == set(b.labels)
    assert a.threshold == b.threshold
    assert set(a.labels) == {labels[i] for i in range(len(p)) if p[i] <= a.threshold} or (
        # On the very edge rounding may differ between p F / k <= q and p <= q k / F.
        np.isclose(adjust(p), q, rtol=1e-9).any()
    )


@given(p_lists)
def test_adjusting_keeps_the_order_and_never_helps_a_column(p_values: list[float]) -> None:
    p = np.array(p_values)
    adjusted = adjust(p)
    assert (adjusted >= p * (1 - 1e-12)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()


@given(st.lists(p_lists.map(lambda p: (p * 3)[:3]), min_size=1, max_size=20), seeds)
def test_evidence_does_not_depend_on_the_order_of_columns(
    windows: list[list[float]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(3)
    a, b = (EDetector(arl0=50.0, n_columns=3, reference_windows=10.0) for _ in range(2))
    for p in windows:
        one, other = a.update(np.array(p)), b.update(np.array(p)[order])
        np.testing.assert_allclose(one.statistic, other.statistic)
        assert one.exceeded == other.exceeded or np.isclose(one.statistic, 50.0)


@settings(deadline=None)
@given(seeds, st.integers(4, 40))
def test_a_split_read_backwards_is_the_same_split(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(20, rng.dirichlet(np.ones(3)), size=n)
    values = rng.standard_normal(n)
    for split, back in (
        (split_counts(counts), split_counts(counts[::-1])),
        (split_means(values), split_means(values[::-1])),
        (
            split_rates(counts[:, 0], counts.sum(axis=1)),
            split_rates(counts[::-1, 0], np.full(n, 20)),
        ),
    ):
        np.testing.assert_allclose(
            split.log_likelihood_ratio, back.log_likelihood_ratio, rtol=1e-6, atol=1e-9
        )
        assert split.log_likelihood_ratio >= -1e-9
        assert split.index in split.candidates


@given(seeds, st.floats(0.01, 1e4), st.floats(-1e4, 1e4))
def test_the_unit_of_a_feature_does_not_move_its_change_point(
    seed: int, scale: float, offset: float
) -> None:
    values = np.random.default_rng(seed).standard_normal(30)
    a, b = split_means(values), split_means(values * scale + offset)
    np.testing.assert_allclose(a.log_likelihood_ratio, b.log_likelihood_ratio, rtol=1e-4)


@given(st.integers(4, 20), st.integers(1, 200), seeds)
def test_merging_history_loses_no_row(most: int, n: int, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 100, (n, 3))
    history = History(most)
    for i, row in enumerate(rows):
        history.append(row, start=i)
    assert len(history) == min(n, most) or n > most >= len(history)
    np.testing.assert_array_equal(history.totals.sum(axis=0), rows.sum(axis=0))
    edges = np.append(history.starts, n)
    for i in range(len(history)):
        np.testing.assert_array_equal(history.totals[i], rows[edges[i] : edges[i + 1]].sum(axis=0))
