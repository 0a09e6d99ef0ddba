"""Arrow frames for `scored-batches`, as the hand-written loop builds them."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from numpy.typing import NDArray

from schemas.frames import Frame, FrameHeader, frame_schema, split_frame
from tests.bench.contenders.arguments import Model
from tests.bench.contenders.decoding import Decoded
from tests.bench.model import PIPELINE

MAX_FRAME_BYTES = 900_000
_TIMESTAMP = pa.timestamp("ms", tz="UTC")
_VERSION = pa.dictionary(pa.int8(), pa.string())


def make_frames(
    topic: str,
    topic_id: str,
    partition: int,
    covers_from: int,
    messages: list[Message],
    decoded: Decoded,
    scores: NDArray[np.float32],
    model: Model,
    scored_at_ms: int,
) -> Iterator[bytes]:
    """The batch as one frame, or as several when it is large; all its rows are good."""
    n, n_features = decoded.features.shape
    offsets = [message.offset() for message in messages]
    header = FrameHeader(
        pipeline=PIPELINE,
        source_topic=topic,
        source_topic_id=topic_id,
        source_partition=partition,
        covers_from=covers_from,
        covers_to=offsets[-1] + 1,
        schema_hash=model.schema_hash,
        scored_at_ms=scored_at_ms,
    )
    columns = [
        pa.array(offsets, pa.int64()),
        pa.array(decoded.ids, pa.string()),
        pa.array([message.key().decode() for message in messages], pa.string()),
        pa.array(decoded.event_times_ms, pa.int64()).cast(_TIMESTAMP),
        pa.array([message.timestamp()[1] for message in messages], pa.int64()).cast(_TIMESTAMP),
        pa.FixedSizeListArray.from_arrays(pa.array(decoded.features.reshape(-1)), n_features),
        pa.array(scores),
        pa.array(scores >= model.threshold),
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([model.version])),
        pa.nulls(n, pa.float32()),
        pa.nulls(n, _VERSION),
    ]
    rows = pa.RecordBatch.from_arrays(columns, schema=frame_schema(n_features))
    return split_frame(Frame(header, rows), MAX_FRAME_BYTES)
