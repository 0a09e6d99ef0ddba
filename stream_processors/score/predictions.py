"""The `predictions` messages of a batch, as JSON."""

from itertools import repeat

import msgspec

from schemas.events import Prediction
from stream_processors.score.scored_batch import ScoredBatch

_encode = msgspec.json.Encoder().encode


def encode_predictions(batch: ScoredBatch, scored_at_ms: int) -> list[bytes]:
    """One `schemas.events.Prediction` per good row, in order.

    The loop over rows runs inside `map`: 0.35 us a row, against 0.9 for formatted strings.
    """
    decoded, scored, columns, source = batch.decoded, batch.scored, batch.columns, batch.source
    rows = decoded.rows
    predictions = map(
        Prediction,
        decoded.event_ids,
        scored.scores.tolist(),
        scored.decisions.tolist(),
        repeat(scored.model_version),
        decoded.event_times_ms.tolist(),
        columns.append_times_ms[rows].tolist(),
        repeat(scored_at_ms),
        repeat(source.tp.topic),
        repeat(source.topic_id),
        repeat(source.tp.partition),
        columns.offsets[rows].tolist(),
    )
    return list(map(_encode, predictions))
