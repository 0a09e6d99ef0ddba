"""Frames as the Arrow tables of the prediction log; by columns, whatever each frame holds."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.frames import Frame, FrameHeader

UTC_MS = pa.timestamp("ms", tz="UTC")

EARLIEST_MS = -2_208_988_800_000
LATEST_MS = 10_413_791_999_999
"""1900 to 2299, what DateTime64 holds. A time beyond is logged as the nearest it can hold."""

ROW_TYPES = {
    "source_offset": pa.int64(),
    "event_id": pa.string(),
    "entity": pa.string(),
    "event_time": UTC_MS,
    "append_time": UTC_MS,
    "features": pa.list_(pa.float32()),
    "score": pa.float32(),
    "decision": pa.bool_(),
    "model_version": pa.string(),
    "challenger_score": pa.float32(),
    "challenger_version": pa.string(),
}

HEADER_TEXTS = ("pipeline", "source_topic", "source_topic_id", "schema_hash")

SOURCE = attrgetter("pipeline", "source_topic", "source_topic_id", "source_partition")


def rows_table(frames: Sequence[Frame]) -> pa.Table:
    """One row for each scored event and each rejected one, as `prediction_log` has its columns."""
    both = pa.concat_tables([_scored(frames), _rejected([frame.header for frame in frames])])
    # One batch and one dictionary a column: the Arrow file format admits no second dictionary.
    return both.unify_dictionaries().combine_chunks()


def coverage_table(headers: Sequence[FrameHeader]) -> pa.Table:
    """What the frames answer for, runs that join or overlap merged, as `coverage_log` has it."""
    merged: list[tuple[str, str, str, int, int, int]] = []
    ordered = sorted(headers, key=lambda header: (SOURCE(header), header.covers_from))
    for source, group in groupby(ordered, key=SOURCE):
        first, last = -1, -1
        for header in group:
            if header.covers_from > last:
                if last > first:
                    merged.append((*source, first, last))
                first, last = header.covers_from, header.covers_to
            last = max(last, header.covers_to)
        if last > first:
            merged.append((*source, first, last))
    names = ("pipeline", "source_topic", "source_topic_id", "source_partition")
    columns = list(zip(*merged, strict=True)) or [()] * 6
    return pa.table(dict(zip((*names, "covers_from", "covers_to"), columns, strict=True)))


def _scored(frames: Sequence[Frame]) -> pa.Table:
    columns = {
        name: pa.chunked_array([_plain(frame.rows.column(name), kind) for frame in frames], kind)
        for name, kind in ROW_TYPES.items()
    }
    n_rows = np.array([frame.rows.num_rows for frame in frames], dtype=np.int64)
    columns |= _constants([frame.header for frame in frames], n_rows)
    n_total = int(n_rows.sum())
    columns["reason"] = columns["explanation"] = _repeated([""], np.array([n_total]))
    return pa.table(columns)


def _rejected(headers: Sequence[FrameHeader]) -> pa.Table:
    rejections = [each for header in headers for each in header.rejections]
    n_rows = np.array([len(header.rejections) for header in headers], dtype=np.int64)
    n_total = len(rejections)
    append_time = _time(pa.array([each.append_time_ms for each in rejections], pa.int64()))
    columns = {
        "source_offset": pa.array([each.offset for each in rejections], pa.int64()),
        "event_time": append_time,
        "append_time": append_time,
        "reason": _encoded([each.reason for each in rejections]),
        "explanation": _encoded([each.explanation for each in rejections]),
        "features": pa.array([[]] * n_total, ROW_TYPES["features"]),
        "score": pa.array(np.zeros(n_total, dtype=np.float32)),
        "decision": pa.array(np.zeros(n_total, dtype=np.bool_)),
        "challenger_score": pa.nulls(n_total, pa.float32()),
    }
    for name in ("event_id", "entity", "model_version", "challenger_version"):
        columns[name] = pa.array([""] * n_total, pa.string())
    columns |= _constants(headers, n_rows)
    return pa.table(columns).select(_scored([]).column_names)


def _plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The column as `kind`: no dictionary, lists of any length, no null where none may be."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(kind):
        column = _time(column.cast(UTC_MS).cast(pa.int64()))
    if pa.types.is_string(kind):
        column = column.fill_null("")
    return column.cast(kind)


def _time(ms: pa.Array) -> pa.Array:
    return pc.max_element_wise(pc.min_element_wise(ms, LATEST_MS), EARLIEST_MS).cast(UTC_MS)


def _constants(
    headers: Sequence[FrameHeader], n_rows: npt.NDArray[np.int64]
) -> dict[str, pa.Array]:
    """The header's columns: each value as often as its frame has rows."""
    columns = {
        name: _repeated([getattr(header, name) for header in headers], n_rows)
        for name in HEADER_TEXTS
    }
    partitions = np.array([header.source_partition for header in headers], dtype=np.int32)
    columns["source_partition"] = pa.array(np.repeat(partitions, n_rows))
    scored_at = np.array([header.scored_at_ms for header in headers], dtype=np.int64)
    columns["scored_at"] = _time(pa.array(np.repeat(scored_at, n_rows)))
    return columns


def _repeated(values: Sequence[str], n_times: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    indices = np.repeat(np.arange(len(values), dtype=np.int32), n_times)
    return pa.DictionaryArray.from_arrays(indices, pa.array(values, pa.string()))


def _encoded(values: Sequence[str]) -> pa.DictionaryArray:
    return pa.array(values, pa.string()).dictionary_encode()
