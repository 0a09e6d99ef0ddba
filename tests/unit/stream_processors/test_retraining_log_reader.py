"""What the log adds to a decision, and what a definition says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drift.policy_state import PolicyState, QualitySeen
from schemas.errors import ConfigurationError, TransientError
from schemas.features import FeatureSchema
from schemas.pipeline import Pipeline, pipeline_path, write_pipeline
from schemas.quality import ErrorLevel, Measured, QualityBaseline
from schemas.retraining import RetrainingPolicy, RetrainingSettings
from storage.drift_queries import QualityMetric
from storage.model_store import ModelStore
from stream_processors.request_retraining.definition import Definition, Definitions
from stream_processors.request_retraining.log_reader import LogReader, quality_seen, readings
from tests.unit.inference.models import write_model

HOUR = 3_600_000
SCHEMA = FeatureSchema.of_floats(["a"])


def a_definition(at_release: Measured) -> Definition:
    errors = ErrorLevel(rate=0.1, block=32, block_std=1.0, skewness=0.0, n_rows=100)
    measures = {"average_precision": at_release}
    baseline = QualityBaseline(
        threshold=0.5, n_rows=100, n_positive=50, errors=errors, measures=measures
    )
    return Definition("v1", RetrainingPolicy(min_maturity=0.8), baseline)


DEFINITION = a_definition(Measured(0.8, 0.0))


def a_window(hour: int, **changed: Any) -> QualityMetric:
    given: dict[str, Any] = {
        "model_version": "v1",
        "window_start_ms": hour * HOUR,
        "window_end_ms": (hour + 1) * HOUR,
        "segment": "",
        "measure": "average_precision",
        "realised": None,
        "realised_error": None,
        "estimate": None,
        "estimate_error": None,
        "n_scored": 100,
        "n_labelled": 0,
        "maturity": 0.0,
    }
    return QualityMetric(**(given | changed))


def test_labels_are_believed_before_estimates() -> None:
    """Where labels have come they say that all is well; the estimate of those rows is not read."""
    mature = {"realised": 0.8, "realised_error": 0.01, "maturity": 0.9}
    wrong = {"estimate": 0.1, "estimate_error": 0.01}
    right = {"estimate": 0.75, "estimate_error": 0.01}
    windows = [a_window(i, **mature, **wrong) for i in range(5)]
    windows += [a_window(i, **right, realised=0.0, realised_error=0.01) for i in range(5, 8)]
    realised, estimated = readings(windows, DEFINITION, 8 * HOUR, 0)
    assert realised.realised
    assert realised.loss == pytest.approx(0.0)
    assert not estimated.realised
    assert estimated.loss == pytest.approx(0.05)
    assert estimated.change_point_ms == 5 * HOUR


def test_a_window_or_a_release_without_a_measure_or_its_error_says_nothing() -> None:
    blank = [a_window(0, maturity=1.0), a_window(1), a_window(2, estimate=0.3)]
    assert readings(blank, DEFINITION, HOUR, 0) == ()
    good = [a_window(0, maturity=1.0, realised=0.1, realised_error=0.1)]
    assert readings(good, a_definition(Measured(None, None)), HOUR, 0) == ()
    assert readings(good, replace(DEFINITION, baseline=None), HOUR, 0) == ()


def test_it_is_told_what_there_was_to_read_quality_from() -> None:
    labelled = {"realised": 0.8, "realised_error": 0.01, "maturity": 0.9}
    windows = [a_window(0, **labelled), a_window(1, maturity=0.35), a_window(2, maturity=1.0)]
    assert quality_seen(windows, DEFINITION) == QualitySeen(True, 3, 2, 1.0)
    assert quality_seen([], DEFINITION) == QualitySeen(True, 0, 0, 0.0)
    for without in (a_definition(Measured(None, None)), replace(DEFINITION, baseline=None)):
        assert not quality_seen(windows, without).at_release


def test_a_log_that_does_not_answer_is_not_known_and_one_that_refuses_is_an_error() -> None:
    def away() -> Any:
        raise TransientError("gone")

    def refuses() -> Any:
        raise ConfigurationError("wrong password")

    state = PolicyState("fraud", "", 0)
    found = LogReader(away, "fraud", HOUR, lambda *_: []).complete(state, DEFINITION, 0)
    assert (found.log_known, found.champion) == (False, "v1")
    with pytest.raises(ConfigurationError):
        LogReader(refuses, "fraud", HOUR, lambda *_: []).complete(state, DEFINITION, 0)


def test_a_definition_is_read_again_when_it_changes_and_kept_when_it_is_torn(
    tmp_path: Path,
) -> None:
    sha256 = ModelStore(tmp_path).put(write_model(tmp_path / "model"))
    pipeline = Pipeline(name="fraud", schema=SCHEMA, model=sha256)
    write_pipeline(tmp_path, pipeline)
    definitions = Definitions(tmp_path, "fraud", RetrainingSettings(quorum=3))
    assert definitions.current().policy.quorum == 3
    write_pipeline(tmp_path, msgspec.structs.replace(pipeline, retraining={"quorum": 2}))
    assert definitions.current().policy.quorum == 2
    pipeline_path(tmp_path, "fraud").write_text("{")
    assert definitions.current().policy.quorum == 2
    write_pipeline(tmp_path, pipeline)
    assert definitions.current().policy.quorum == 3
