"""Topic names, and what must hold of every topic we create."""

import pytest

from schemas.settings import ScoringSettings
from schemas.topics import PIPELINE_TOPICS, Topic, TopicNames, TopicSpec


def test_names_carry_prefix_and_pipeline() -> None:
    names = TopicNames("fraud", "staging.")
    assert names.features == "staging.fraud.features"
    assert names.scored_batches == "staging.fraud.scored-batches"
    assert {names.of(topic) for topic in Topic} == {
        names.features,
        names.predictions,
        names.scored_batches,
        names.labels,
        names.dead_letters,
    }


@pytest.mark.parametrize("spec", PIPELINE_TOPICS.values(), ids=lambda spec: str(spec.topic))
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
