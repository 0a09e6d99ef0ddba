"""The bench's own parts: what it sends is what it says, and its arithmetic is right."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecord

from schemas.codecs import CONTENT_TYPE_HEADER, packed
from schemas.codecs import json as json_codec
from schemas.events import FeatureEvent
from schemas.model import read_manifest
from schemas.pipeline import read_pipeline
from tests.bench.cases import Case, Kind, Options, Outcome, plan
from tests.bench.events import EventPool, parse_event_id
from tests.bench.memory import growth
from tests.bench.model import PIPELINE, SCHEMA, write_store
from tests.bench.processes import RunFailed
from tests.bench.readback import Predictions
from tests.bench.report import Results, as_json, faust_case


def records_of(batch: bytes) -> list[DefaultRecord]:
    records = MemoryRecords(batch)
    parsed = records.next_batch()
    assert parsed.validate_crc()
    return list(parsed)


def test_a_packed_batch_holds_valid_numbered_events() -> None:
    records = records_of(EventPool("packed").batch(4000, 200, 123))

    decoded = [packed.decode(record.value) for record in records]
    assert [parse_event_id(each[0]) for each in decoded] == [(123, 4000 + i) for i in range(200)]
    assert [record.offset for record in records] == list(range(200))
    assert {each[2] for each in decoded} == {SCHEMA.id}
    assert all(each[3].shape == (30,) and np.isfinite(each[3]).all() for each in decoded)
    assert records[0].headers == [(CONTENT_TYPE_HEADER, packed.CONTENT_TYPE.encode())]


def test_a_json_batch_holds_valid_numbered_events() -> None:
    records = records_of(EventPool("json").batch(7, 300, 99))

    events = [msgspec.json.decode(record.value, type=FeatureEvent) for record in records]
    assert [parse_event_id(event.event_id) for event in events] == [(99, 7 + i) for i in range(300)]
    assert all(tuple(event.features) == SCHEMA.names for event in events)
    assert records[0].headers == [(CONTENT_TYPE_HEADER, json_codec.CONTENT_TYPE.encode())]


def test_the_model_directory_is_one_that_the_store_accepts(tmp_path: Path) -> None:
    directory = write_store(tmp_path)

    assert read_manifest(directory).schema_hash == SCHEMA.hash
    assert read_pipeline(tmp_path, PIPELINE).model == directory.name


def test_the_rate_leaves_out_the_start() -> None:
    # A second of start-up for the first fifth, then 800 events in 400 ms.
    append_ms = np.concatenate([np.linspace(0, 1000, 200), np.linspace(1001, 1401, 800)])

    assert Predictions(1000, 1000, append_ms.astype(np.int64)).events_per_s(0.2) == 2000


def test_memory_growth_is_the_slope_after_the_settled_part() -> None:
    samples = [(n * 100_000, 100.0 if n < 20 else 100.0 + n) for n in range(101)]

    assert growth(samples, 10_000_000)["mib_per_million_events"] == pytest.approx(10)


def test_too_few_memory_samples_are_refused() -> None:
    with pytest.raises(RunFailed, match="too few"):
        growth([(10, 1.0)], 10)


def test_contenders_are_planned_only_for_what_they_can_do() -> None:
    cases = plan(Options())

    assert {case.contender for case in cases if case.frames} == {"hand", "ours"}
    assert {case.wire_format for case in cases if case.contender == "faust"} == {"json"}
    assert len(cases) == len(set(cases))


def test_a_contender_that_failed_is_reported_with_its_reason() -> None:
    results = Results()
    mine = Case(Kind.THROUGHPUT, "ours", "json", False)
    results.add(Outcome(faust_case(), {"events_per_s": 100.0}))
    results.add(Outcome(mine, {"events_per_s": 4000.0}))
    results.add(Outcome(mine, failure="exited with 1: no such model"))

    rows = as_json(results, Options())["cases"]
    ours = next(row for row in rows if row["contender"] == "ours")
    assert ours["ratios"]["events_per_s_to_faust"] == 40
    assert ours["runs"] == "1/2; exited with 1: no such model"
