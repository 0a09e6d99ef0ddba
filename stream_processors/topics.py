"""Topics on the cluster: create what a pipeline needs, and see what is there."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from schemas.errors import ConfigurationError, TransientError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import PIPELINE_TOPICS, TopicNames

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What identifies a topic: a recreated one has the same name and another id."""

    name: str
    id: str
    n_partitions: int


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """An admin client for the cluster of `kafka`."""
    return AdminClient(kafka.librdkafka())


def create_pipeline_topics(kafka: KafkaSettings, pipeline: str) -> list[str]:
    """Create the topics of a pipeline that do not exist yet; returns the names of the new ones."""
    names = TopicNames(pipeline, kafka.topic_prefix)
    wanted = [
        NewTopic(
            names.of(spec.topic),
            num_partitions=kafka.partitions,
            replication_factor=kafka.replication_factor,
            config=spec.config(),
        )
        for spec in PIPELINE_TOPICS.values()
    ]
    created = []
    admin = admin_client(kafka)  # held: its futures fail once it is collected
    for name, future in admin.create_topics(wanted, request_timeout=TIMEOUT_S).items():
        try:
            _result(future)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ConfigurationError(
                    f"cannot create topic {name}: {error.args[0].str()}"
                ) from error
    return created


def describe(kafka: KafkaSettings, names: Sequence[str]) -> dict[str, TopicInfo]:
    """The topics of `names` that exist, by name."""
    if not names:
        return {}
    admin = admin_client(kafka)
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=TIMEOUT_S)
    found = {}
    for name, future in futures.items():
        try:
            topic = _result(future)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise TransientError(f"cannot describe topic {name}: {error.args[0].str()}") from error
        found[name] = TopicInfo(name, str(topic.topic_id), len(topic.partitions))
    return found


def end_offsets(kafka: KafkaSettings, topics: Iterable[TopicInfo]) -> dict[tuple[str, int], int]:
    """The offset after the last record, by (topic, partition)."""
    wanted = {
        TopicPartition(topic.name, partition): OffsetSpec.latest()
        for topic in topics
        for partition in range(topic.n_partitions)
    }
    if not wanted:
        return {}
    admin = admin_client(kafka)
    futures = admin.list_offsets(wanted, request_timeout=TIMEOUT_S)
    return {(tp.topic, tp.partition): _result(future).offset for tp, future in futures.items()}


def _result(future: "Future[Any]") -> Any:
    return future.result(timeout=TIMEOUT_S + 5)
