"""Transactions: all or nothing, one writer per id, and readers that see committed records only.

Kafka answers a commit before its markers are in the logs: readers see it a moment later.
"""

import asyncio
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tests.contract.broker.clients import (
    WAIT_S,
    Cluster,
    error_code,
    fresh,
    poll_until,
    until,
)
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.every_broker

COMMITTED = "read_committed"
UNCOMMITTED = "read_uncommitted"


def test_committed_records_are_seen_and_aborted_ones_are_not(cluster: Cluster) -> None:
    topic = cluster.topic()
    producer = transactional(cluster)
    write(producer, topic, ["a", "b"])
    producer.commit_transaction(WAIT_S)
    write(producer, topic, ["x", "y"])
    producer.abort_transaction(WAIT_S)
    write(producer, topic, ["c"])
    producer.commit_transaction(WAIT_S)

    until(lambda: read(cluster, topic, COMMITTED) == ["a", "b", "c"])
    assert read(cluster, topic, UNCOMMITTED) == ["a", "b", "x", "y", "c"]


def test_aiokafkas_transactions_do_the_same(cluster: Cluster) -> None:
    topic = cluster.topic()

    async def run() -> tuple[list[str], list[str]]:
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(
            bootstrap_servers=cluster.servers, transactional_id=fresh("id")
        ) as producer:
            async with producer.transaction():
                await producer.send_and_wait(topic, b"a")
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"x")
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_and_wait(topic, b"b")
        return (
            await read_with_aiokafka(cluster, topic, COMMITTED, 2),
            await read_with_aiokafka(cluster, topic, UNCOMMITTED, 3),
        )

    committed, uncommitted = asyncio.run(asyncio.wait_for(run(), WAIT_S))

    assert committed == ["a", "b"]
    assert uncommitted == ["a", "x", "b"]


def test_an_open_transaction_holds_back_what_comes_after_it(cluster: Cluster) -> None:
    """Up to the last stable offset, for readers of committed records only."""
    topic = cluster.topic()
    open_ended = transactional(cluster)
    write(open_ended, topic, ["a"])
    write(other := transactional(cluster), topic, ["b"])
    other.commit_transaction(WAIT_S)

    assert read(cluster, topic, COMMITTED) == []
    assert read(cluster, topic, UNCOMMITTED) == ["a", "b"]
    # "b" and its marker
    until(lambda: cluster.bounds(topic, isolation_level=UNCOMMITTED) == (0, 3))

    open_ended.commit_transaction(WAIT_S)
    until(lambda: read(cluster, topic, COMMITTED) == ["a", "b"])


def test_a_transaction_is_committed_on_all_its_partitions_at_once(cluster: Cluster) -> None:
    topics = [cluster.topic(2), cluster.topic(2)]
    producer = transactional(cluster)
    producer.begin_transaction()
    for topic in topics:
        for partition in range(2):
            producer.produce(topic, b"x", partition=partition)
    producer.flush(WAIT_S)
    assert [read(cluster, topic, COMMITTED, n_partitions=2) for topic in topics] == [[], []]

    producer.commit_transaction(WAIT_S)

    for topic in topics:
        until(lambda name=topic: len(read(cluster, name, COMMITTED, n_partitions=2)) == 2)


def test_offsets_are_committed_with_the_transaction_or_not_at_all(cluster: Cluster) -> None:
    source, target, group = cluster.topic(), cluster.topic(), fresh("group")
    cluster.fill(source, 10)
    producer = transactional(cluster)

    with cluster.consumer(group) as consumer:
        consumer.subscribe([source])
        poll_until(consumer, 10)

        def take(offset: int) -> None:
            write(producer, target, ["x"])
            producer.send_offsets_to_transaction(
                [TopicPartition(source, 0, offset)], consumer.consumer_group_metadata(), WAIT_S
            )

        def committed() -> int:
            return int(consumer.committed([TopicPartition(source, 0)], WAIT_S)[0].offset)

        take(4)
        producer.commit_transaction(WAIT_S)
        assert committed() == 4
        take(8)
        producer.abort_transaction(WAIT_S)
        assert committed() == 4
        take(9)
        producer.commit_transaction(WAIT_S)
        assert committed() == 9


def test_offsets_of_a_member_that_left_are_refused(cluster: Cluster) -> None:
    source, group = cluster.topic(), fresh("group")
    cluster.fill(source, 1)
    with cluster.consumer(group) as consumer:
        consumer.subscribe([source])
        poll_until(consumer, 1)
        of_the_past = consumer.consumer_group_metadata()
    producer = transactional(cluster)
    producer.begin_transaction()

    with pytest.raises(KafkaException) as refused:
        producer.send_offsets_to_transaction([TopicPartition(source, 0, 1)], of_the_past, WAIT_S)

    assert error_code(refused.value) in {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
    }
    assert refused.value.args[0].txn_requires_abort()
    producer.abort_transaction(WAIT_S)


