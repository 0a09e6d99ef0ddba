"""Idempotent producers: each batch once and in order, however often and whenever it comes."""

import pytest
from confluent_kafka import KafkaError

from tests.contract.broker.clients import Cluster, numbers_of
from tests.contract.broker.wire import Wire, batch, new_producer_id, produce
from tests.deployment import until
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.every_broker

OUT_OF_ORDER_SEQUENCE = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
INVALID_PRODUCER_EPOCH = KafkaError.INVALID_PRODUCER_EPOCH
NOT_LEADER_OR_FOLLOWER = KafkaError.NOT_LEADER_FOR_PARTITION


def test_five_thousand_records_are_five_thousand(cluster: Cluster) -> None:
    topic = cluster.topic(2)

    cluster.fill(topic, 5000, n_partitions=2, enable_idempotence=True, batch_num_messages=20)

    found = numbers_of(cluster.read(topic, n_partitions=2))
    assert found == [*range(0, 5000, 2), *range(1, 5000, 2)]


def test_every_producer_gets_an_id_of_its_own(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        ids = {new_producer_id(wire) for _ in range(20)}

    assert len(ids) == 20


def test_a_batch_sent_again_is_appended_once_and_answered_with_its_offset(
    cluster: Cluster,
) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        first = produce(wire, topic, batch(producer, 0, 0))
        second = produce(wire, topic, batch(producer, 0, 3))
        again = [produce(wire, topic, batch(producer, 0, sequence)) for sequence in (0, 3)]

    assert [first, second] == again == [(0, 0), (0, 3)]
    assert cluster.bounds(topic) == (0, 6)


def test_each_of_the_last_five_batches_is_known_again(cluster: Cluster) -> None:
    """Five is what a producer may have in flight (KIP-98)."""
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        for sequence in range(0, 24, 3):
            assert produce(wire, topic, batch(producer, 0, sequence)) == (0, sequence)
        again = [produce(wire, topic, batch(producer, 0, each)) for each in range(9, 24, 3)]

    assert again == [(0, 9), (0, 12), (0, 15), (0, 18), (0, 21)]
    assert cluster.bounds(topic) == (0, 24)


def test_a_gap_is_refused(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        produce(wire, topic, batch(producer, 0, 0))
        code, _ = produce(wire, topic, batch(producer, 0, 50))
        assert code == OUT_OF_ORDER_SEQUENCE
        assert produce(wire, topic, batch(producer, 0, 3)) == (0, 3)

    assert cluster.bounds(topic) == (0, 6)


def test_sequences_are_counted_for_each_partition_and_producer(cluster: Cluster) -> None:
    first, second = cluster.topic(), cluster.topic()

    with Wire(cluster.servers) as wire:
        producers = [new_producer_id(wire) for _ in range(2)]
        for topic in (first, second):
            answers = [produce(wire, topic, batch(producer, 0, 0)) for producer in producers]
            assert answers == [(0, 0), (0, 3)]


def test_an_older_epoch_is_refused(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        produce(wire, topic, batch(producer, 0, 0))
        assert produce(wire, topic, batch(producer, 1, 0)) == (0, 3)
        code, _ = produce(wire, topic, batch(producer, 0, 3))

    assert code == INVALID_PRODUCER_EPOCH
    assert cluster.bounds(topic) == (0, 6)


def test_a_newer_epoch_starts_at_sequence_zero(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        produce(wire, topic, batch(producer, 0, 0))
        code, _ = produce(wire, topic, batch(producer, 1, 3))

    assert code == OUT_OF_ORDER_SEQUENCE


def test_a_sequence_goes_on_at_zero_after_the_largest(cluster: Cluster) -> None:
    topic = cluster.topic()
    largest = 2**31 - 1

    with Wire(cluster.servers) as wire:
        producer = new_producer_id(wire)
        assert produce(wire, topic, batch(producer, 0, largest - 2)) == (0, 0)
        assert produce(wire, topic, batch(producer, 0, 0)) == (0, 3)
        assert produce(wire, topic, batch(producer, 0, 0)) == (0, 3)

    assert cluster.bounds(topic) == (0, 6)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_batch_is_known_again_after_the_broker_restarted(
    own_cluster: Cluster, kafka_server: KafkaServer, ending: str
) -> None:
    topic = own_cluster.topic()
    with Wire(own_cluster.servers) as wire:
        producer = new_producer_id(wire)
        assert produce(wire, topic, batch(producer, 0, 0)) == (0, 0)

    getattr(kafka_server, ending)()
    kafka_server.start()

    with Wire(own_cluster.servers) as wire:
        again: list[tuple[int, int]] = []

        def is_led() -> bool:  # Apache Kafka leads its partitions a moment after it has started
            again.append(produce(wire, topic, batch(producer, 0, 0)))
            return again[-1][0] != NOT_LEADER_OR_FOLLOWER

        until(is_led)
        assert again[-1] == (0, 0)
        code, _ = produce(wire, topic, batch(producer, 0, 50))
        assert code == OUT_OF_ORDER_SEQUENCE
        assert produce(wire, topic, batch(producer, 0, 3)) == (0, 3)
        assert new_producer_id(wire) != producer
    assert own_cluster.bounds(topic) == (0, 6)
