"""Frames become pieces: each row in that of its version and window, each offset answered for."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from drift.binning import bin_columns
from drift.columns import Columns, ColumnSpec
from drift.coverage import Coverage
from drift.entities import hash_entities
from drift.segments import Segment
from drift.sketch import Sketch, decode_sketch
from drift.summary import summarise
from schemas.frames import Frame, frame_schema
from stream_processors.sketch_drift.gatherer import Gatherer, Shape, Watched
from tests.fixtures.frames import START_MS, make_frame

N_FEATURES = 3
WINDOW_MS = 60_000
SOURCE = ("topic-1", 0)
FIRST_WINDOW = START_MS - START_MS % WINDOW_MS
SHAPE = Shape("fraud", WINDOW_MS, max_ahead_ms=1000, entity_limit=16, sample_rows=8)


def reference_columns() -> Columns:
    rows = np.random.default_rng(3).normal(50, 30, (500, N_FEATURES + 1)).astype(np.float32)
    return bin_columns(rows, [ColumnSpec(f"f{i}") for i in range(N_FEATURES + 1)])


COLUMNS = reference_columns()


def gatherer(
    known: Iterable[str] = ("m1", "m2"), entities: bool = False, shape: Shape = SHAPE
) -> Gatherer:
    versions = set(known)
    return Gatherer(shape, lambda v: Watched(COLUMNS, entities) if v in versions else None)


def cut(frames: Sequence[Frame], by: Gatherer | None = None) -> list[Sketch]:
    return list((by or gatherer()).cut(frames))


def covered(piece: Sketch) -> tuple[int, int]:
    only = piece.coverage.only_range
    assert only is not None, "a piece covers one range of one source partition"
    return only[1]


def joined(*parts: Frame) -> Frame:
    """One frame with the rows of several, of several model versions."""
    names = sorted({v for part in parts for v in part.rows.column("model_version").to_pylist()})
    columns = []
    for index, field in enumerate(frame_schema(N_FEATURES)):
        if field.name == "model_version":
            values = [v for p in parts for v in p.rows.column(index).to_pylist()]
            codes = pa.array([names.index(v) for v in values], pa.int8())
            columns.append(pa.DictionaryArray.from_arrays(codes, pa.array(names)))
        elif field.name == "challenger_version":
            n = sum(part.rows.num_rows for part in parts)
            columns.append(
                pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int8()), pa.array([], pa.string()))
            )
        else:
            columns.append(pa.concat_arrays([part.rows.column(index) for part in parts]))
    rows = pa.RecordBatch.from_arrays(columns, schema=frame_schema(N_FEATURES))
    rows = rows.take(pa.array(np.argsort(rows.column("source_offset").to_numpy())))
    header = msgspec.structs.replace(
        parts[0].header,
        covers_from=min(part.header.covers_from for part in parts),
        covers_to=max(part.header.covers_to for part in parts),
    )
    return Frame(header, rows)


def test_a_piece_holds_features_and_score_of_the_rows_of_its_window() -> None:
    frame = make_frame(range(200))
    pieces = cut([frame])
    times = START_MS + np.arange(200) * 1000
    features = frame.rows.column("features").flatten().to_numpy().reshape(-1, N_FEATURES)
    matrix = np.column_stack([features, frame.rows.column("score").to_numpy()])
    starts = sorted(set((times - times % WINDOW_MS).tolist()))
    assert [piece.key.window_start_ms for piece in pieces] == starts
    for piece in pieces:
        assert piece.key.window_end_ms == piece.key.window_start_ms + WINDOW_MS
        own = matrix[times // WINDOW_MS == piece.key.window_start_ms // WINDOW_MS]
        assert piece.n == len(own)
        whole = summarise(COLUMNS, own.astype(np.float32))
        assert piece.summary.counts.tolist() == whole.counts.tolist()
        assert piece.summary.maximum.tobytes() == whole.maximum.tobytes()
        np.testing.assert_allclose(piece.summary.m2, whole.m2, rtol=1e-12)


def test_every_piece_of_a_flush_answers_for_all_its_offsets_rejected_ones_too() -> None:
    frames = [make_frame(range(90), covers=(0, 100), rejected=[95]), make_frame(range(100, 200))]
    assert {covered(piece) for piece in cut(frames)} == {(0, 200)}


def test_the_next_piece_of_a_window_answers_for_the_flushes_without_its_rows() -> None:
    by = gatherer()
    first = cut([make_frame(range(10))], by)
    assert [covered(piece) for piece in first] == [(0, 10)]
    later = make_frame(range(200, 260), covers=(10, 260))
    assert {covered(piece) for piece in cut([later], by)} == {(0, 260)}, "windows not seen before"
    straggler = make_frame([260], append_step_ms=0)
    (piece,) = cut([straggler], by)
    assert piece.key == first[0].key
    assert covered(piece) == (10, 261)


def test_versions_have_pieces_of_their_own() -> None:
    mixed = joined(
        make_frame(range(0, 20, 2), append_step_ms=0),
        make_frame(range(1, 20, 2), model_version="m2", append_step_ms=0),
    )
    pieces = cut([mixed])
    assert [(piece.key.model_version, piece.n) for piece in pieces] == [("m1", 10), ("m2", 10)]
    assert {covered(piece) for piece in pieces} == {(0, 20)}
    even = mixed.rows.column("score").to_numpy()[::2]
    assert pieces[0].summary.maximum[-1] == even.max()


def test_partitions_and_recreated_topics_have_pieces_of_their_own() -> None:
    frames = [
        make_frame(range(5), append_step_ms=0),
        make_frame(range(5), append_step_ms=0, partition=1),
        make_frame(range(5), append_step_ms=0, topic_id="recreated"),
    ]
    found = [piece.coverage for piece in cut(frames)]
    sources = [SOURCE, ("topic-1", 1), ("recreated", 0)]
    assert found == [Coverage.of({source: [(0, 5)]}) for source in sources]


def test_repeated_offsets_are_taken_once() -> None:
    by = gatherer()
    frames = [make_frame(range(a, b), append_step_ms=0) for a, b in ((0, 10), (5, 8), (5, 15))]
    (piece,) = cut(frames, by)
    assert (piece.n, covered(piece)) == (15, (0, 15))
    (piece,) = cut([make_frame(range(12, 20), append_step_ms=0)], by)
    assert (piece.n, covered(piece)) == (5, (15, 20))
    assert by.tally.n_repeated == 3 + 5 + 3


def test_offsets_of_a_predecessor_are_not_taken_again() -> None:
    by = gatherer()
    by.resume(SOURCE, 7)
    (piece,) = cut([make_frame(range(10), append_step_ms=0)], by)
    assert (piece.n, covered(piece)) == (3, (7, 10))


def test_missing_frames_are_answered_for_by_no_piece() -> None:
    by = gatherer()
    frames = [make_frame(range(10), append_step_ms=0), make_frame(range(20, 30), append_step_ms=0)]
    assert [(covered(piece), piece.n) for piece in cut(frames, by)] == [
        ((0, 10), 10),
        ((20, 30), 10),
    ]
    (piece,) = cut([make_frame(range(40, 50), append_step_ms=0)], by)
    assert covered(piece) == (40, 50)
    assert by.take_tally().n_gaps == 2
    assert by.take_tally().n_gaps == 0


def test_rows_of_an_unknown_version_are_counted_and_answered_for_by_nothing() -> None:
    known: set[str] = set()
    by = gatherer(known)
    by = Gatherer(SHAPE, lambda version: Watched(COLUMNS, False) if version in known else None)
    assert cut([make_frame(range(10), append_step_ms=0)], by) == []
    assert by.tally.n_no_reference == 10
    known.add("m1")
    (piece,) = cut([make_frame(range(10, 20), append_step_ms=0)], by)
    assert covered(piece) == (10, 20)


def test_rows_of_another_width_than_the_reference_are_left_out() -> None:
    by = gatherer()
    assert cut([make_frame(range(10), n_features=N_FEATURES + 1)], by) == []
    assert by.tally.n_no_reference == 10


def test_an_event_time_far_ahead_of_its_append_time_is_in_no_window() -> None:
    frame = make_frame(range(4), append_step_ms=0)
    index = frame.rows.schema.get_field_index("event_time")
    times = pa.array([START_MS, START_MS + 1000, START_MS + 1001, 2**55], pa.int64())
    rows = frame.rows.set_column(
        index, frame.rows.schema.field(index), times.view(frame.rows.schema.field(index).type)
    )
    by = gatherer()
    (piece,) = cut([Frame(frame.header, rows)], by)
    assert (piece.n, covered(piece)) == (2, (0, 4))
    assert (by.tally.n_ahead, by.tally.sketched) == (2, {"m1": 2})


@pytest.mark.parametrize("event_time", [-(2**62), -1, 0, 1_000_000_000_000])
def test_history_falls_in_windows_like_any_other_time(event_time: int) -> None:
    frame = make_frame([0])
    index = frame.rows.schema.get_field_index("event_time")
    field = frame.rows.schema.field(index)
    times = pa.array([event_time], pa.int64()).view(field.type)
    (piece,) = cut([Frame(frame.header, frame.rows.set_column(index, field, times))])
    assert piece.key.window_start_ms <= event_time < piece.key.window_end_ms
    assert piece.key.window_start_ms % WINDOW_MS == 0


def test_entities_are_counted_where_the_reference_has_them() -> None:
    (piece,) = cut([make_frame(range(21), append_step_ms=0)], gatherer(entities=True))
    assert piece.entities is not None
    assert piece.entities.counts.tolist() == [3] * 7
    expected = sorted(hash_entities([f"card-{i}" for i in range(7)]).tolist())
    assert piece.entities.hashes.tolist() == expected
    (without,) = cut([make_frame(range(21), append_step_ms=0)])
    assert without.entities is None


@pytest.mark.parametrize("none", ["", None])
def test_rows_without_an_entity_are_entities_of_their_own(none: str | None) -> None:
    frame = make_frame(range(6), append_step_ms=0)
    index = frame.rows.schema.get_field_index("entity")
    entities = pa.array(["a", none, "a", none, none, "a"], pa.string())
    rows = frame.rows.set_column(index, frame.rows.schema.field(index), entities)
    (piece,) = cut([Frame(frame.header, rows)], gatherer(entities=True))
    assert piece.entities is not None
    assert sorted(piece.entities.counts.tolist()) == [1, 1, 1, 3]


def test_a_sample_is_smaller_where_rows_are_wide_and_none_where_none_is_asked_for() -> None:
    frame = make_frame(range(50), append_step_ms=0)
    (piece,) = cut([frame])
    assert piece.sample is not None
    assert len(piece.sample.rows) == piece.sample.limit == SHAPE.sample_rows
    (piece,) = cut([frame], gatherer(shape=Shape("fraud", WINDOW_MS, 0, 0, 10**6)))
    assert piece.sample is not None
    assert piece.sample.limit == 128 * 1024 // (4 * (N_FEATURES + 1))
    (piece,) = cut([frame], gatherer(shape=Shape("fraud", WINDOW_MS, 0, 0, 0)))
    assert piece.sample is None


def test_frames_without_rows_are_answered_for_by_the_next_piece() -> None:
    by = gatherer()
    assert cut([make_frame([], rejected=range(5))], by) == []
    (piece,) = cut([make_frame([5])], by)
    assert covered(piece) == (0, 6)


def test_pieces_survive_the_topic() -> None:
    for piece in cut([make_frame(range(100))], gatherer(entities=True)):
        assert decode_sketch(piece.encode(), COLUMNS).encode() == piece.encode()


def segmented(*values: float) -> Gatherer:
    """Segments by the first feature, which is the row's offset."""
    segments = tuple(Segment(f"f0={value:g}", 0, value) for value in values)
    return Gatherer(SHAPE, lambda _: Watched(COLUMNS, False, segments))


