"""`scored-batches`: one Arrow IPC frame per micro-batch, for the log, drift and replay.

A frame answers for every source offset in `[covers_from, covers_to)`: a row for each scored event,
a `Rejection` for each dead-lettered one, and nothing for offsets that the source does not hold
(compaction, transaction markers). Coverage of consecutive frames of one source partition has no
gaps. Rows ascend by `source_offset`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

import msgspec
import numpy as np
import pyarrow as pa

CONTENT_TYPE = "application/vnd.apache.arrow.stream"
HEADER = b"thalweg"
"""The key of the header in the metadata of the schema."""


class Rejection(msgspec.Struct, frozen=True, array_like=True):
    """One offset that ended in `dead-letters`."""

    offset: int
    reason: str
    explanation: str
    append_time_ms: int


class FrameHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a frame says of itself; travels in the Arrow schema's metadata."""

    pipeline: str
    source_topic: str
    source_topic_id: str
    source_partition: int
    covers_from: int
    covers_to: int
    schema_hash: str
    scored_at_ms: int
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """A header and its rows (`frame_schema`); `rows` may be empty."""

    header: FrameHeader
    rows: pa.RecordBatch


@cache
def frame_schema(n_features: int) -> pa.Schema:
    """Columns of a frame. `decision` is score >= threshold of the version in `model_version`."""
    return pa.schema(
        [
            ("source_offset", pa.int64()),
            ("event_id", pa.string()),
            ("entity", pa.string()),
            ("event_time", pa.timestamp("ms", tz="UTC")),
            ("append_time", pa.timestamp("ms", tz="UTC")),
            ("features", pa.list_(pa.float32(), n_features)),
            ("score", pa.float32()),
            ("decision", pa.bool_()),
            ("model_version", pa.dictionary(pa.int8(), pa.string())),
            ("challenger_score", pa.float32()),
            ("challenger_version", pa.dictionary(pa.int8(), pa.string())),
        ]
    )


def encode_frame(frame: Frame) -> bytes:
    """The frame as one Arrow IPC stream of a schema and one record batch."""
    schema = frame.rows.schema.with_metadata({HEADER: msgspec.json.encode(frame.header)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(frame.rows)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def decode_frame(data: bytes) -> Frame:
    """The frame in `data`, its columns views of it; raises ValueError when it is none."""
    try:
        with pa.ipc.open_stream(data) as reader:
            header = msgspec.json.decode((reader.schema.metadata or {})[HEADER], type=FrameHeader)
            batches = list(reader)
        if len(batches) != 1:
            raise ValueError(f"it holds {len(batches)} record batches instead of one")
        _check_columns(batches[0].schema)
        batches[0].validate()
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(f"not a scored batch: {error!r}") from error
    return Frame(header, batches[0])


def _check_columns(found: pa.Schema) -> None:
    """Raise ValueError unless `found` begins with the columns of `frame_schema`."""
    width = getattr(found.field("features").type, "list_size", 0)
    if found.equals(frame_schema(width)):
        return
    for wanted, field in zip_longest(frame_schema(width), found):
        if wanted is not None and wanted != field:
            raise ValueError(f"column {wanted} expected, found {field}")


def split_frame(frame: Frame, max_bytes: int) -> Iterator[bytes]:
    """Encode `frame` as one message of at most `max_bytes`, or as several whose coverage joins up.

    A frame of a single event is yielded whatever its size: it cannot be cut further.
    """
    data = encode_frame(frame)
    if len(data) <= max_bytes or frame.rows.num_rows + len(frame.header.rejections) <= 1:
        yield data
        return
    for half in _halves(frame):
        yield from split_frame(half, max_bytes)


def _halves(frame: Frame) -> tuple[Frame, Frame]:
    """Cut at the middle of what the frame holds, so that both halves hold about as much."""
    header, offsets = frame.header, frame.rows.column("source_offset").to_numpy()
    rejected = np.array([each.offset for each in header.rejections], dtype=np.int64)
    held = np.sort(np.concatenate((offsets, rejected)))
    cut = int(held[len(held) // 2])
    n_left = int(np.searchsorted(offsets, cut))
    left = msgspec.structs.replace(
        header,
        covers_to=cut,
        rejections=tuple(each for each in header.rejections if each.offset < cut),
    )
    right = msgspec.structs.replace(
        header,
        covers_from=cut,
        rejections=tuple(each for each in header.rejections if each.offset >= cut),
    )
    return Frame(left, frame.rows.slice(0, n_left)), Frame(right, frame.rows.slice(n_left))
