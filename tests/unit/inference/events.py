"""Factories for batches of raw records."""

import msgspec
import numpy as np

from inference.decode import BatchDecoder, Columns, Decoded, Rejected
from schemas.codecs import packed
from schemas.errors import Reason
from schemas.features import Dtype, Feature, FeatureSchema

APPENDED_MS = 1_800_000_000_000
PACKED = packed.CONTENT_TYPE.encode()

SCHEMA = FeatureSchema(
    (
        Feature(name="amount", minimum=0.0, maximum=1000.0),
        Feature(name="n items", dtype=Dtype.INTEGER),
        Feature(name="online", dtype=Dtype.BOOLEAN),
        Feature(name="class", dtype=Dtype.CATEGORY, categories=("food", "fuel", "größe")),
        Feature(name="age_days", nullable=True),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("web",), unseen_allowed=True),
    )
)
GOOD = {
    "amount": 12.5,
    "n items": 3,
    "online": True,
    "class": "fuel",
    "age_days": 2.5,
    "channel": "web",
}
GOOD_ROW = [12.5, 3.0, 1.0, 1.0, 2.5, 0.0]


def json_event(event_id: object = "event-1", *, time: object = None, **changes: object) -> bytes:
    """A good JSON event with some features changed; `...` leaves one out."""
    features = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    event: dict[str, object] = {"event_id": event_id, "features": features}
    if time is not None:
        event["event_time_ms"] = time
    return msgspec.json.encode(event)


def packed_event(
    event_id: str = "event-1", *, time: int | None = None, row: list[float] | None = None
) -> bytes:
    """A good packed event, or one with the floats of `row`."""
    floats = np.array(GOOD_ROW if row is None else row, dtype=np.float32)
    return packed.Encoder(SCHEMA).encode_floats(event_id, time, floats)


def columns(values: list[bytes | None], content_types: list[bytes | None] | None = None) -> Columns:
    n = len(values)
    return Columns(
        offsets=np.arange(100, 100 + n),
        append_times_ms=np.full(n, APPENDED_MS),
        keys=[b"customer-%d" % row for row in range(n)],
        values=values,
        content_types=content_types,
    )


def decoder(schema: FeatureSchema = SCHEMA) -> BatchDecoder:
    return BatchDecoder(schema, max_event_bytes=20_000, max_event_time_ahead_s=60)


def decode(
    values: list[bytes | None],
    content_types: list[bytes | None] | None = None,
    schema: FeatureSchema = SCHEMA,
) -> Decoded:
    return decoder(schema).decode(columns(values, content_types))


def rejection(value: bytes | None, content_type: bytes | None = None) -> tuple[Reason, str]:
    """Why `value` is rejected, having checked that its neighbours on both sides are not."""
    good = packed_event() if content_type == PACKED else json_event()
    types = None if content_type is None else [content_type] * 3
    decoded = decode([good, value, good], types)
    assert decoded.rows.tolist() == [0, 2]
    assert decoded.features.tolist() == [GOOD_ROW, GOOD_ROW]
    assert decoded.event_ids == ["event-1", "event-1"]
    assert decoded.entities == ["customer-0", "customer-2"]
    (rejected,) = decoded.rejections
    assert isinstance(rejected, Rejected)
    assert rejected.row == 1
    return rejected.reason, rejected.explanation