def test_a_segment_has_pieces_of_its_rows_beside_those_of_all_rows() -> None:
    whole, third, fifth = cut([make_frame(range(6), append_step_ms=0)], segmented(3, 5, 8))
    assert [piece.key.segment for piece in (whole, third, fifth)] == ["", "f0=3", "f0=5"]
    assert [piece.n for piece in (whole, third, fifth)] == [6, 1, 1]
    assert {covered(piece) for piece in (whole, third, fifth)} == {(0, 6)}
    assert third.summary.maximum[0] == 3
    assert third.sample is not None
    assert third.sample.rows[:, 0].tolist() == [3]


def test_segments_that_hold_every_row_add_up_to_all_rows() -> None:
    by = segmented(*range(100))
    pieces = cut([make_frame(range(100))], by)
    for start in {piece.key.window_start_ms for piece in pieces}:
        own = [piece for piece in pieces if piece.key.window_start_ms == start]
        (whole,) = [piece for piece in own if not piece.key.segment]
        parts = [piece.summary.counts for piece in own if piece.key.segment]
        assert np.sum(parts, axis=0).tolist() == whole.summary.counts.tolist()
    assert by.tally.sketched == {"m1": 100}, "a row is counted once, whatever segments it is in"


def test_the_next_piece_of_a_segment_answers_for_the_flushes_without_its_rows() -> None:
    by = segmented(2, 17)
    frames = [make_frame(range(a, a + 5), append_step_ms=0) for a in (0, 5, 10, 15)]
    pieces = [piece for frame in frames for piece in cut([frame], by)]
    by_segment = {
        segment: [covered(piece) for piece in pieces if piece.key.segment == segment]
        for segment in ("", "f0=2", "f0=17")
    }
    assert by_segment == {
        "": [(0, 5), (5, 10), (10, 15), (15, 20)],
        "f0=2": [(0, 5)],
        "f0=17": [(0, 20)],
    }
