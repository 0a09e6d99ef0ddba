"""Committed offsets: kept, found again, and taken from current members only."""

import asyncio
from typing import Any

import pytest
from aiokafka.protocol.commit import OffsetCommitRequest_v3
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from tests.contract.broker.clients import (
    WAIT_S,
    Cluster,
    error_code,
    fresh,
    poll_until,
    until,
)
from tests.contract.broker.wire import Wire
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.every_broker


def test_a_group_goes_on_where_it_committed(cluster: Cluster) -> None:
    topic, group = cluster.topic(4), fresh("group")
    cluster.fill(topic, 1000, n_partitions=4)

    with cluster.consumer(group) as consumer:
        consumer.subscribe([topic])
        first = poll_until(consumer, 600)
        consumer.commit(offsets=ends_of(first), asynchronous=False)
    with cluster.consumer(group) as consumer:
        consumer.subscribe([topic])
        rest = poll_until(consumer, 1000 - len(first))

    places = [(message.partition(), message.offset()) for message in [*first, *rest]]
    assert len(places) == len(set(places)) == 1000


def test_an_aiokafka_group_goes_on_where_it_committed(cluster: Cluster) -> None:
    topic, group = cluster.topic(4), fresh("group")
    cluster.fill(topic, 1000, n_partitions=4)

    async def read(n: int) -> list[tuple[int, int]]:
        from aiokafka import AIOKafkaConsumer

        found: list[tuple[int, int]] = []
        options: dict[str, Any] = {
            "bootstrap_servers": cluster.servers,
            "group_id": group,
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
        }
        async with AIOKafkaConsumer(topic, **options) as consumer:
            while len(found) < n:
                for tp, each in (await consumer.getmany(timeout_ms=500, max_records=100)).items():
                    found += [(tp.partition, message.offset) for message in each]
                await consumer.commit()
        return found

    first = asyncio.run(asyncio.wait_for(read(600), WAIT_S))
    rest = asyncio.run(asyncio.wait_for(read(1000 - len(first)), WAIT_S))

    assert len([*first, *rest]) == len({*first, *rest}) == 1000


def test_a_commit_keeps_its_metadata(cluster: Cluster) -> None:
    topic, group = cluster.topic(2), fresh("group")
    wanted = [TopicPartition(topic, 0, 5, "söme metadata"), TopicPartition(topic, 1, 7, "")]

    with cluster.consumer(group) as consumer:
        consumer.commit(offsets=wanted, asynchronous=False)
    with cluster.consumer(group) as consumer:
        found = consumer.committed([TopicPartition(topic, each) for each in range(2)], WAIT_S)

    assert [each.offset for each in found] == [5, 7]
    assert found[0].metadata == "söme metadata"
    assert not found[1].metadata


def test_what_nobody_committed_has_no_offset(cluster: Cluster) -> None:
    topic = cluster.topic(1)

    with cluster.consumer() as consumer:
        (found,) = consumer.committed([TopicPartition(topic, 0)], WAIT_S)

    assert (found.error, found.offset) == (None, OFFSET_INVALID)


def test_a_commit_for_an_unknown_topic_is_refused(cluster: Cluster) -> None:
    with cluster.consumer() as consumer, pytest.raises(KafkaException) as refused:
        consumer.commit(offsets=[TopicPartition(fresh("topic"), 0, 1)], asynchronous=False)

    assert error_code(refused.value) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_deleted_topic_takes_its_committed_offsets_with_it(cluster: Cluster) -> None:
    topic, group = cluster.topic(1), fresh("group")
    with cluster.consumer(group) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)

    cluster.delete(topic)
    cluster.create(topic)

    def committed() -> int:
        with cluster.consumer(group) as consumer:
            return int(consumer.committed([TopicPartition(topic, 0)], WAIT_S)[0].offset)

    until(lambda: committed() == OFFSET_INVALID)


def test_a_commit_survives_a_kill_of_the_broker(
    own_cluster: Cluster, kafka_server: KafkaServer
) -> None:
    topic, group = own_cluster.topic(1), fresh("group")
    own_cluster.fill(topic, 10)
    with own_cluster.consumer(group) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 5, "here")], asynchronous=False)
        consumer.commit(offsets=[TopicPartition(topic, 0, 6, "there")], asynchronous=False)

    kafka_server.kill()
    kafka_server.start()

    with own_cluster.consumer(group) as consumer:
        (found,) = consumer.committed([TopicPartition(topic, 0)], WAIT_S)
        assert (found.offset, found.metadata) == (6, "there")
        consumer.subscribe([topic])
        assert [message.offset() for message in poll_until(consumer, 4)] == [6, 7, 8, 9]


def test_only_a_member_of_the_current_generation_may_commit(cluster: Cluster) -> None:
    """Who is left behind by a rebalance must not overwrite what the new owners commit."""
    topic, group = cluster.topic(1), fresh("group")

    with cluster.consumer(group) as consumer:
        consumer.subscribe([topic])
        until(lambda: consumer.poll(0.1) is None and consumer.assignment())
        generation, member = generation_and_member(consumer)

        assert commit(cluster, group, generation, member, topic) == KafkaError.NO_ERROR
        old = commit(cluster, group, generation - 1, member, topic)
        assert old == KafkaError.ILLEGAL_GENERATION
        stranger = commit(cluster, group, generation, "stranger", topic)
        assert stranger == KafkaError.UNKNOWN_MEMBER_ID
        nobody = commit(cluster, group, -1, "", topic)
        assert nobody == KafkaError.UNKNOWN_MEMBER_ID


def commit(cluster: Cluster, group: str, generation: int, member: str, topic: str) -> int:
    """The error code of a commit of offset 1."""
    request = OffsetCommitRequest_v3(group, generation, member, -1, [(topic, [(0, 1, "")])])
    with Wire(cluster.servers) as wire:
        answer = wire.call(request)
    return int(answer["topics"][0]["partitions"][0]["error_code"])


def generation_and_member(consumer: Any) -> tuple[int, str]:
    """Out of librdkafka's group metadata: "CGMDv2:", generation, group, 0, member, 0, ..."""
    data: bytes = consumer.consumer_group_metadata()
    assert data.startswith(b"CGMDv2:")
    generation = int.from_bytes(data[7:11], "little", signed=True)
    return generation, data[11:].split(b"\0")[1].decode()


def ends_of(messages: list[Any]) -> list[TopicPartition]:
    """The offsets to commit after these messages."""
    ends = {message.partition(): message.offset() + 1 for message in messages}
    return [TopicPartition(messages[0].topic(), *each) for each in ends.items()]
