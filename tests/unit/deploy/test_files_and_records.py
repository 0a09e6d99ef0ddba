"""Pipelines found for files, names made from them, and records told to people."""

from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from deploy.bootstrap import pipeline_name
from deploy.records import Record, describe_record
from deploy.replay import find_pipeline, parse_origin, remapped
from drift.binning import bin_columns
from drift.columns import ColumnSpec
from drift.coverage import Coverage
from drift.sketch import Sketch, SketchKey
from schemas.codecs import packed
from schemas.errors import ConfigurationError
from schemas.features import FeatureSchema
from schemas.frames import Frame, FrameHeader, encode_frame, frame_schema
from schemas.pipeline import ColumnMapping, Pipeline, write_pipeline

SCHEMA = FeatureSchema.of_floats(["a", "b"])


def store_with(folder: Path, **columns: list[str]) -> Path:
    for name, names in columns.items():
        schema = FeatureSchema.of_floats(names)
        write_pipeline(folder, Pipeline(name=name, schema=schema, model="0" * 64))
    return folder


def file_with(folder: Path, *columns: str) -> Path:
    path = folder / "my file.csv"
    path.write_text(",".join(columns) + "\n" + ",".join("1" for _ in columns) + "\n")
    return path


def test_a_file_finds_the_pipeline_whose_features_it_has(tmp_path: Path) -> None:
    store = store_with(tmp_path, one=["a", "b"], two=["x", "y"])

    assert find_pipeline(store, file_with(tmp_path, "b", "label", "a"), None).name == "one"


def test_a_file_that_fits_two_pipelines_asks_which(tmp_path: Path) -> None:
    store = store_with(tmp_path, one=["a"], two=["b"])

    with pytest.raises(ConfigurationError, match=r"several pipelines \(one, two\)"):
        find_pipeline(store, file_with(tmp_path, "a", "b"), None)


def test_a_file_that_fits_none_says_which_command_makes_one(tmp_path: Path) -> None:
    path = file_with(tmp_path, "a", "b")

    with pytest.raises(ConfigurationError) as caught:
        find_pipeline(store_with(tmp_path, other=["z"]), path, None)
    assert f"thalweg bootstrap '{path}' --label COLUMN" in str(caught.value)


def test_a_named_pipeline_lists_the_columns_a_file_lacks(tmp_path: Path) -> None:
    store = store_with(tmp_path, one=["a", "b", "c"])

    with pytest.raises(ConfigurationError, match="lacks columns of pipeline 'one': b, c"):
        find_pipeline(store, file_with(tmp_path, "a"), "one")


def test_options_change_the_mapping_and_leave_the_rest() -> None:
    mapping = ColumnMapping(label="y", time="when", entity="who")
    changed = remapped(mapping, entity=None, event_id="id", time=None, time_origin="2013-09-01")

    assert (changed.label, changed.time, changed.entity) == ("y", "when", "who")
    assert changed.event_id == "id"
    assert changed.time_origin_ms == 1_377_993_600_000


def test_a_time_origin_without_a_zone_is_utc() -> None:
    assert parse_origin("1970-01-01T01:00:00+01:00") == parse_origin("1970-01-01") == 0
    with pytest.raises(ConfigurationError, match="write it like"):
        parse_origin("yesterday")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("ulb_creditcard_sample_1722.csv", "ulb-creditcard-sample-1722"),
        ("2013.parquet", "p-2013"),
        ("Ünïcode Ä.csv", "n-code"),
        ("a" * 80 + ".csv", "a" * 63),
    ],
)
def test_a_file_name_becomes_a_valid_pipeline_name(file: str, name: str) -> None:
    assert pipeline_name(Path(file)) == name
    Pipeline(name=name, schema=SCHEMA, model="0" * 64)


def record(topic: str, value: bytes | None, content_type: str = "") -> Record:
    return Record(topic, 0, 0, 0, "", content_type, value)


def test_json_records_are_shown_as_they_are() -> None:
    assert describe_record(record("fraud.features", b'{"a":1}')) == '{"a":1}'
    assert describe_record(record("fraud.features", None)) == "null"
    assert describe_record(record("fraud.features", b"\xff{")) == "\\xff{"


def test_packed_records_are_decoded_with_the_pipelines_names() -> None:
    value = packed.Encoder(SCHEMA).encode("e-1", 5, [1.5, 2.0])
    shown = msgspec.json.decode(
        describe_record(record("fraud.features", value, packed.CONTENT_TYPE), SCHEMA.names)
    )

    assert (shown["event_id"], shown["event_time_ms"]) == ("e-1", 5)
    assert shown["features"] == {"a": 1.5, "b": 2.0}


def test_arrow_records_are_decoded_and_broken_ones_say_so() -> None:
    header = FrameHeader(
        pipeline="fraud",
        source_topic="fraud.features",
        source_topic_id="id",
        source_partition=3,
        covers_from=7,
        covers_to=9,
        schema_hash=SCHEMA.hash,
        scored_at_ms=1,
    )
    rows = pa.RecordBatch.from_pylist([], schema=frame_schema(2))
    value = encode_frame(Frame(header, rows))
    shown = msgspec.json.decode(describe_record(record("fraud.scored-batches", value)))

    assert (shown["header"]["covers_from"], shown["n_rows"]) == (7, 0)
    assert "not a scored batch" in describe_record(record("fraud.scored-batches", b"junk"))
    truncated = packed.Encoder(SCHEMA).encode_floats("e", 1, np.zeros(2, np.float32))[:5]
    told = describe_record(record("fraud.features", truncated, packed.CONTENT_TYPE))
    assert "not a packed event" in told


def test_a_sketch_is_shown_as_what_it_is_of_and_answers_for() -> None:
    shown = msgspec.json.decode(describe_record(record("staging.drift-sketches", sketch_bytes())))

    assert (shown["pipeline"], shown["model_version"], shown["n_rows"]) == ("fraud", "v1", 2)
    assert (shown["window_start_ms"], shown["window_end_ms"]) == (1000, 2000)
    assert shown["covers"] == {"topic-id/3": [[40, 45]]}
    assert "not a drift sketch" in describe_record(record("drift-sketches", b"junk"))
    assert "not a drift sketch" in describe_record(record("drift-sketches", sketch_bytes()[:-3]))


def sketch_bytes() -> bytes:
    columns = bin_columns(np.arange(200, dtype=np.float32)[:, None], [ColumnSpec("a")])
    sketch = Sketch.empty(columns, SketchKey("fraud", "v1", 1000, 2000, "", columns.fingerprint))
    covers = Coverage.of({("topic-id", 3): [(40, 45)]})
    return sketch.update(columns, np.zeros((2, 1), dtype=np.float32), covers).encode()
