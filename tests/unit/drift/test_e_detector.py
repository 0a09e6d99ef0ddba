"""e-SR: the mean time between false alarms is kept, small lasting shifts are seen."""

import json
import os

import numpy as np
import pytest
from scipy import stats

from drift.e_detector import EDetector, ReferenceTooShortError
from drift.families import notice

LONG = bool(os.environ.get("DRIFT_LONG"))


def _detector(arl0: float, n_columns: int) -> EDetector:
    return EDetector(arl0=arl0, n_columns=n_columns, reference_windows=50.0)


@pytest.mark.parametrize(("n_columns", "shared"), [(1, 0.0), (30, 0.0), (30, 0.8)])
def test_false_alarms_come_no_more_often_than_once_in_arl0_windows(
    n_columns: int, shared: float
) -> None:
    """Columns with a common factor of weight `shared` too: a mean of e-detectors does not mind."""
    rng = np.random.default_rng(2)
    detector, n_windows = _detector(100.0, n_columns), 200_000 if LONG else 20_000
    z = rng.standard_normal((n_windows, n_columns)) * np.sqrt(1 - shared)
    p = stats.norm.sf(z + np.sqrt(shared) * rng.standard_normal((n_windows, 1)))
    alarms = sum(detector.update(row).exceeded for row in p)
    assert alarms <= stats.poisson.ppf(0.999, n_windows / 100.0)
    assert alarms > 0


@pytest.mark.parametrize("n", [10_000, 50_000])
def test_one_fixed_reference_of_ten_windows_or_more_keeps_arl0(n: int) -> None:
    """p-values of G-like tests against one reference, whose error every window meets again."""
    rng = np.random.default_rng(3)
    m, n_bins, n_windows, alarms, streams = 1_000, 10, 1_000, 0, 40 if LONG else 8
    for _ in range(streams):
        reference = rng.multinomial(n, rng.dirichlet(np.full(n_bins, 50.0)))
        truth = rng.dirichlet(reference + 1.0)  # a truth that such a reference comes from
        detector = EDetector(arl0=500.0, n_columns=1, reference_windows=n / m)
        p_reference = reference / n
        windows = rng.multinomial(m, truth, size=n_windows) / m
        x2 = ((windows - p_reference) ** 2 / p_reference).sum(axis=1) / (1 / m + 1 / n)
        p = stats.chi2.sf(x2, n_bins - 1)
        alarms += sum(detector.update(row).exceeded for row in p[:, None])
    assert alarms <= stats.poisson.ppf(0.999, streams * n_windows / 500.0)


def test_a_tenth_of_a_sigma_is_seen_sooner_than_by_testing_each_window() -> None:
    """One shifted column of 30, windows of 500 rows, chi-square of 10 bins' strength."""
    rng = np.random.default_rng(4)
    delays, delays_window = [], []
    labels = [str(i) for i in range(30)]
    for _ in range(40 if LONG else 15):
        detector, seen, seen_window, i = _detector(1_000.0, 30), None, None, 0
        while (seen is None or seen_window is None) and i < 1_000:
            i += 1
            z = rng.standard_normal(30)
            z[7] += 0.1 * np.sqrt(500)
            p = stats.chi2.sf(z * z + rng.chisquare(8, size=30), 9)
            if seen is None and detector.update(p).exceeded:
                seen = i
                assert detector.ranked()[0] == 7
            if seen_window is None and notice(p, labels, 1 / 1_000).labels:
                seen_window = i
        delays.append(seen or 1_000)
        delays_window.append(seen_window or 1_000)
    assert np.median(delays) <= 40
    assert np.median(delays) < np.median(delays_window) / 2


def test_it_starts_anew_after_an_alarm() -> None:
    detector = _detector(100.0, 2)
    assert detector.update(np.array([1e-9, 0.5])).exceeded
    assert detector.ranked()[0] == 0
    after = detector.update(np.array([1.0, 1.0]))
    assert not after.exceeded
    assert detector.n_windows == 1
    assert after.statistic == pytest.approx(np.mean([0.1, 0.25, 0.5, 0.75]))


def test_the_statistic_is_the_formula() -> None:
    detector = _detector(1e9, 1)
    expected = np.zeros(4)
    k = np.array([0.1, 0.25, 0.5, 0.75])
    for p in (0.3, 0.02, 0.9):
        expected = (expected + 1) * k * p ** (k - 1)
        result = detector.update(np.array([p]))
    assert result.statistic == pytest.approx(expected.mean())
    assert (result.threshold, result.p_value) == (1e9, 1.0)


def test_a_test_that_was_not_made_adds_no_evidence() -> None:
    silent, told = _detector(100.0, 2), _detector(100.0, 2)
    told.update(np.array([0.5, 1e-4]))
    silent.update(np.array([np.nan, 1e-4]))
    assert np.isfinite(silent.statistic)
    np.testing.assert_allclose(silent.evidence[0], 1.0)  # (0 + 1) times an e-value of 1
    np.testing.assert_allclose(silent.evidence[1], told.evidence[1])


def test_a_p_value_of_zero_is_an_alarm_and_not_an_infinity() -> None:
    detector = _detector(100.0, 1)
    result = detector.update(np.array([0.0]))
    assert result.exceeded
    assert np.isfinite(result.statistic)


def test_it_resumes_from_its_state() -> None:
    rng = np.random.default_rng(5)
    p = rng.random((20, 3))
    whole = _detector(50.0, 3)
    for row in p[:10]:
        whole.update(row)
    resumed = EDetector.from_dict(json.loads(json.dumps(whole.as_dict())))
    for row in p[10:]:
        assert resumed.update(row) == whole.update(row)


def test_a_reference_under_ten_windows_is_refused() -> None:
    with pytest.raises(ReferenceTooShortError, match=r"9\.5 windows"):
        EDetector(arl0=100.0, n_columns=1, reference_windows=9.5)


def test_columns_do_not_come_and_go() -> None:
    with pytest.raises(ValueError, match="3 p-values"):
        _detector(100.0, 3).update(np.array([0.5]))


@pytest.mark.parametrize(("arl0", "n_columns"), [(1.0, 1), (10.0, 0)])
def test_a_detector_that_means_nothing_is_refused(arl0: float, n_columns: int) -> None:
    with pytest.raises(ValueError):
        EDetector(arl0=arl0, n_columns=n_columns, reference_windows=20.0)
