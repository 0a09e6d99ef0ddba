"""Topic names, and what must hold of every topic we create."""

import pytest

from schemas.settings import ScoringSettings
from schemas.topics import PIPELINE_TOPICS, SHARED_TOPICS, Topic, TopicNames, TopicSpec

SPECS = [*PIPELINE_TOPICS.values(), *SHARED_TOPICS.values()]


def test_names_carry_prefix_and_pipeline() -> None:
    names = TopicNames("fraud", "staging.")
    assert names.features == "staging.fraud.features"
    assert names.scored_batches == "staging.fraud.scored-batches"
    assert {names.of(topic) for topic in PIPELINE_TOPICS} == {
        names.features,
        names.predictions,
        names.scored_batches,
        names.labels,
        names.dead_letters,
    }


def test_pipelines_of_a_deployment_share_names_that_carry_the_prefix_only() -> None:
    names = TopicNames("fraud", "staging.")
    assert names.drift_sketches == "staging.drift-sketches"
    shared = {names.drift_sketches, names.drift_alerts, names.retraining_requests}
    shared.add(names.drift_state)
    assert {names.of(topic) for topic in SHARED_TOPICS} == shared
    other = TopicNames("churn", "staging.")
    assert {other.of(topic) for topic in SHARED_TOPICS} == shared
    assert shared.isdisjoint({TopicNames("fraud").of(topic) for topic in SHARED_TOPICS})


def test_a_topic_is_a_pipelines_own_or_shared() -> None:
    assert set(PIPELINE_TOPICS) | set(SHARED_TOPICS) == set(Topic)
    assert set(PIPELINE_TOPICS).isdisjoint(SHARED_TOPICS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec.topic))
def test_replayed_history_does_not_expire(spec: TopicSpec) -> None:
    assert spec.config()["message.timestamp.type"] == "LogAppendTime"


def test_what_the_scorer_may_send_fits_its_topics() -> None:
    limits = {
        field: next(m.le for m in info.metadata if hasattr(m, "le"))
        for field, info in ScoringSettings.model_fields.items()
        if field in ("max_frame_bytes", "max_dead_letter_bytes")
    }
    topics = PIPELINE_TOPICS
    assert limits["max_frame_bytes"] < topics[Topic.SCORED_BATCHES].max_message_bytes
    in_base64 = limits["max_dead_letter_bytes"] * 4 / 3
    assert in_base64 < 0.95 * topics[Topic.DEAD_LETTERS].max_message_bytes
