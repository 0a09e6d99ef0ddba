"""A frame survives its encoding, and splitting it loses, doubles and reorders nothing."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.frame_runs import SMALL_BYTES, decode_frames
from schemas.frames import (
    Frame,
    FrameHeader,
    Rejection,
    decode_frame,
    encode_frame,
    frame_schema,
    split_frame,
)
from tests.fixtures.frames import make_frame as other_frame

N_FEATURES = 3


def make_frame(
    scored: list[int], rejected: list[int], *, covers: tuple[int, int], entity: str = "card"
) -> Frame:
    """A frame whose cells all follow from their source offset."""
    features = np.array([[i, i + 0.5, np.nan] for i in scored], dtype=np.float32)
    columns = {
        "source_offset": scored,
        "event_id": [f"event-{i}" for i in scored],
        "entity": [f"{entity}-{i}" if i % 3 else None for i in scored],
        "event_time": scored,
        "append_time": [i + 1 for i in scored],
        "score": [i % 100 / 100 for i in scored],
        "decision": [i % 2 == 0 for i in scored],
        "model_version": [f"v{i % 2}" for i in scored],
        "challenger_score": [None] * len(scored),
        "challenger_version": [None] * len(scored),
    }
    schema = frame_schema(N_FEATURES)
    matrix = pa.FixedSizeListArray.from_arrays(
        pa.array(features.ravel(), type=pa.float32()), N_FEATURES
    )
    arrays = [
        matrix if field.name == "features" else pa.array(columns[field.name], type=field.type)
        for field in schema
    ]
    header = FrameHeader(
        pipeline="fraud",
        source_topic="fraud.features",
        source_topic_id="id",
        source_partition=0,
        covers_from=covers[0],
        covers_to=covers[1],
        schema_hash="h",
        scored_at_ms=1,
        rejections=tuple(Rejection(i, "malformed", f"why {i}", i) for i in rejected),
    )
    return Frame(header, pa.record_batch(arrays, schema=schema))


@dataclass(frozen=True)
class Case:
    """Offsets of a batch: most hold an event, some are holes; of the events some are rejected."""

    frame: Frame
    rejected: list[int]


@st.composite
def frames(draw: st.DrawFn) -> Case:
    first, n = draw(st.integers(0, 2**40)), draw(st.integers(1, 120))
    fates = draw(st.lists(st.sampled_from("SSSSRH"), min_size=n, max_size=n))
    scored = [first + i for i, fate in enumerate(fates) if fate == "S"]
    rejected = [first + i for i, fate in enumerate(fates) if fate == "R"]
    return Case(make_frame(scored, rejected, covers=(first, first + n)), rejected)


def _rows(frame: Frame) -> list[str]:
    # As text: NaN is not equal to itself.
    return [str(row) for row in frame.rows.to_pylist()]


@given(frames())
def test_a_frame_survives_its_encoding(case: Case) -> None:
    found = decode_frame(encode_frame(case.frame))
    assert found.header == case.frame.header
    assert _rows(found) == _rows(case.frame)


@given(frames(), st.integers(1, 20_000))
@example(Case(make_frame([], [], covers=(5, 1_000_000)), []), 1)
@example(Case(make_frame([7], [], covers=(5, 1_000_000)), []), 1)
def test_parts_join_up_and_hold_each_event_once_in_order(case: Case, max_bytes: int) -> None:
    parts = [decode_frame(data) for data in split_frame(case.frame, max_bytes)]
    edges = [part.header.covers_from for part in parts] + [parts[-1].header.covers_to]
    assert edges == sorted(set(edges))
    assert [part.header.covers_to for part in parts] == edges[1:]
    assert (edges[0], edges[-1]) == (case.frame.header.covers_from, case.frame.header.covers_to)
    assert [row for part in parts for row in _rows(part)] == _rows(case.frame)
    assert [each.offset for part in parts for each in part.header.rejections] == case.rejected
    for part in parts:
        held = part.rows.column("source_offset").to_pylist()
        held += [each.offset for each in part.header.rejections]
        assert all(part.header.covers_from <= offset < part.header.covers_to for offset in held)


@given(frames(), st.integers(1, 20_000))
def test_each_part_fits_unless_it_holds_one_event(case: Case, max_bytes: int) -> None:
    for data in split_frame(case.frame, max_bytes):
        part = decode_frame(data)
        assert len(data) <= max_bytes or part.rows.num_rows + len(part.header.rejections) <= 1


@given(st.data())
@settings(max_examples=200)
def test_a_torn_frame_is_refused_or_read(data: st.DataObject) -> None:
    payload = bytearray(encode_frame(make_frame([1, 2, 3], [4], covers=(1, 5))))
    for _ in range(data.draw(st.integers(0, 2))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    try:
        frame = decode_frame(bytes(payload[:cut]))
    except ValueError:
        return
    assert frame.rows.num_columns >= len(frame_schema(N_FEATURES))


@given(st.lists(frames(), max_size=6), st.booleans())
def test_frames_read_together_are_those_read_one_by_one(cases: list[Case], wide: bool) -> None:
    given = [case.frame for case in cases]
    if wide:  # another schema and a large frame among them
        large = make_frame(list(range(500)), [], covers=(0, 500), entity="x" * SMALL_BYTES)
        given[1:1] = [other_frame(range(3), n_features=5, pipeline="{}"), large]
    found = decode_frames([encode_frame(frame) for frame in given])
    assert [frame.header for frame in found] == [frame.header for frame in given]
    assert [_rows(frame) for frame in found] == [_rows(frame) for frame in given]
    assert all(frame.rows.schema.equals(frame_schema(_width(frame))) for frame in found)


def _width(frame: Frame) -> int:
    return int(frame.rows.schema.field("features").type.list_size)


@given(st.data())
@settings(max_examples=200)
def test_a_torn_frame_does_not_change_its_neighbours(data: st.DataObject) -> None:
    whole = [
        encode_frame(make_frame([i, i + 1, i + 2], [i + 3], covers=(i, i + 4))) for i in (0, 4, 8)
    ]
    torn = bytearray(whole[1])
    for _ in range(data.draw(st.integers(0, 2))):
        torn[data.draw(st.integers(0, len(torn) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(torn)), st.integers(0, len(torn))))
    try:
        found = decode_frames([whole[0], bytes(torn[:cut]), whole[2]])
    except ValueError:
        return
    assert len(found) == 3
    for place in (0, 2):
        assert found[place].header == decode_frame(whole[place]).header
        assert _rows(found[place]) == _rows(decode_frame(whole[place]))


def test_frames_that_someone_else_wrote_are_no_run() -> None:
    """Columns after ours, as a later version may add, are read one by one."""
    frame = make_frame([1, 2], [], covers=(1, 3))
    more = Frame(frame.header, frame.rows.append_column("more", pa.array([1, 2])))
    data = [encode_frame(frame), encode_frame(more)]
    with pytest.raises(ValueError, match="other columns"):
        decode_frames(data)
    assert _rows(decode_frame(data[1])) == _rows(more)


def test_a_part_carries_only_its_own_rows() -> None:
    frame = make_frame(list(range(1000)), [], covers=(0, 1000), entity="x" * 1000)
    whole = len(encode_frame(frame))
    parts = list(split_frame(frame, whole // 2 + 10_000))
    assert len(parts) == 2
    assert sum(map(len, parts)) < 1.1 * whole


def test_something_else_is_no_frame() -> None:
    rows = pa.record_batch({"a": [1]})
    header = msgspec.json.encode(make_frame([], [], covers=(0, 1)).header)
    for metadata in ({}, {"thalweg": header}, {"thalweg": b"{}"}):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema.with_metadata(metadata)) as writer:
            writer.write_batch(rows)
        with pytest.raises(ValueError, match="not a scored batch"):
            decode_frame(sink.getvalue().to_pybytes())
