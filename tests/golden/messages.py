"""One example of every wire format; the golden files hold their bytes."""

import datetime

import numpy as np
import pyarrow as pa

from schemas.drift_events import (
    AlertKind,
    AlertLevel,
    AlertState,
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
    stable_id,
)
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
WINDOW_START_MS = 1_380_000_000_000
ALERT_ID = "0bbebfc4f9a545e9"
ALERT = DriftAlert(
    alert_id=ALERT_ID,
    pipeline="fraud",
    model_version="0123456789ab",
    state=AlertState.UPDATED,
    level=AlertLevel.ALERT,
    kind=AlertKind.FEATURE,
    name="amount",
    segment="",
    detector="g_test",
    statistic=812.5,
    threshold=41.25,
    p_value=1e-12,
    effect=0.375,
    effect_unit="psi",
    n_reference=20_000,
    n_window=2_000,
    window_start_ms=WINDOW_START_MS + 300_000,
    window_end_ms=WINDOW_START_MS + 600_000,
    opened_at_ms=1_790_000_305_000,
    updated_at_ms=1_790_000_605_000,
    change_point_ms=1_380_000_120_000,
    contributions=(("amount", 0.75), ("distance_km", 0.25)),
    n_windows=2,
    sentence="feature amount: moved, PSI 0.38 beyond chance (p 1e-12)",
)
REQUEST_ID = "4a6bb1dfc3d0a2c7"
REQUEST = RetrainingRequest(
    request_id=REQUEST_ID,
    pipeline="fraud",
    champion_version="0123456789ab",
    reason="feature amount: moved, PSI 0.38 beyond chance, for 30 minutes",
    alert_ids=(ALERT_ID,),
    training_from_ms=1_380_000_120_000,
    training_to_ms=1_380_604_800_000,
    requested_at_ms=1_790_000_700_000,
    n_labelled_since=12_000,
)
DECISION = RetrainingDecision(
    decision_id="0c5d6e7f8091a2b3",
    pipeline="fraud",
    decided_at_ms=1_790_000_605_500,
    requested=False,
    reasons=("1 of 1 signals", "900 of 5,000 labelled rows since the change"),
    alert_ids=(ALERT_ID,),
    request_id=None,
    policy={"quorum": 1, "min_labelled_rows": 5000, "cool_down_s": 86400.0},
)


def alert_id() -> str:
    """The id of ALERT, made as the detector makes it."""
    return stable_id("fraud", "0123456789ab", "feature", "amount", "", "g_test", WINDOW_START_MS)


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
