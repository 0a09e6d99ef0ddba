"""Apache Kafka as the local stack starts it."""

from pathlib import Path

import pytest

from deploy.local.kafka import ApacheKafka, find_java, find_kafka_home
from deploy.local.ports import free_port
from schemas.errors import ConfigurationError
from stream_processors.topics import create_pipeline_topics, describe
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.kafka


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
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    second = ApacheKafka(
        home=find_kafka_home(),
        java=find_java(),
        directory=tmp_path / "kafka",
        port=free_port(),
        controller_port=free_port(),
    )
    with pytest.raises(ConfigurationError, match="another Kafka is using"):
        second.prepare()


def test_a_taken_port_is_refused_before_anything_starts(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    taken = int(kafka_server.bootstrap_servers.rpartition(":")[2])
    second = ApacheKafka(
        home=find_kafka_home(),
        java=find_java(),
        directory=tmp_path / "other",
        port=taken,
        controller_port=free_port(),
    )
    with pytest.raises(ConfigurationError, match=f"port {taken} for Kafka is taken"):
        second.prepare()
