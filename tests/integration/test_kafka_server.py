"""Every broker that the local stack can start, as it starts it."""

import dataclasses
from pathlib import Path

import pytest

from deploy.local.embedded import EmbeddedBroker
from deploy.local.kafka import ApacheKafka
from schemas.errors import ConfigurationError
from stream_processors.topics import create_pipeline_topics, describe
from tests.fixtures.brokers import BrokerKind, build_broker
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.every_broker


def test_a_killed_broker_resumes_on_the_same_port_with_its_topics(
    kafka_server: KafkaServer, pipeline_name: str
) -> None:
    settings = kafka_server.settings()
    created = create_pipeline_topics(settings, pipeline_name)
    before = describe(settings, created)

    kafka_server.kill()
    kafka_server.start()

    assert len(before) == 5
    assert kafka_server.settings() == settings
    assert describe(settings, created) == before


def test_a_second_broker_on_the_same_directory_is_refused(
    kafka_server: KafkaServer, broker_kind: BrokerKind, tmp_path: Path
) -> None:
    second = build_broker(broker_kind, tmp_path / "kafka")

    with pytest.raises(ConfigurationError, match=r"another Kafka is using|in use by the broker"):
        second.prepare()


def test_a_taken_port_is_refused_before_anything_starts(
    kafka_server: KafkaServer, broker_kind: BrokerKind, tmp_path: Path
) -> None:
    taken = int(kafka_server.bootstrap_servers.rpartition(":")[2])
    second = build_broker(broker_kind, tmp_path / "other")
    assert isinstance(second, ApacheKafka | EmbeddedBroker)
    second = dataclasses.replace(second, port=taken)

    with pytest.raises(ConfigurationError, match=f"port {taken} for Kafka is taken"):
        second.prepare()
