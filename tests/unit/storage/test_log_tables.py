"""Frames as Arrow tables of the log."""

import numpy as np
import pyarrow as pa
import pytest

from schemas.frames import Frame, decode_frame, encode_frame
from storage.log_tables import EARLIEST_MS, LATEST_MS, coverage_table, rows_table
from tests.fixtures.frames import START_MS, make_frame


def coverage(*frames: Frame) -> list[tuple[int, int, int]]:
    rows = coverage_table([frame.header for frame in frames]).to_pylist()
    return [(row["source_partition"], row["covers_from"], row["covers_to"]) for row in rows]


def test_each_row_carries_its_own_frames_header() -> None:
    frames = [
        make_frame(range(2), partition=3, schema_hash="one"),
        make_frame([], covers=(9, 12)),
        make_frame(range(7, 8), partition=4, schema_hash="two", scored_at_ms=START_MS + 9),
    ]
    rows = rows_table(frames).to_pylist()
    assert [(row["source_partition"], row["source_offset"]) for row in rows] == [
        (3, 0),
        (3, 1),
        (4, 7),
    ]
    assert [row["schema_hash"] for row in rows] == ["one", "one", "two"]
    assert [row["scored_at"].microsecond for row in rows] == [5000, 5000, 9000]


def test_frames_of_different_feature_counts_share_a_block() -> None:
    table = rows_table([make_frame([1], n_features=2), make_frame([2], n_features=5)])
    assert [len(features) for features in table["features"].to_pylist()] == [2, 5]


def test_features_survive_a_slice_and_the_wire_bit_for_bit() -> None:
    whole = make_frame(range(10), noise=np.random.default_rng(1))
    part = Frame(whole.header, whole.rows.slice(4, 3))
    expected = whole.rows.column("features").to_pylist()[4:7]
    assert rows_table([part])["features"].to_pylist() == expected
    assert rows_table([decode_frame(encode_frame(part))])["features"].to_pylist() == expected


def test_a_rejection_is_a_row_with_its_reason_and_no_score() -> None:
    (row,) = rows_table([make_frame([], rejected=[5])]).to_pylist()
    assert (row["source_offset"], row["reason"]) == (5, "not_finite")
    assert row["explanation"] == "feature 'x' is nan"
    assert (row["features"], row["decision"], row["model_version"]) == ([], False, "")


def test_many_models_in_one_block_keep_each_rows_version() -> None:
    frames = [make_frame([offset], model_version=f"m{offset}") for offset in range(300)]
    table = rows_table(frames)
    assert table["model_version"].to_pylist() == [f"m{offset}" for offset in range(300)]
    assert all(column.num_chunks == 1 for column in table.columns)


@pytest.mark.parametrize(("given", "kept"), [(-(10**15), EARLIEST_MS), (10**15, LATEST_MS)])
def test_a_time_that_clickhouse_cannot_hold_becomes_the_nearest_it_can(
    given: int, kept: int
) -> None:
    frame = make_frame([1])
    position = frame.rows.schema.get_field_index("event_time")
    times = pa.array([given], pa.int64()).cast(frame.rows.schema.field(position).type)
    rows = frame.rows.set_column(position, frame.rows.schema.field(position), times)
    table = rows_table([Frame(frame.header, rows)])
    assert table["event_time"].cast(pa.int64()).to_pylist() == [kept]


def test_coverage_runs_that_join_become_one_whatever_their_order() -> None:
    assert coverage(make_frame(range(5, 9)), make_frame(range(5)), make_frame(range(3, 6))) == [
        (0, 0, 9)
    ]


def test_coverage_keeps_gaps_and_partitions_apart() -> None:
    assert coverage(
        make_frame(range(5)), make_frame(range(7, 9)), make_frame(range(5, 7), partition=1)
    ) == [(0, 0, 5), (0, 7, 9), (1, 5, 7)]


def test_an_empty_frame_covers_too() -> None:
    assert coverage(make_frame([], covers=(3, 8))) == [(0, 3, 8)]
