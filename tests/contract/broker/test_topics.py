"""Topics: created as asked, refused for the right reason, gone when deleted."""

import pytest
from aiokafka.protocol.admin import CreateTopicsRequest_v3
from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import NewPartitions
from confluent_kafka.cimpl import NewTopic

from tests.contract.broker.clients import WAIT_S, Cluster, error_code, fresh, result, send
from tests.contract.broker.wire import Wire

pytestmark = pytest.mark.every_broker


@pytest.mark.parametrize("n_partitions", [4, 7])
def test_a_topic_has_the_partitions_asked_for(cluster: Cluster, n_partitions: int) -> None:
    topic = cluster.topic(n_partitions)

    partitions = cluster.admin.list_topics(topic, timeout=WAIT_S).topics[topic].partitions

    assert sorted(partitions) == list(range(n_partitions))
    assert all(each.error is None and each.leader >= 0 for each in partitions.values())


def test_a_second_topic_of_the_same_name_is_refused(cluster: Cluster) -> None:
    topic = cluster.topic(2)

    with pytest.raises(KafkaException) as refused:
        cluster.create(topic, 3)

    assert error_code(refused.value) == KafkaError.TOPIC_ALREADY_EXISTS
    assert cluster.n_partitions(topic) == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "x" * 250])
def test_a_name_that_is_no_topic_name_is_refused(cluster: Cluster, name: str) -> None:
    assert create_on_the_wire(cluster, name) == KafkaError.TOPIC_EXCEPTION


@pytest.mark.parametrize("name", ["a.b-c_D9", "x" * 249])
def test_letters_digits_dots_dashes_and_underscores_are_a_name(cluster: Cluster, name: str) -> None:
    name = fresh("t") + name if len(name) < 200 else fresh("t").ljust(249, "x")

    assert create_on_the_wire(cluster, name) == KafkaError.NO_ERROR


@pytest.mark.parametrize("n_partitions", [0, -2])
def test_a_topic_without_partitions_is_refused(cluster: Cluster, n_partitions: int) -> None:
    found = create_on_the_wire(cluster, fresh("topic"), n_partitions=n_partitions)

    assert found == KafkaError.INVALID_PARTITIONS


@pytest.mark.parametrize("replication_factor", [0, 2])
def test_more_or_fewer_replicas_than_one_are_refused(
    cluster: Cluster, replication_factor: int
) -> None:
    found = create_on_the_wire(cluster, fresh("topic"), replication_factor=replication_factor)

    assert found == KafkaError.INVALID_REPLICATION_FACTOR


def test_without_numbers_a_topic_gets_the_brokers_defaults(cluster: Cluster) -> None:
    topic = fresh("topic")

    assert create_on_the_wire(cluster, topic, n_partitions=-1, replication_factor=-1) == 0
    assert cluster.n_partitions(topic) == 1


def test_a_request_to_only_validate_creates_nothing(cluster: Cluster) -> None:
    topic = fresh("topic")

    result(cluster.admin.create_topics([NewTopic(topic, 2, 1)], validate_only=True))

    assert topic not in cluster.admin.list_topics(timeout=WAIT_S).topics


def test_an_unknown_topic_is_not_created_by_looking_for_it(cluster: Cluster) -> None:
    topic = fresh("topic")

    found = cluster.admin.list_topics(topic, timeout=WAIT_S).topics[topic]

    assert found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert topic not in cluster.admin.list_topics(timeout=WAIT_S).topics


def test_a_deleted_topic_is_gone(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)

    cluster.delete(topic)

    with pytest.raises(KafkaException) as refused:
        cluster.delete(topic)
    assert error_code(refused.value) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_topic_made_anew_has_another_id_and_starts_at_zero(cluster: Cluster) -> None:
    topic = cluster.topic(2)
    cluster.fill(topic, 100, n_partitions=2)
    before = cluster.topic_id(topic)

    cluster.delete(topic)
    cluster.create(topic, 2)

    assert cluster.topic_id(topic) != before
    assert [cluster.bounds(topic, each) for each in range(2)] == [(0, 0), (0, 0)]
    cluster.fill(topic, 1)
    assert cluster.bounds(topic) == (0, 1)


def test_a_topics_id_does_not_change_while_it_lives(cluster: Cluster) -> None:
    topic = cluster.topic()
    before = cluster.topic_id(topic)
    cluster.fill(topic, 10)
    result(cluster.admin.create_partitions([NewPartitions(topic, 2)]))

    assert cluster.topic_id(topic) == before


def test_added_partitions_leave_the_old_ones_as_they_are(cluster: Cluster) -> None:
    topic = cluster.topic(2)
    cluster.fill(topic, 10, n_partitions=2)

    result(cluster.admin.create_partitions([NewPartitions(topic, 5)]))

    assert cluster.n_partitions(topic) == 5
    bounds = [cluster.bounds(topic, each) for each in range(5)]
    assert bounds == [(0, 5), (0, 5), (0, 0), (0, 0), (0, 0)]
    send(cluster.producer(), topic, range(5), n_partitions=5)


@pytest.mark.parametrize("n_partitions", [1, 2])
def test_partitions_cannot_become_fewer_or_stay(cluster: Cluster, n_partitions: int) -> None:
    topic = cluster.topic(2)

    with pytest.raises(KafkaException) as refused:
        result(cluster.admin.create_partitions([NewPartitions(topic, n_partitions)]))

    assert error_code(refused.value) == KafkaError.INVALID_PARTITIONS


def test_deleted_records_are_no_longer_read_and_offsets_stay(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 100)

    deleted = result(cluster.admin.delete_records([TopicPartition(topic, 0, 60)]))

    assert deleted.low_watermark == 60
    assert cluster.bounds(topic) == (60, 100)
    assert [message.offset() for message in cluster.read(topic)] == list(range(60, 100))


def test_all_records_can_be_deleted_and_the_next_offset_stays(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 100)

    result(cluster.admin.delete_records([TopicPartition(topic, 0, OFFSET_END)]))

    assert cluster.bounds(topic) == (100, 100)
    cluster.fill(topic, 1)
    assert [message.offset() for message in cluster.read(topic)] == [100]


def test_records_that_do_not_exist_cannot_be_deleted(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)

    with pytest.raises(KafkaException) as refused:
        result(cluster.admin.delete_records([TopicPartition(topic, 0, 11)]))

    assert error_code(refused.value) == KafkaError.OFFSET_OUT_OF_RANGE
    assert cluster.bounds(topic) == (0, 10)


def create_on_the_wire(
    cluster: Cluster, name: str, *, n_partitions: int = 1, replication_factor: int = 1
) -> int:
    """The error code of CreateTopics; librdkafka would refuse some of these by itself."""
    wanted = (name, n_partitions, replication_factor, [], [])
    with Wire(cluster.servers) as wire:
        answer = wire.call(CreateTopicsRequest_v3([wanted], int(WAIT_S * 1000), False))
    (topic,) = answer["topic_errors"]
    assert topic["topic"] == name
    return int(topic["error_code"])
