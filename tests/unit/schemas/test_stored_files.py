"""Pipeline definitions and model manifests: written whole, read or refused with what is wrong."""

from pathlib import Path

import msgspec
import pytest

from schemas.errors import ConfigurationError, ModelError
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.model import MANIFEST_FILE, ModelManifest, read_manifest
from schemas.pipeline import (
    ColumnMapping,
    Pipeline,
    list_pipelines,
    pipeline_path,
    read_pipeline,
    write_pipeline,
)

SCHEMA = FeatureSchema.of_floats(["a", "b"])


def _pipeline(name: str = "fraud") -> Pipeline:
    mapping = ColumnMapping(label="Class", time="Time", time_origin_ms=1_378_000_000_000)
    return Pipeline(name=name, schema=SCHEMA, model="m", mapping=mapping)


def test_a_pipeline_is_read_as_written(tmp_path: Path) -> None:
    write_pipeline(tmp_path, _pipeline())
    assert read_pipeline(tmp_path, "fraud") == _pipeline()
    assert list_pipelines(tmp_path) == ["fraud"]
    assert [path.name for path in (tmp_path / "pipelines").iterdir()] == ["fraud.json"]


def test_a_pipeline_written_before_time_could_be_a_feature_is_read(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, _pipeline())
    definition = msgspec.json.decode(path.read_bytes())
    del definition["mapping"]["time_is_feature"]
    path.write_bytes(msgspec.json.encode(definition))
    assert read_pipeline(tmp_path, "fraud") == _pipeline()


SEGMENTED = FeatureSchema(
    (
        Feature(name="amount"),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("shop", "web")),
        Feature(name="night", dtype=Dtype.BOOLEAN),
        Feature(name="a=b", dtype=Dtype.BOOLEAN),
    )
)


def test_segments_are_read_as_written_and_there_were_none_before(tmp_path: Path) -> None:
    segmented = Pipeline(name="fraud", schema=SEGMENTED, model="m", segments=("channel", "night"))
    path = write_pipeline(tmp_path, segmented)
    assert read_pipeline(tmp_path, "fraud") == segmented
    definition = msgspec.json.decode(path.read_bytes())
    del definition["segments"]
    path.write_bytes(msgspec.json.encode(definition))
    assert read_pipeline(tmp_path, "fraud").segments == ()


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        (("amount",), r"'amount' cannot be segmented by.*here: channel, night\)"),
        (("color",), "'color' is no feature"),
        (("a=b",), "'='"),
        (("night", "night"), "given twice"),
    ],
)
def test_segments_that_cannot_be_are_refused(segments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Pipeline(name="fraud", schema=SEGMENTED, model="m", segments=segments)


def test_a_feature_made_of_no_time_column_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--time COLUMN"):
        ColumnMapping(label="Class", time_is_feature=True)


def test_a_missing_pipeline_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none yet"):
        read_pipeline(tmp_path, "fraud")
    write_pipeline(tmp_path, _pipeline("payments"))
    with pytest.raises(ConfigurationError, match="payments"):
        read_pipeline(tmp_path, "fraud")


@pytest.mark.parametrize("text", ["", "{", '{"name": "fraud"}', '{"features": []}'])
def test_a_broken_pipeline_file_is_refused_by_its_path(tmp_path: Path, text: str) -> None:
    path = write_pipeline(tmp_path, _pipeline())
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"fraud\.json"):
        read_pipeline(tmp_path, "fraud")


def test_a_copied_pipeline_file_that_keeps_its_old_name_is_refused(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, _pipeline())
    pipeline_path(tmp_path, "payments").write_bytes(path.read_bytes())
    with pytest.raises(ConfigurationError, match=r"payments\.json names pipeline 'fraud'"):
        read_pipeline(tmp_path, "payments")


@pytest.mark.parametrize("name", ["", "Fraud", "1st", "a/b", "a.b", "x" * 64])
def test_a_name_that_makes_no_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="lower-case"):
        _pipeline(name)


def _manifest(**changes: object) -> bytes:
    manifest = ModelManifest(
        version="1",
        pipeline="fraud",
        sha256="s",
        golden_sha256="g",
        schema=SCHEMA,
        schema_hash=SCHEMA.hash,
        input_name="x",
        output_name="y",
        threshold=0.5,
    )
    return msgspec.json.encode(msgspec.to_builtins(manifest) | changes)


def test_a_manifest_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(_manifest())
    manifest = read_manifest(tmp_path)
    assert (manifest.schema, manifest.threshold) == (SCHEMA, 0.5)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (_manifest()[:-9], "not a model manifest"),
        (b"\xff", "not a model manifest"),
        (_manifest(threshhold=0.5), "threshhold"),
        (_manifest(schema={"features": []}), "1 to 4096 features"),
        (_manifest(schema_hash="0" * 64), "edited or torn"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=complaint):
        read_manifest(tmp_path)


def test_a_missing_manifest_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        read_manifest(tmp_path / "nothing")
    (tmp_path / MANIFEST_FILE).mkdir()
    with pytest.raises(ModelError, match="cannot read"):
        read_manifest(tmp_path)
