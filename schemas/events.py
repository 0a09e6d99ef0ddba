"""The messages on our topics. Fields are only ever added, last and with a default.

Times are integer milliseconds since 1970-01-01 UTC (`_ms`), as in Kafka record timestamps.
The entity is the Kafka message key; it is not repeated in a feature event.
"""

import msgspec


class FeatureEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`features`: something happened, and here is what is known about it.

    `features` maps feature names to numbers, booleans, category names or null.
    Without `event_time_ms` the broker's append time counts as event time.
    """

    event_id: str
    features: dict[str, float | bool | str | None]
    event_time_ms: int | None = None


class Prediction(msgspec.Struct, frozen=True):
    """`predictions`: the decision on one event. `decision` is true where `score >= threshold`.

    The source coordinates identify the event: a reader drops what lies at or below the last
    `source_offset` it saw of a (`source_topic_id`, `source_partition`), because a crash replays.
    """

    event_id: str
    score: float
    decision: bool
    model_version: str
    event_time_ms: int
    append_time_ms: int
    scored_at_ms: int
    source_topic: str
    source_topic_id: str
    source_partition: int
    source_offset: int


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """`labels`, keyed by event id: what turned out to be true.

    A later `label_time_ms` corrects an earlier one.
    """

    event_id: str
    label: float
    label_time_ms: int
    source: str = ""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`dead-letters`: one event that could not be scored, with its bytes and the reason.

    `payload` is base64 in JSON and cut to a bound; `payload_bytes` and `payload_sha256` are of the
    whole.
    """

    pipeline: str
    reason: str
    explanation: str
    source_topic: str
    source_topic_id: str
    source_partition: int
    source_offset: int
    append_time_ms: int
    rejected_at_ms: int
    content_type: str
    payload: bytes | None
    payload_bytes: int
    payload_sha256: str
