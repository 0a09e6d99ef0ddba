"""Many frames at once. Where frames are small, opening a stream for each is most of the work.

An Arrow stream is a message with the schema, then dictionaries and record batches, then an end
(https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format). Frames have the same
schema but for the header in its metadata, so what follows the schema in one may follow it in the
stream of another, and all of them are read as one stream.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import msgspec
import pyarrow as pa

from schemas.frames import HEADER, Frame, FrameHeader, decode_frame, frame_schema

SMALL_BYTES = 64 * 1024
"""Above it the copy costs more than the opening."""
_HEADER_BEGINS = b'{"pipeline":'
_END = b"\xff\xff\xff\xff\0\0\0\0"


class _Part(NamedTuple):
    """A message of `n_features`: its schema, then its dictionaries and rows without the end."""

    n_features: int
    header: FrameHeader
    schema: bytes
    rows: bytes


def decode_frames(data: Sequence[bytes]) -> list[Frame]:
    """`decode_frame` of each, of small ones at a quarter of the cost; raises ValueError when one is
    none. The columns of small frames are views of one copy of them all.
    """
    frames: list[Frame] = []
    try:
        for small, run in groupby(data, key=lambda each: len(each) <= SMALL_BYTES):
            own = list(run)
            frames += _together(own) if small else map(decode_frame, own)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"not scored batches: {error!r}") from error
    return frames


def _together(data: Iterable[bytes]) -> Iterator[Frame]:
    for _, run in groupby(map(_split, data), key=lambda part: part.n_features):
        yield from _read(list(run))


def _read(parts: list[_Part]) -> list[Frame]:
    stream = b"".join([parts[0].schema, *(part.rows for part in parts), _END])
    with pa.ipc.open_stream(stream) as reader:
        batches = list(reader)
    if len(batches) != len(parts):
        raise ValueError(f"{len(parts)} frames hold {len(batches)} record batches")
    for batch in batches:
        batch.validate()
    return [Frame(part.header, batch) for part, batch in zip(parts, batches, strict=True)]


def _split(data: bytes) -> _Part:
    """The message cut after its schema; raises ValueError for what `encode_frame` does not make."""
    end = 8 + int.from_bytes(data[4:8], "little")
    begin = data.find(_HEADER_BEGINS, 0, end)
    if begin < 0 or not data.endswith(_END):
        raise ValueError("the header is elsewhere")
    n_bytes = int.from_bytes(data[begin - 4 : begin], "little")
    text = data[begin : begin + n_bytes]
    n_features = _n_features(data[:begin], n_bytes, data[begin + n_bytes : end])
    header = msgspec.json.decode(text, type=FrameHeader)
    return _Part(n_features, header, data[:end], data[end : -len(_END)])


@lru_cache(maxsize=1024)
def _n_features(before: bytes, n_bytes: int, after: bytes) -> int:
    """What a schema that holds a header of `n_bytes` between these describes: it is the same
    whatever that header says. Raises ValueError unless it is `frame_schema`'s.
    """
    blank = b" " * n_bytes
    schema = pa.ipc.read_schema(pa.py_buffer(before + blank + after))
    if (schema.metadata or {}).get(HEADER) != blank:
        raise ValueError("the header is elsewhere")
    n_features = int(getattr(schema.field("features").type, "list_size", 0))
    if not schema.equals(frame_schema(n_features)):
        raise ValueError("it has other columns")
    return n_features
