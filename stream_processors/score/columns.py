"""A run of records as columns for the decoder."""

from operator import itemgetter
from typing import Any

import numpy as np
from confluent_kafka import Message

from inference.decode import Columns
from schemas.codecs import CONTENT_TYPE_HEADER
from stream_processors.transport import RawBatch

_second = itemgetter(1)


def columns_of(batch: RawBatch) -> Columns:
    """The records of a batch, column by column."""
    messages, n = batch.messages, len(batch)
    return Columns(
        offsets=np.fromiter(map(Message.offset, messages), np.int64, n),
        append_times_ms=np.fromiter(map(_second, map(Message.timestamp, messages)), np.int64, n),
        keys=list(map(Message.key, messages)),
        values=list(map(Message.value, messages)),
        content_types=_content_types([message.headers() for message in messages]),
    )


def _content_types(
    headers: list[Any],
) -> list[bytes | None] | None:
    """The content type of each record; None where no record has headers."""
    first, n = headers[0], len(headers)
    if headers.count(first) == n:  # most batches; a comparison in C instead of a loop here
        return [_content_type(first)] * n if first else None
    return [_content_type(each) for each in headers]


def _content_type(headers: Any) -> bytes | None:
    """The last `content-type` header, as Kafka's own clients take it."""
    found = None
    for name, value in headers or ():
        if name.lower() == CONTENT_TYPE_HEADER:
            found = value
    return found
