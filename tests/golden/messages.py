"""One example of every wire format; the golden files hold their bytes."""

import datetime

import numpy as np
import pyarrow as pa

from schemas.events import DeadLetter, Label, Prediction
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.frames import Frame, FrameHeader, Rejection, frame_schema

SCHEMA = FeatureSchema(
    (
        Feature(name="amount", minimum=0.0),
        Feature(name="n_last_day", dtype=Dtype.INTEGER, minimum=0, maximum=1000),
        Feature(name="abroad", dtype=Dtype.BOOLEAN),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("chip", "online")),
        Feature(name="distance_km", nullable=True),
    )
)
SCHEMA_HASH = "de5d982ae8279b970f6a366d1c3551dafaed940258c768c0ac0e700fc8ed0440"

EVENT_ID = "tx-é-1"
EVENT_TIME_MS = 1_380_000_000_123
ROW = (12.5, 3, True, "online", None)
FLOATS = (12.5, 3.0, 1.0, 1.0, float("nan"))

PREDICTION = Prediction(
    event_id=EVENT_ID,
    score=0.25,
    decision=False,
    model_version="0123456789ab",
    event_time_ms=EVENT_TIME_MS,
    append_time_ms=1_790_000_000_000,
    scored_at_ms=1_790_000_000_004,
    source_topic="fraud.features",
    source_topic_id="Yj5Zk1zvQ0-7uC2hVvXH3A",
    source_partition=3,
    source_offset=41,
)
LABEL = Label(event_id=EVENT_ID, label=1.0, label_time_ms=1_380_600_000_000, source="chargeback")
DEAD_LETTER = DeadLetter(
    pipeline="fraud",
    reason="malformed",
    explanation="not JSON: unexpected end of data",
    source_topic="fraud.features",
    source_topic_id="Yj5Zk1zvQ0-7uC2hVvXH3A",
    source_partition=3,
    source_offset=42,
    append_time_ms=1_790_000_000_001,
    rejected_at_ms=1_790_000_000_004,
    content_type="application/json",
    payload=b'{"event_id',
    payload_bytes=10,
    payload_sha256="6896a0cd92b02d0d8f63ac001c8631ee4922066d6336424707b03294fe916692",
)


def frame() -> Frame:
    """Two scored rows and a rejection between them; offsets 40 to 44 with a hole at the end."""
    times = [datetime.datetime.fromtimestamp(1_380_000_000 + i, tz=datetime.UTC) for i in (0, 1)]
    features = np.array([FLOATS, FLOATS], dtype=np.float32)
    columns = {
        "source_offset": [41, 43],
        "event_id": [EVENT_ID, "tx-2"],
        "entity": ["card-7", None],
        "event_time": times,
        "append_time": times,
        "features": pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), len(SCHEMA)),
        "score": [0.25, 0.75],
        "decision": [False, True],
        "model_version": ["0123456789ab", "0123456789ab"],
        "challenger_score": [None, 0.5],
        "challenger_version": [None, "ba9876543210"],
    }
    schema = frame_schema(len(SCHEMA))
    arrays = [
        columns[field.name]
        if isinstance(columns[field.name], pa.Array)
        else pa.array(columns[field.name], type=field.type)
        for field in schema
    ]
    header = FrameHeader(
        pipeline="fraud",
        source_topic="fraud.features",
        source_topic_id="Yj5Zk1zvQ0-7uC2hVvXH3A",
        source_partition=3,
        covers_from=40,
        covers_to=45,
        schema_hash=SCHEMA.hash,
        scored_at_ms=1_790_000_000_004,
        rejections=(Rejection(42, "malformed", "not JSON", 1_790_000_000_001),),
    )
    return Frame(header, pa.record_batch(arrays, schema=schema))
