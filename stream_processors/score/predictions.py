"""The `predictions` messages of a batch, as JSON."""

import re
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_processors.transport import RawBatch

_NEEDS_ESCAPE = re.compile(r'["\\\x00-\x1f]')


def encode_predictions(
    batch: RawBatch,
    *,
    event_ids: Sequence[str],
    scores: NDArray[np.float32],
    decisions: NDArray[np.bool_],
    event_times_ms: NDArray[np.int64],
    append_times_ms: NDArray[np.int64],
    offsets: NDArray[np.int64],
    model_version: str,
    scored_at_ms: int,
) -> list[bytes]:
    """One `schemas.events.Prediction` per row.

    Rows share most of their text, so it is written once and the rows are formatted, joined, encoded
    and cut again as one string; a test holds the result equal to what msgspec makes of the struct.
    Nine digits bring a float32 back exactly.
    """
    if not event_ids:
        return []
    shared = msgspec.json.encode(
        {
            "model_version": model_version,
            "scored_at_ms": scored_at_ms,
            "source_topic": batch.tp.topic,
            "source_topic_id": batch.topic_id,
            "source_partition": batch.tp.partition,
        }
    ).decode()[1:-1]
    names = ("false", "true")
    rows = [
        f'{{"event_id":"{event_id}","score":{score:.9g},"decision":{names[decision]},'
        f'"event_time_ms":{event_time},"append_time_ms":{append_time},{shared},'
        f'"source_offset":{offset}}}'
        for event_id, score, decision, event_time, append_time, offset in zip(
            _escaped(event_ids),
            scores.tolist(),
            decisions.tolist(),
            event_times_ms.tolist(),
            append_times_ms.tolist(),
            offsets.tolist(),
            strict=True,
        )
    ]
    return "\n".join(rows).encode().split(b"\n")


def _escaped(texts: Sequence[str]) -> Sequence[str]:
    if not _NEEDS_ESCAPE.search("".join(texts)):
        return texts
    return [msgspec.json.encode(text).decode()[1:-1] for text in texts]
