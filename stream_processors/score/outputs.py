"""What a scored batch becomes: predictions, frames and dead letters. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from inference.decode import Rejected
from schemas.events import DeadLetter
from schemas.frames import Frame, FrameHeader, Rejection, frame_schema, split_frame
from schemas.pipeline import Pipeline
from schemas.settings import ScoringSettings
from schemas.topics import TopicNames
from stream_processors.dead_letters import MAX_EXPLANATION, bounded_key, dead_letter
from stream_processors.outbox import Messages
from stream_processors.score.predictions import encode_predictions
from stream_processors.score.scored_batch import ScoredBatch


class OutputBuilder:
    """Builds the messages of a scored batch; everything goes to the partition number of its
    source.
    """

    def __init__(self, pipeline: Pipeline, names: TopicNames, scoring: ScoringSettings) -> None:
        self._pipeline = pipeline
        self._names = names
        self._scoring = scoring
        self._frame_schema = frame_schema(len(pipeline.schema))

    def build(self, batch: ScoredBatch, now_ms: int) -> list[Messages]:
        """Messages by topic; scored batches last, so that what they answer for went before them."""
        outputs = [self._predictions(batch, now_ms)]
        if batch.decoded.rejections:
            outputs.append(self._dead_letters(batch, now_ms))
        if self._scoring.publish_scored_batches:
            outputs.append(self._frames(batch, now_ms))
        return [messages for messages in outputs if messages.values]

    def _predictions(self, batch: ScoredBatch, now_ms: int) -> Messages:
        keys = _picked(batch.columns.keys, batch.decoded.rows)
        return Messages(self._names.predictions, keys, encode_predictions(batch, now_ms))

    def _dead_letters(self, batch: ScoredBatch, now_ms: int) -> Messages:
        letters = [self._dead_letter(batch, each, now_ms) for each in batch.decoded.rejections]
        keys = [bounded_key(batch.columns.keys[each.row]) for each in batch.decoded.rejections]
        return Messages(self._names.dead_letters, keys, [msgspec.json.encode(x) for x in letters])

    def _dead_letter(self, batch: ScoredBatch, rejected: Rejected, now_ms: int) -> DeadLetter:
        columns, source, row = batch.columns, batch.source, rejected.row
        return dead_letter(
            pipeline=self._pipeline.name,
            reason=rejected.reason,
            explanation=rejected.explanation,
            source=(
                source.tp.topic,
                source.topic_id,
                source.tp.partition,
                int(columns.offsets[row]),
            ),
            append_time_ms=int(columns.append_times_ms[row]),
            now_ms=now_ms,
            content_type=columns.content_types[row] if columns.content_types else None,
            payload=columns.values[row],
            max_bytes=self._scoring.max_dead_letter_bytes,
        )

    def _frames(self, batch: ScoredBatch, now_ms: int) -> Messages:
        columns, source = batch.columns, batch.source
        header = FrameHeader(
            pipeline=self._pipeline.name,
            source_topic=source.tp.topic,
            source_topic_id=source.topic_id,
            source_partition=source.tp.partition,
            covers_from=source.covers_from,
            covers_to=source.covers_to,
            schema_hash=self._pipeline.schema.hash,
            scored_at_ms=now_ms,
            rejections=tuple(
                Rejection(
                    int(columns.offsets[each.row]),
                    each.reason,
                    each.explanation[:MAX_EXPLANATION],
                    int(columns.append_times_ms[each.row]),
                )
                for each in batch.decoded.rejections
            ),
        )
        frame = Frame(header, self._rows(batch))
        values = list(split_frame(frame, self._scoring.max_frame_bytes))
        return Messages(self._names.scored_batches, [None] * len(values), values)

    def _rows(self, batch: ScoredBatch) -> pa.RecordBatch:
        decoded, scored, columns = batch.decoded, batch.scored, batch.columns
        n, rows = len(decoded.rows), decoded.rows
        features = pa.FixedSizeListArray.from_arrays(
            pa.array(decoded.features.reshape(-1)), len(self._pipeline.schema)
        )
        arrays = [
            pa.array(columns.offsets[rows]),
            pa.array(decoded.event_ids, pa.string()),
            pa.array(decoded.entities, pa.string()),
            _utc(decoded.event_times_ms),
            _utc(columns.append_times_ms[rows]),
            features,
            pa.array(scored.scores),
            pa.array(scored.decisions),
            _constant(scored.model_version, n),
            pa.nulls(n, pa.float32()),
            _constant(None, n),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._frame_schema)


def _picked(keys: Sequence[bytes | None], rows: np.ndarray) -> Sequence[bytes | None]:
    return keys if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]


def _utc(milliseconds: np.ndarray) -> pa.Array:
    return pa.array(milliseconds).view(pa.timestamp("ms", tz="UTC"))


def _constant(value: str | None, n: int) -> pa.DictionaryArray:
    """`n` times the same string, one byte each."""
    if value is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int8()), pa.array([], pa.string()))
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array([value]))
