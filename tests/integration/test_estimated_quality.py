"""Quality on the synthetic fraud stream, estimated and realised, of a model as bootstrapped."""

from pathlib import Path

import numpy as np
import pytest

from drift.alert_book import Window
from drift.quality.baseline import calibrator_of
from drift.quality.cbpe import EstimatedQuality, estimate_quality
from drift.quality.watch import QualityRules, QualityWatch
from drift.quality.windows import LabelledRows, Quality, measure_quality
from inference.engine import LoadedModel, load_model
from producers.fraud import FRAUD_SCHEMA, Drift, DriftKind, FraudStream, history
from schemas.drift_events import AlertLevel
from schemas.quality import QualityBaseline, decode_quality
from storage.model_store import ModelStore, read_quality
from training.bootstrap import train_first_model
from training.reference import score_rows

N_HISTORY = 40_000
N_AFTER = 20_000


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, QualityBaseline]:
    folder = tmp_path_factory.mktemp("fraud")
    features, labels, times = history(FraudStream(), N_HISTORY)
    directory: Path = train_first_model(
        features.astype(np.float32),
        labels,
        FRAUD_SCHEMA,
        pipeline="fraud",
        seed=0,
        epochs=10,
        directory=folder / "model",
        event_times=times,
    )
    stored = ModelStore(folder / "store").path(ModelStore(folder / "store").put(directory))
    return load_model(stored), decode_quality(read_quality(stored))


def compared(
    released: tuple[LoadedModel, QualityBaseline], *drifts: Drift
) -> tuple[EstimatedQuality, Quality]:
    model, baseline = released
    features, truth, _ = history(FraudStream(drifts=drifts), N_AFTER, skip=N_HISTORY)
    scores = score_rows(model, features.astype(np.float32)).astype(np.float64)
    flagged, groups = scores >= baseline.threshold, np.zeros(N_AFTER, dtype=np.int64)
    calibrator = calibrator_of(baseline)
    assert calibrator is not None
    (estimate,) = estimate_quality(scores, flagged, groups, n_groups=1, calibrator=calibrator)
    rows = LabelledRows(truth.astype(np.float64), scores, flagged, groups)
    (realised,) = measure_quality(rows, n_scored=[N_AFTER])
    return estimate, realised


@pytest.mark.parametrize("strength", [None, 0.3, 0.6])
def test_under_covariate_shift_the_estimate_is_what_is_realised(
    released: tuple[LoadedModel, QualityBaseline], strength: float | None
) -> None:
    drifts = [] if strength is None else [Drift(DriftKind.COVARIATE, N_HISTORY, strength)]
    estimate, realised = compared(released, *drifts)
    for name, expected in realised.metrics.items():
        gap = abs(estimate.metrics[name].value - expected.value)
        bound = 0.02 + 2 * estimate.metrics[name].standard_error
        assert gap <= bound, (name, gap, bound)


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
    released: tuple[LoadedModel, QualityBaseline], kind: DriftKind | None
) -> None:
    """ARL0 of 1,000 windows; the change is at the start of window 10 of 20."""
    model, baseline = released
    width, n_windows, n_before = 4_000, 20, 10
    drifts = [Drift(kind, N_HISTORY + n_before * width)] if kind else []
    features, truth, _ = history(FraudStream(drifts=drifts), n_windows * width, skip=N_HISTORY)
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