def test_a_new_producer_of_the_same_id_fences_the_old_one_and_aborts_its_work(
    cluster: Cluster,
) -> None:
    topic, name = cluster.topic(), fresh("id")
    old = transactional(cluster, name)
    write(old, topic, ["lost"])

    new = transactional(cluster, name)
    write(new, topic, ["kept"])
    new.commit_transaction(WAIT_S)

    with pytest.raises(KafkaException) as fenced:
        old.commit_transaction(WAIT_S)
    assert error_code(fenced.value) in {KafkaError._FENCED, KafkaError.PRODUCER_FENCED}
    assert fenced.value.args[0].fatal()
    until(lambda: read(cluster, topic, COMMITTED) == ["kept"])


def test_a_transaction_that_takes_too_long_is_aborted(cluster: Cluster) -> None:
    """Else a producer that died would hold back every reader of committed records for ever."""
    topic = cluster.topic()
    forgotten = transactional(cluster, transaction_timeout_ms=3000, message_timeout_ms=2900)
    write(forgotten, topic, ["lost"])
    cluster.fill(topic, 1)

    until(lambda: [value.strip() for value in read(cluster, topic, COMMITTED)] == ["0"])

    with pytest.raises(KafkaException):
        forgotten.commit_transaction(WAIT_S)
    assert [value.strip() for value in read(cluster, topic, COMMITTED)] == ["0"]


def test_a_time_out_longer_than_the_broker_allows_is_refused(cluster: Cluster) -> None:
    """15 minutes (transaction.max.timeout.ms)."""
    producer = cluster.producer(
        transactional_id=fresh("id"), transaction_timeout_ms=15 * 60_000 + 1
    )

    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(WAIT_S)

    assert error_code(refused.value) == KafkaError.INVALID_TRANSACTION_TIMEOUT


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_an_open_transaction_survives_the_broker_and_can_be_committed(
    own_cluster: Cluster, kafka_server: KafkaServer, ending: str
) -> None:
    topic = own_cluster.topic()
    producer = transactional(own_cluster)
    write(producer, topic, ["a", "b"])

    getattr(kafka_server, ending)()
    kafka_server.start()

    assert read(own_cluster, topic, COMMITTED) == []
    producer.commit_transaction(WAIT_S)
    until(lambda: read(own_cluster, topic, COMMITTED) == ["a", "b"])
    write(producer, topic, ["c"])
    producer.commit_transaction(WAIT_S)
    until(lambda: read(own_cluster, topic, COMMITTED) == ["a", "b", "c"])


def test_what_was_decided_stays_decided_when_the_broker_is_killed(
    own_cluster: Cluster, kafka_server: KafkaServer
) -> None:
    """Once its markers are in the log. Kafka answers before it has written them, and a kill in
    between can lose an abort: Apache Kafka 4.3.1 then showed the aborted record as committed.
    """
    topic, name = own_cluster.topic(), fresh("id")
    producer = transactional(own_cluster, name)
    for values, decide in (
        (["a"], producer.commit_transaction),
        (["x"], producer.abort_transaction),
    ):
        write(producer, topic, values)
        decide(WAIT_S)

    until(lambda: own_cluster.bounds(topic, isolation_level=COMMITTED) == (0, 4))
    kafka_server.kill()
    kafka_server.start()

    assert read(own_cluster, topic, COMMITTED) == ["a"]
    write(new := transactional(own_cluster, name), topic, ["b"])
    new.commit_transaction(WAIT_S)
    until(lambda: read(own_cluster, topic, COMMITTED) == ["a", "b"])
    assert read(own_cluster, topic, UNCOMMITTED) == ["a", "x", "b"]


def transactional(cluster: Cluster, name: str = "", **options: Any) -> Producer:
    """A producer that is ready for its first transaction; it fenced older ones of its name."""
    given = {"transaction_timeout_ms": 5 * 60_000} | options  # longer than a case may take
    producer = cluster.producer(transactional_id=name or fresh("id"), **given)
    producer.init_transactions(WAIT_S)
    return producer


def write(producer: Producer, topic: str, values: list[str]) -> None:
    """Begin a transaction and put records into it; they are on the broker, and undecided."""
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(WAIT_S) == 0


def read(cluster: Cluster, topic: str, isolation: str, **options: Any) -> list[str]:
    found = cluster.read(topic, isolation_level=isolation, **options)
    return [message.value().decode() for message in found]


async def read_with_aiokafka(cluster: Cluster, topic: str, isolation: str, n: int) -> list[str]:
    """The first `n` records, and whatever comes within half a second after them."""
    from aiokafka import AIOKafkaConsumer

    found: list[str] = []
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=cluster.servers,
        auto_offset_reset="earliest",
        isolation_level=isolation,
    ) as consumer:
        while len(found) < n:
            found.append((await consumer.getone()).value.decode())
        for messages in (await consumer.getmany(timeout_ms=500)).values():
            found += [message.value.decode() for message in messages]
    return found
