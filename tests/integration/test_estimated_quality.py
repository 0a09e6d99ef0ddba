"""Quality on the synthetic fraud stream, estimated and realised, of a model as bootstrapped.

Long form: `DRIFT_LONG=1 pytest -s tests/integration/test_estimated_quality.py -k streams` prints
the counts of docs/quality.md.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from drift.alert_book import Window
from drift.quality.baseline import calibrator_of
from drift.quality.cbpe import EstimatedQuality, estimate_quality
from drift.quality.metrics import METRICS
from drift.quality.watch import QualityRules, QualityWatch
from drift.quality.windows import LabelledRows, Quality, measure_quality
from inference.engine import LoadedModel, load_model
from producers.fraud import FRAUD_SCHEMA, Drift, DriftKind, FraudStream, history
from schemas.drift_events import AlertLevel
from schemas.quality import QualityBaseline, decode_quality
from storage.model_store import ModelStore, read_quality
from training.bootstrap import train_first_model
from training.reference import score_rows

LONG = os.environ.get("DRIFT_LONG") == "1"
N_HISTORY = 120_000
"""Two weeks, as long as a customer stays compromised. Where history was five days, the newest of
them held out, scores meant less on the days after and ROC AUC was estimated too high with no shift
at all: that is concept drift, which is not what is asked here.
"""
N_SHORT_HISTORY = 40_000
N_AFTER = 20_000
N_STREAMS = 12
SHIFTS = [None, 0.3, 0.6]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, QualityBaseline]:
    return release(tmp_path_factory.mktemp("fraud"), seed=0)


@pytest.fixture(scope="module")
def released_early(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, QualityBaseline]:
    return release(tmp_path_factory.mktemp("early"), seed=0, n_history=N_SHORT_HISTORY)


def release(
    folder: Path, *, seed: int, n_history: int = N_HISTORY
) -> tuple[LoadedModel, QualityBaseline]:
    """The model of the stream of `seed`, and its quality, as a worker reads them."""
    features, labels, times = history(FraudStream(seed=seed), n_history)
    directory: Path = train_first_model(
        features.astype(np.float32),
        labels,
        FRAUD_SCHEMA,
        pipeline="fraud",
        seed=seed,
        epochs=10,
        directory=folder / "model",
        event_times=times,
    )
    stored = ModelStore(folder / "store").path(ModelStore(folder / "store").put(directory))
    return load_model(stored), decode_quality(read_quality(stored))


def compared(
    released: tuple[LoadedModel, QualityBaseline], *drifts: Drift, seed: int = 0
) -> tuple[EstimatedQuality, Quality]:
    model, baseline = released
    features, truth, _ = history(FraudStream(seed=seed, drifts=drifts), N_AFTER, skip=N_HISTORY)
    scores = score_rows(model, features.astype(np.float32)).astype(np.float64)
    flagged, groups = scores >= baseline.threshold, np.zeros(N_AFTER, dtype=np.int64)
    calibrator = calibrator_of(baseline)
    assert calibrator is not None
    (estimate,) = estimate_quality(scores, flagged, groups, n_groups=1, calibrator=calibrator)
    rows = LabelledRows(truth.astype(np.float64), scores, flagged, groups)
    (realised,) = measure_quality(rows, n_scored=[N_AFTER])
    return estimate, realised


def beyond(estimate: EstimatedQuality, realised: Quality) -> list[str]:
    """The measures whose estimate is off by more than 0.02 plus two standard errors."""
    return [
        name
        for name, found in estimate.metrics.items()
        if abs(found.value - realised.metrics[name].value) > 0.02 + 2 * found.standard_error
    ]


def covariate_shift(strength: float | None) -> list[Drift]:
    return [] if strength is None else [Drift(DriftKind.COVARIATE, N_HISTORY, strength)]


@pytest.mark.parametrize("strength", SHIFTS)
def test_under_covariate_shift_the_estimate_is_what_is_realised(
    released: tuple[LoadedModel, QualityBaseline], strength: float | None
) -> None:
    estimate, realised = compared(released, *covariate_shift(strength))
    assert set(estimate.metrics) == set(realised.metrics)
    assert beyond(estimate, realised) == []


@pytest.mark.skipif(not LONG, reason="long form: DRIFT_LONG=1")
@pytest.mark.timeout(3600)
def test_on_many_streams_no_measure_is_beyond_more_often_than_two_standard_errors_allow(
    tmp_path: Path,
) -> None:
    """A model each. Streams are independent, measures of one are not: so each is counted alone.

    A normal deviate is beyond two standard errors in 4.6% of streams. Chance passes the bound at
    most once in 1,000 runs, all measures and shifts together.
    """
    counts: dict[float | None, Counter[str]] = {strength: Counter() for strength in SHIFTS}
    for seed in range(N_STREAMS):
        released = release(tmp_path / str(seed), seed=seed)
        calibration = type(released[1].calibration).__name__
        for strength, count in counts.items():
            pair = compared(released, *covariate_shift(strength), seed=seed)
            count.update(beyond(*pair))
            print(f"stream {seed} {calibration} shift {strength}: beyond {beyond(*pair)}")
    for strength, count in counts.items():
        n_measures = N_STREAMS * len(METRICS)
        print(f"shift {strength}: {count.total()} of {n_measures} beyond, {dict(count)}")

    n_counts = len(SHIFTS) * len(METRICS)
    most = stats.binom.ppf(1 - 0.001 / n_counts, N_STREAMS, 2 * stats.norm.sf(2))
    assert max(max(count.values(), default=0) for count in counts.values()) <= most


def test_under_concept_drift_the_estimate_is_too_good_and_says_that_it_may_be(
    released: tuple[LoadedModel, QualityBaseline],
) -> None:
    estimate, realised = compared(released, Drift(DriftKind.CONCEPT, N_HISTORY, 1.0))
    for name in ("recall", "roc_auc"):
        found = estimate.metrics[name]
        assert found.value > realised.metrics[name].value + 2 * found.standard_error, name
    assert "cannot see concept drift" in estimate.caveat


@pytest.mark.parametrize("kind", [None, DriftKind.CONCEPT, DriftKind.PRIOR])
def test_labels_show_what_the_estimate_cannot_and_nothing_on_a_stable_stream(
    released_early: tuple[LoadedModel, QualityBaseline], kind: DriftKind | None
) -> None:
    """ARL0 of 1,000 windows; the change is at the start of window 10 of 20."""
    model, baseline = released_early
    width, n_windows, n_before = 4_000, 20, 10
    drifts = [Drift(kind, N_SHORT_HISTORY + n_before * width)] if kind else []
    features, truth, _ = history(
        FraudStream(drifts=drifts), n_windows * width, skip=N_SHORT_HISTORY
    )
    scores = score_rows(model, features.astype(np.float32)).astype(np.float64)
    watch = QualityWatch("fraud", model.version, baseline, QualityRules())
    told = []
    for start in range(0, n_windows * width, width):
        own = slice(start, start + width)
        told += watch.judge(
            Window(start, start + width, 0),
            truth[own].astype(np.float64),
            scores[own],
            scores[own] >= baseline.threshold,
        )
    alerts = [each for each in told if each.level is AlertLevel.ALERT]
    if kind is None:
        assert told == []
        return
    assert n_before * width <= alerts[0].window_start_ms <= (n_before + 1) * width
    assert alerts[0].change_point_ms == n_before * width
    names = {each.name for each in alerts}
    assert names >= ({"label_rate"} if kind is DriftKind.PRIOR else {"recall", "error_rate"})
