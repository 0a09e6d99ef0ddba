"""The power table's own arithmetic, and the rivals' against the libraries they stand for."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from tests.bench import drift_power, drift_rivals
from tests.bench.drift_power import CHANGE, Alarm, delay
from tests.bench.drift_streams import CATEGORY, DRIFTS, SHARES, SPECS, Drift, drifting, stable

N, CHANGED_AT = 20_000, 10_000


def test_distances_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=3_000), rng.normal(0.05, size=700)
    expected = ks_2samp(a, b, method="asymp").pvalue
    assert drift_rivals.ks_p_value(np.sort(a), b) == pytest.approx(expected)
    p, q = rng.dirichlet(np.ones(6)), np.append(rng.dirichlet(np.ones(5)), 0.0)
    for base in (2.0, np.e):
        assert drift_rivals.js_distance(p, q, base) == pytest.approx(jensenshannon(p, q, base))


@pytest.mark.parametrize("fit", drift_power.FITS.values(), ids=drift_power.FITS)
def test_every_rival_sees_a_shift_of_one_sigma_and_only_that(fit: drift_rivals.Fit) -> None:
    drift = next(each for each in DRIFTS if each.name == "shift 1 sigma")
    rows = drifting(drift, N, CHANGED_AT + 5_000, np.random.default_rng(1))
    flags = drift_rivals.flags(fit, rows, CHANGED_AT, 1_000)
    assert flags.shape == (10, len(SPECS))
    assert flags[5:, 0].all()
    assert flags[:, 1:].mean() <= 0.2


@pytest.mark.parametrize("drift", DRIFTS, ids=[each.name for each in DRIFTS])
def test_a_drift_changes_the_columns_that_it_names_from_its_row_on(
    drift: Drift,
) -> None:
    before = stable(N, np.random.default_rng(2))
    after = drifting(drift, N, CHANGED_AT, np.random.default_rng(2))
    differs = ~((before == after) | (np.isnan(before) & np.isnan(after)))
    assert set(np.flatnonzero(differs.any(axis=0))) == set(drift.columns)
    assert not differs[:CHANGED_AT].any()


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_stable_streams_have_the_moments_and_the_memory_they_say(rho: float) -> None:
    rows = stable(200_000, np.random.default_rng(3), rho)
    x = rows[:, 0].astype(np.float64)
    # Standard error of the mean of an AR(1): sqrt((1 + rho) / (1 - rho) / n).
    assert abs(x.mean()) < 4 * np.sqrt((1 + rho) / (1 - rho) / len(x))
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(rho, abs=0.02)
    shares = np.bincount(rows[:, CATEGORY].astype(int)) / len(rows)
    np.testing.assert_allclose(shares, SHARES, atol=0.02)


def test_a_delay_counts_from_the_change_to_what_names_it() -> None:
    drift = DRIFTS[0]
    told = [Alarm(CHANGE - 5, 0), Alarm(CHANGE + 3, 4), Alarm(CHANGE + 9, 0)]
    assert delay(told, drift) == 9
    assert delay([Alarm(CHANGE + 3, None), *told], drift) == 3
    assert delay(told[:2], drift) is None
