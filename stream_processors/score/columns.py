"""A run of records as columns for the decoder."""

from itertools import starmap
from operator import methodcaller
from typing import Any

import numpy as np

from inference.decode import Columns
from schemas.codecs import CONTENT_TYPE_HEADER
from stream_processors.transport import RawBatch

_value, _key = methodcaller("value"), methodcaller("key")
_offset, _timestamp = methodcaller("offset"), methodcaller("timestamp")
_headers = methodcaller("headers")


def columns_of(batch: RawBatch) -> Columns:
    """The records of a batch, column by column."""
    messages, n = batch.messages, len(batch)
    headers = list(map(_headers, messages))
    return Columns(
        offsets=np.fromiter(map(_offset, messages), np.int64, n),
        append_times_ms=np.fromiter(starmap(_second, map(_timestamp, messages)), np.int64, n),
        keys=list(map(_key, messages)),
        values=list(map(_value, messages)),
        content_types=[_content_type(each) for each in headers] if any(headers) else None,
    )


def _second(_: Any, second: int) -> int:
    return second


def _content_type(headers: list[tuple[str, bytes | None]] | None) -> bytes | None:
    """The last `content-type` header, as Kafka's own clients take it."""
    found = None
    for name, value in headers or ():
        if name.lower() == CONTENT_TYPE_HEADER:
            found = value
    return found
