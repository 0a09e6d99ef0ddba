"""One stated rate: Bonferroni over families, Benjamini-Hochberg inside a window."""

import numpy as np
import pytest
from scipy import stats

from drift.families import StatedRate, adjust, notice, notice_families, per_day

RNG_SEED = 11


def test_adjusted_p_values_are_scipys() -> None:
    rng = np.random.default_rng(RNG_SEED)
    for size in (1, 2, 7, 30, 200):
        p = rng.random(size) ** 3
        p[: size // 3] = np.round(p[: size // 3], 2)  # ties
        expected = stats.false_discovery_control(p, method="bh")
        np.testing.assert_allclose(adjust(p), expected, rtol=1e-12)


def test_noticed_columns_come_by_p_value_with_the_threshold_that_let_them_in() -> None:
    p = np.array([0.004, 0.5, 0.001, 0.9])
    noticed = notice(p, ["a", "b", "c", "d"], q=0.01)
    assert noticed.labels == ("c", "a")
    assert noticed.threshold == pytest.approx(0.01 * 2 / 4)
    nothing = notice(np.array([0.3, 0.5]), ["a", "b"], q=0.01)
    assert nothing.labels == ()
    assert nothing.threshold == pytest.approx(0.01 / 2)


def test_a_test_that_could_not_be_made_stays_in_the_family() -> None:
    p = np.array([0.004, np.nan, np.nan])
    assert notice(p, ["a", "b", "c"], q=0.01).labels == ()
    assert notice(p[:1], ["a"], q=0.01).labels == ("a",)


def test_an_empty_window_notices_nothing() -> None:
    assert notice(np.zeros(0), [], q=0.1).labels == ()


@pytest.mark.parametrize("arl0", [20.0, 200.0])
@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_windows_with_false_notices_come_no_more_often_than_stated(
    arl0: float, shared: float
) -> None:
    """3 families of 30 columns, columns independent or with a common factor of weight `shared`."""
    rng = np.random.default_rng(RNG_SEED)
    rate, n_windows = StatedRate(arl0, n_families=3), 4_000
    labels = [str(i) for i in range(30)]
    false_windows = 0
    for _ in range(n_windows):
        z = rng.standard_normal((3, 30)) * np.sqrt(1 - shared)
        p = stats.norm.sf(z + np.sqrt(shared) * rng.standard_normal((3, 1)))
        families = {str(i): (p[i], labels) for i in range(3)}
        false_windows += any(n.labels for n in notice_families(families, rate).values())
    expected = n_windows / arl0
    assert false_windows <= stats.poisson.ppf(0.999, expected)
    if shared == 0.0:  # and the rate is used, not only kept: 3 of 3 parts, independent
        assert false_windows >= stats.poisson.ppf(0.001, expected * 0.97)


def test_the_rate_is_split_over_families_and_sequential_ones_wait_longer() -> None:
    rate = StatedRate(1_000.0, n_families=4)
    assert rate.q == pytest.approx(0.001)
    assert rate.q_per_family == pytest.approx(0.00025)
    assert rate.sequential_arl0 == pytest.approx(4_000.0)
    # Four families that each keep their part make one false notice in ARL0 windows.
    assert 4 / rate.sequential_arl0 == pytest.approx(rate.q)


def test_more_families_than_the_rate_was_split_over_are_refused() -> None:
    p = (np.array([0.5]), ["a"])
    with pytest.raises(ValueError, match="split over 1"):
        notice_families({"psi": p, "ks": p}, StatedRate(100.0))


def test_false_notices_per_day() -> None:
    assert per_day(1_000.0, 60.0) == pytest.approx(1.44)
    with pytest.raises(ValueError, match="positive"):
        per_day(1_000.0, 0.0)


@pytest.mark.parametrize("p", [[-0.1], [1.2]])
def test_values_that_are_no_p_values_are_refused(p: list[float]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        adjust(np.array(p))


def test_a_label_for_every_p_value() -> None:
    with pytest.raises(ValueError, match="labels"):
        notice(np.array([0.1, 0.2]), ["a"], q=0.1)


@pytest.mark.parametrize(("arl0", "n"), [(1.0, 1), (100.0, 0)])
def test_a_rate_that_means_nothing_is_refused(arl0: float, n: int) -> None:
    with pytest.raises(ValueError):
        StatedRate(arl0, n)
