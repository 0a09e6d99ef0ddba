"""The topic table: every topic, its key, how long it is kept, how large a message may be."""

from dataclasses import dataclass
from enum import StrEnum

DAY_MS = 24 * 3600 * 1000
MIB = 1024 * 1024


class Topic(StrEnum):
    FEATURES = "features"
    PREDICTIONS = "predictions"
    SCORED_BATCHES = "scored-batches"
    LABELS = "labels"
    DEAD_LETTERS = "dead-letters"
    DRIFT_SKETCHES = "drift-sketches"
    DRIFT_ALERTS = "drift-alerts"
    RETRAINING_REQUESTS = "retraining-requests"
    DRIFT_STATE = "drift-state"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is created. Every topic of ours uses LogAppendTime: event time may be years ago,
    and retention by it would delete replayed history at once."""

    topic: Topic
    key: str
    retention_ms: int
    max_message_bytes: int = MIB
    cleanup_policy: str = "delete"

    def config(self) -> dict[str, str]:
        """The topic configuration as Kafka names it."""
        return {
            "cleanup.policy": self.cleanup_policy,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        }


PIPELINE_TOPICS = {
    spec.topic: spec
    for spec in (
        # Holds a foolish producer's 2 MB event: refusing it is the scorer's job, with a reason.
        TopicSpec(Topic.FEATURES, "entity", 7 * DAY_MS, max_message_bytes=8 * MIB),
        TopicSpec(Topic.PREDICTIONS, "entity", 3 * DAY_MS),
        TopicSpec(Topic.SCORED_BATCHES, "-", 7 * DAY_MS, max_message_bytes=2 * MIB),
        TopicSpec(Topic.LABELS, "event id", 90 * DAY_MS),
        TopicSpec(Topic.DEAD_LETTERS, "original key", 30 * DAY_MS),
    )
}
"""The topics that exist once per pipeline."""

SHARED_TOPICS = {
    spec.topic: spec
    for spec in (
        TopicSpec(Topic.DRIFT_SKETCHES, "pipeline", 14 * DAY_MS, max_message_bytes=2 * MIB),
        TopicSpec(Topic.DRIFT_ALERTS, "pipeline", 90 * DAY_MS),
        TopicSpec(Topic.RETRAINING_REQUESTS, "pipeline", 90 * DAY_MS),
        TopicSpec(
            Topic.DRIFT_STATE,
            "pipeline/stage/name",
            -1,
            # What the detector remembers of 20 segments of 30 features, twice while models change.
            max_message_bytes=8 * MIB,
            cleanup_policy="compact",
        ),
    )
}
"""The topics that exist once per deployment, all pipelines on them: one pipeline's messages stay in
order, for they are keyed by it."""


def shared_name(topic: Topic, prefix: str = "") -> str:
    """Full name of a shared topic: `{prefix}{topic}`."""
    assert topic in SHARED_TOPICS, topic
    return f"{prefix}{topic}"


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Full names of the topics that one pipeline uses in one deployment.

    Its own are `{prefix}{pipeline}.{topic}`, the shared ones `{prefix}{topic}`.
    """

    pipeline: str
    prefix: str = ""

    def of(self, topic: Topic) -> str:
        if topic in SHARED_TOPICS:
            return shared_name(topic, self.prefix)
        return f"{self.prefix}{self.pipeline}.{topic}"

    def group(self, stage: str) -> str:
        """The consumer group of a stage."""
        return f"{self.prefix}{self.pipeline}.{stage}"

    @property
    def features(self) -> str:
        return self.of(Topic.FEATURES)

    @property
    def predictions(self) -> str:
        return self.of(Topic.PREDICTIONS)

    @property
    def scored_batches(self) -> str:
        return self.of(Topic.SCORED_BATCHES)

    @property
    def labels(self) -> str:
        return self.of(Topic.LABELS)

    @property
    def dead_letters(self) -> str:
        return self.of(Topic.DEAD_LETTERS)

    @property
    def drift_sketches(self) -> str:
        return self.of(Topic.DRIFT_SKETCHES)

    @property
    def drift_alerts(self) -> str:
        return self.of(Topic.DRIFT_ALERTS)

    @property
    def drift_state(self) -> str:
        return self.of(Topic.DRIFT_STATE)

    @property
    def retraining_requests(self) -> str:
        return self.of(Topic.RETRAINING_REQUESTS)
