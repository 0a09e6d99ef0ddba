"""Topics that all pipelines of a deployment share, on every broker that the stack can start."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import ConfigResource, ResourceType
from typer.testing import CliRunner

from deploy.local.status import topic_status
from schemas.drift_events import encode_event
from schemas.kafka_settings import KafkaSettings
from schemas.topics import SHARED_TOPICS, TopicNames
from stream_processors.topics import (
    admin_client,
    create_pipeline_topics,
    create_shared_topics,
    describe,
)
from tests.deployment import PATIENCE_S, until
from tests.golden.messages import ALERT, REQUEST
from thalweg.main import app

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]


@pytest.fixture
def settings(kafka: KafkaSettings) -> KafkaSettings:
    """A deployment of this test's own."""
    return kafka.model_copy(update={"topic_prefix": f"t{uuid.uuid4().hex[:8]}.", "partitions": 3})


def test_shared_topics_are_made_once_and_left_alone_after(settings: KafkaSettings) -> None:
    created = create_shared_topics(settings)
    before = describe(settings, created)

    assert set(created) == {TopicNames("a", settings.topic_prefix).of(t) for t in SHARED_TOPICS}
    assert create_shared_topics(settings) == []
    assert describe(settings, created) == before
    assert {topic.n_partitions for topic in before.values()} == {3}


def test_each_topic_has_its_retention_and_size(settings: KafkaSettings) -> None:
    create_shared_topics(settings)

    for topic, spec in SHARED_TOPICS.items():
        name = TopicNames("any", settings.topic_prefix).of(topic)
        found = config_of(settings, name)
        assert found.items() >= spec.config().items()


def config_of(settings: KafkaSettings, name: str) -> dict[str, str]:
    """A topic's configuration; Apache Kafka knows a new topic a moment after it made it."""
    found: dict[str, str] = {}

    def known() -> bool:
        resource = ConfigResource(ResourceType.TOPIC, name)
        (future,) = admin_client(settings).describe_configs([resource]).values()
        try:
            found.update({key: entry.value for key, entry in future.result(PATIENCE_S).items()})
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        return bool(found)

    until(known)
    return found


def test_pipelines_that_start_at_once_share_one_set(settings: KafkaSettings) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: create_shared_topics(settings), range(6)))

    created = [name for answer in answers for name in answer]
    assert sorted(created) == sorted(settings.topic_prefix + topic for topic in SHARED_TOPICS)


def test_the_status_names_shared_topics_once_however_many_pipelines_there_are(
    settings: KafkaSettings,
) -> None:
    create_shared_topics(settings)
    pipelines = ["one", "two"]
    for pipeline in pipelines:
        create_pipeline_topics(settings, pipeline)

    # Apache Kafka lists a new topic a moment after it said that it made it.
    until(lambda: len(topic_status(settings, pipelines)) >= 2 * 5 + len(SHARED_TOPICS))
    found = [each.name for each in topic_status(settings, pipelines)]

    assert len(found) == len(set(found)) == 2 * 5 + len(SHARED_TOPICS)
    assert len(topic_status(settings, [])) == len(SHARED_TOPICS)


def test_the_command_line_lists_and_tails_them_under_their_short_names(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    create_shared_topics(settings)
    names = TopicNames("fraud", settings.topic_prefix)
    producer = Producer(settings.librdkafka())
    producer.produce(names.drift_alerts, encode_event(ALERT), "fraud")
    producer.produce(names.retraining_requests, encode_event(REQUEST), "fraud")
    assert producer.flush(PATIENCE_S) == 0
    environment = {
        "THALWEG_DATA_DIR": str(tmp_path),
        "THALWEG_KAFKA__BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "THALWEG_KAFKA__TOPIC_PREFIX": settings.topic_prefix,
    }

    def thalweg(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["topics", *arguments], env=environment)
        assert result.exit_code == 0, result.output
        return result.output

    listed = [line.split() for line in thalweg("list").splitlines()]
    assert [names.drift_alerts, "3", "partitions", "1"] in listed
    for topic, event in (("drift-alerts", ALERT), ("retraining-requests", REQUEST)):
        (line,) = thalweg("tail", topic).splitlines()
        assert json.loads(line[line.index("{") :]) == json.loads(encode_event(event))
