"""Topics on the cluster: create what a pipeline needs, and see what is there."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewPartitions, NewTopic

from schemas.errors import ConfigurationError, ThalwegError, TransientError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import PIPELINE_TOPICS, SHARED_TOPICS, TopicNames, TopicSpec, shared_name
from stream_processors import metrics

log = structlog.get_logger()

TIMEOUT_S = 30.0
BROKER_WAIT_S = 5.0
SETTLE_S, SETTLE_POLL_S = 5.0, 0.1
"""Partitions of a topic just created have no leader for a moment."""

_UNSETTLED = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}

# Untyped in confluent-kafka.
_latest = cast(Callable[[], OffsetSpec], OffsetSpec.latest)
_earliest = cast(Callable[[], OffsetSpec], OffsetSpec.earliest)


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What identifies a topic: a recreated one has the same name and another id."""

    name: str
    id: str
    n_partitions: int


@lru_cache(maxsize=8)
def admin_client(kafka: KafkaSettings) -> AdminClient:
    """The process's admin client for the cluster of `kafka`: one, however often it is asked."""
    return AdminClient(kafka.librdkafka(), logger=logging.getLogger("librdkafka"))


def create_pipeline_topics(kafka: KafkaSettings, pipeline: str) -> list[str]:
    """Create the topics of a pipeline that do not exist yet; returns the names of the new ones."""
    names = TopicNames(pipeline, kafka.topic_prefix)
    return _create(kafka, {names.of(topic): spec for topic, spec in PIPELINE_TOPICS.items()})


def create_shared_topics(kafka: KafkaSettings) -> list[str]:
    """Create the topics that all pipelines share and that do not exist yet; returns the new ones.

    Of processes that do so at once each new topic is in one's answer.
    """
    prefix = kafka.topic_prefix
    return _create(kafka, {shared_name(topic, prefix): s for topic, s in SHARED_TOPICS.items()})


def _create(kafka: KafkaSettings, specs: Mapping[str, TopicSpec]) -> list[str]:
    wanted = [
        NewTopic(
            name,
            num_partitions=kafka.partitions,
            replication_factor=kafka.replication_factor,
            config=spec.config(),
        )
        for name, spec in specs.items()
    ]
    created = []
    admin = admin_client(kafka)  # held: its futures fail once it is collected
    for name, future in admin.create_topics(wanted, request_timeout=TIMEOUT_S).items():
        try:
            _result(future)
            created.append(name)
        except KafkaException as error:
            if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise _mapped(error, f"cannot create topic {name}") from error
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
            if _code(error) == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise _mapped(error, f"cannot describe topic {name}") from error
        found[name] = TopicInfo(name, str(topic.topic_id), len(topic.partitions))
    return found


def end_offsets(kafka: KafkaSettings, topics: Iterable[TopicInfo]) -> dict[tuple[str, int], int]:
    """The offset after the last record, by (topic, partition)."""
    return _offsets(kafka, topics, _latest)


def first_offsets(kafka: KafkaSettings, topics: Iterable[TopicInfo]) -> dict[tuple[str, int], int]:
    """The offset of the first record still there, by (topic, partition)."""
    return _offsets(kafka, topics, _earliest)


def _offsets(
    kafka: KafkaSettings, topics: Iterable[TopicInfo], spec: Callable[[], OffsetSpec]
) -> dict[tuple[str, int], int]:
    wanted = {
        TopicPartition(topic.name, partition): spec()
        for topic in topics
        for partition in range(topic.n_partitions)
    }
    if not wanted:
        return {}
    until = time.monotonic() + SETTLE_S
    while True:
        futures = admin_client(kafka).list_offsets(wanted, request_timeout=TIMEOUT_S)
        try:
            return {(tp.topic, tp.partition): _result(each).offset for tp, each in futures.items()}
        except KafkaException as error:
            if _code(error) not in _UNSETTLED or time.monotonic() > until:
                raise _mapped(error, "cannot read the offsets of topics") from error
        time.sleep(SETTLE_POLL_S)


def committed_offsets(
    kafka: KafkaSettings, group: str, topics: Iterable[TopicInfo]
) -> dict[tuple[str, int], int]:
    """What a consumer group has committed, by (topic, partition), where it has.

    Asked through a consumer that never joins: the admin client's list_consumer_group_offsets ends
    the process with a segmentation fault when the coordinator answers with an error
    (confluent-kafka 2.16.1; docs/surprises.md).
    """
    wanted = [
        TopicPartition(topic.name, partition)
        for topic in topics
        for partition in range(topic.n_partitions)
    ]
    if not wanted:
        return {}
    consumer = Consumer(kafka.librdkafka() | {"group.id": group, "enable.auto.commit": False})
    try:
        found = consumer.committed(wanted, TIMEOUT_S)
    except KafkaException as error:
        raise _mapped(error, f"cannot read the offsets of group {group}") from error
    finally:
        consumer.close()
    return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}


def wait_for_broker(kafka: KafkaSettings) -> None:
    """Return once the cluster answers; until then say every few seconds what is being waited
    for.
    """
    admin = admin_client(kafka)
    while True:
        try:
            admin.list_topics(timeout=BROKER_WAIT_S)
        except KafkaException as error:
            log.warning(
                "waiting_for_broker", servers=kafka.bootstrap_servers, error=error.args[0].str()
            )
        else:
            return


def grow_partitions(kafka: KafkaSettings, source: str, outputs: Sequence[str]) -> int:
    """Give every output at least as many partitions as its source, for outputs go to the partition
    number of their source; returns how many that is. Raises ConfigurationError when one is missing
    or cannot be grown.
    """
    found = describe(kafka, [source, *outputs])
    missing = [name for name in (source, *outputs) if name not in found]
    if missing:
        raise ConfigurationError(
            f"topics are missing: {', '.join(missing)}; `thalweg bootstrap` creates those of a"
            " pipeline"
        )
    wanted = found[source].n_partitions
    short = [name for name in outputs if found[name].n_partitions < wanted]
    if not short:
        return wanted
    log.warning("output_partitions_grown", source=source, outputs=short, n_partitions=wanted)
    admin = admin_client(kafka)
    futures = admin.create_partitions([NewPartitions(name, wanted) for name in short])
    for name, future in futures.items():
        try:
            _result(future)
        except KafkaException as error:
            what = f"{name} has fewer partitions than {source} ({wanted}) and cannot be grown"
            raise _mapped(error, what) from error
        metrics.OUTPUTS_GROWN.labels(name).inc()
    return wanted


def _result(future: "Future[Any]") -> Any:
    return future.result(timeout=TIMEOUT_S + 5)


_NEEDS_A_CHANGE = (
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
)
"""The same request would get the same answer: a setting or a right must change first."""


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())


def _mapped(error: KafkaException, what: str) -> ThalwegError:
    """The error of ours that says whether trying again can help."""
    kind = ConfigurationError if _code(error) in _NEEDS_A_CHANGE else TransientError
    return kind(f"{what}: {error.args[0].str()}")
