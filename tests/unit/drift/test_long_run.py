"""The long run in short, a fifth of the customers and two seeds: tests/bench/drift_long_run."""

import pytest
from scipy.stats import poisson

from drift.findings import Level
from producers.fraud import Drift, DriftKind, FraudStream
from tests.bench.drift_long_run import Run, watch

N_REFERENCE, N_EVENTS, CHANGE = 84_000, 60_000, 100_000
"""42 days of 2,000 events; a change comes on the eighth day behind them."""
ARL0 = 1_000.0


def _watch(seed: int, *drifts: Drift) -> Run:
    stream = FraudStream(seed=seed, n_customers=1_000, n_terminals=1_000, drifts=drifts)
    return watch(stream, n_reference=N_REFERENCE, n_events=N_EVENTS, window_hours=6, arl0=ARL0)


def test_a_stable_stream_has_as_many_notices_as_stated_and_no_alert() -> None:
    runs = [_watch(seed) for seed in (10, 11)]
    n_windows = sum(len(run.noticed) for run in runs)
    assert n_windows > 200
    assert sum(run.n_notices for run in runs) <= poisson.ppf(0.999, n_windows / ARL0)
    assert sum(run.n_alerts for run in runs) == 0


@pytest.mark.parametrize(
    ("drift", "columns"),
    [
        (Drift(DriftKind.BROKEN_FEATURE, CHANGE), {"distance_km"}),
        (
            Drift(DriftKind.COVARIATE, CHANGE),
            {"amount", "log_amount", "customer_mean_amount_7d", "customer_mean_amount_30d"},
        ),
    ],
)
def test_a_drift_is_an_alert_in_its_columns_within_two_days(
    drift: Drift, columns: set[str]
) -> None:
    run = _watch(10, drift)
    alerts = [
        {each.name for each in noticed if each.level is Level.ALERT} for noticed in run.noticed
    ]
    n_before = 24
    assert not any(alerts[:n_before])
    assert columns & set().union(*alerts[n_before : n_before + 16])
