"""Segments of a pipeline are those of its last bootstrap: given, changed, and gone again."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.bootstrap import Bootstrapped, Change, _fraud_rows, bootstrap_file, bootstrap_fraud
from deploy.reference import describe_reference, load_reference
from producers.fraud import FRAUD_SCHEMA
from schemas.errors import ConfigurationError
from schemas.features import Dtype
from schemas.pipeline import Pipeline, read_pipeline, write_pipeline
from schemas.settings import Settings
from storage.model_store import ModelStore
from tests.unit.deploy.test_reference import MAPPING, settings_of, write_rows
from thalweg.main import app
from training.bootstrap import train_first_model


def bootstrapped(settings: Settings, file: Path, *segments: str) -> Bootstrapped:
    return bootstrap_file(settings, file, MAPPING, name=None, replace=False, segments=segments)


def watched(settings: Settings, done: Bootstrapped) -> list[str]:
    """The segments of the model that serves."""
    reference = load_reference(ModelStore(settings.store).path(done.pipeline.model))
    return [segment.name for segment, _ in reference.segments]


def test_other_segments_are_another_model_and_none_given_are_none(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv", 1500), settings_of(tmp_path / "data")
    plain = bootstrapped(settings, file)
    cut = bootstrapped(settings, file, "colour")
    again = bootstrapped(settings, file, "colour")
    assert (cut.change, again.change) == (Change.UPDATED, Change.UNCHANGED)
    assert again.pipeline.segments == ("colour",)
    assert watched(settings, again) == ["colour=green", "colour=red"]
    assert cut.pipeline.model != plain.pipeline.model, "a stored reference never changes"
    assert cut.measures == plain.measures, "the same network"

    without = bootstrapped(settings, file)
    assert without.change is Change.UPDATED
    assert without.pipeline.segments == ()
    assert watched(settings, without) == []
    assert without.pipeline.model == plain.pipeline.model, "as it was before it had any"


def test_segments_are_named_where_the_reference_is_shown(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv", 1500), settings_of(tmp_path / "data")
    done = bootstrapped(settings, file, "colour")
    reference = load_reference(ModelStore(settings.store).path(done.pipeline.model))
    (told,) = [each for each in describe_reference(reference, None) if each.startswith("segments")]
    assert told.count("colour=") == 2


def test_a_number_is_refused_as_a_segment(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="'a' cannot be segmented by"):
        bootstrapped(settings, file, "a")


def test_the_command_without_segments_removes_those_of_the_one_before(tmp_path: Path) -> None:
    file, data = write_rows(tmp_path / "rows.csv", 1500), tmp_path / "data"
    arguments = ["bootstrap", str(file), "--label", "y", "--data-dir", str(data)]
    arguments += ["--entity", "who", "--time", "at"]
    told = []
    for options in (["--segment", "colour"], []):
        done = CliRunner().invoke(app, [*arguments, *options])
        assert done.exit_code == 0, done.output
        told.append(done.output)
    assert "pipeline rows created" in told[0]
    assert "pipeline rows updated" in told[1]
    assert read_pipeline(settings_of(data).store, "rows").segments == ()


def test_a_demo_leaves_the_segments_of_its_pipeline_as_they_are(tmp_path: Path) -> None:
    """It asks for none because it asks for nothing."""
    settings, rows = settings_of(tmp_path / "data"), _fraud_rows(5000)
    column = next(each.name for each in FRAUD_SCHEMA.features if each.dtype is Dtype.BOOLEAN)
    made = train_first_model(
        rows.features,
        rows.labels,
        FRAUD_SCHEMA,
        pipeline="fraud",
        seed=0,
        epochs=1,
        segments=[column],
    )
    model = ModelStore(settings.store).put(made)
    there = Pipeline(name="fraud", schema=FRAUD_SCHEMA, model=model, segments=(column,))
    write_pipeline(settings.store, there)
    done = bootstrap_fraud(settings, "fraud")
    assert (done.change, done.pipeline) == (Change.UNCHANGED, there)
