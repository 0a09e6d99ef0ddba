"""Groups seen from outside: listed, described, altered and deleted."""

from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from tests.contract.broker.clients import (
    WAIT_S,
    Cluster,
    error_code,
    fresh,
    poll_until,
    result,
    until,
)

pytestmark = pytest.mark.every_broker


def test_a_group_with_members_is_listed_and_described(cluster: Cluster) -> None:
    topic, group = cluster.topic(2), fresh("group")
    cluster.fill(topic, 10, n_partitions=2)

    with cluster.consumer(group, client_id="someone") as consumer:
        consumer.subscribe([topic])
        poll_until(consumer, 10)
        listed = {each.group_id: each.state for each in listing(cluster)}
        described = describe(cluster, group)

    assert listed[group] == described.state == ConsumerGroupState.STABLE
    assert described.partition_assignor == "range"
    (member,) = described.members
    assert member.client_id == "someone"
    owned = {(each.topic, each.partition) for each in member.assignment.topic_partitions}
    assert owned == {(topic, 0), (topic, 1)}


def test_a_group_without_members_stays_for_its_offsets(cluster: Cluster) -> None:
    _, group = group_with_offset(cluster)

    assert group in {each.group_id for each in listing(cluster)}
    assert describe(cluster, group).state == ConsumerGroupState.EMPTY
    assert describe(cluster, group).members == []


def test_offsets_of_a_group_can_be_listed_and_altered(cluster: Cluster) -> None:
    topic, group = group_with_offset(cluster)
    assert offsets(cluster, group) == {(topic, 0): 5}

    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])
    result(cluster.admin.alter_consumer_group_offsets([wanted]))

    assert offsets(cluster, group) == {(topic, 0): 7}


def test_offsets_of_a_group_with_members_cannot_be_altered(cluster: Cluster) -> None:
    topic, group = group_with_offset(cluster)

    with cluster.consumer(group) as consumer:
        consumer.subscribe([topic])
        until(lambda: consumer.poll(0.1) is None and consumer.assignment())
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 7)])
        altered = result(cluster.admin.alter_consumer_group_offsets([wanted]))

        assert altered.topic_partitions[0].error.code() == KafkaError.UNKNOWN_MEMBER_ID
        assert offsets(cluster, group) == {(topic, 0): 5}


def test_a_deleted_group_has_no_offsets(cluster: Cluster) -> None:
    _, group = group_with_offset(cluster)

    result(cluster.admin.delete_consumer_groups([group]))

    assert group not in {each.group_id for each in listing(cluster)}
    assert offsets(cluster, group) == {}


def test_a_group_with_members_cannot_be_deleted(cluster: Cluster) -> None:
    topic, group = group_with_offset(cluster)

    with cluster.consumer(group) as consumer:
        consumer.subscribe([topic])
        until(lambda: consumer.poll(0.1) is None and consumer.assignment())
        with pytest.raises(KafkaException) as refused:
            result(cluster.admin.delete_consumer_groups([group]))

    assert error_code(refused.value) == KafkaError.NON_EMPTY_GROUP
    assert offsets(cluster, group) == {(topic, 0): 5}


def test_a_group_that_does_not_exist_cannot_be_deleted(cluster: Cluster) -> None:
    with pytest.raises(KafkaException) as refused:
        result(cluster.admin.delete_consumer_groups([fresh("group")]))

    assert error_code(refused.value) == KafkaError.GROUP_ID_NOT_FOUND


def group_with_offset(cluster: Cluster) -> tuple[str, str]:
    """A topic, and a group that committed offset 5 of its partition and has no members."""
    topic, group = cluster.topic(1), fresh("group")
    with cluster.consumer(group) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)
    return topic, group


def listing(cluster: Cluster) -> list[Any]:
    found = cluster.admin.list_consumer_groups().result(WAIT_S)
    assert found.errors == []
    return list(found.valid)


def describe(cluster: Cluster, group: str) -> Any:
    return result(cluster.admin.describe_consumer_groups([group]))


def offsets(cluster: Cluster, group: str) -> dict[tuple[str, int], int]:
    wanted = [ConsumerGroupTopicPartitions(group)]
    found = result(cluster.admin.list_consumer_group_offsets(wanted))
    return {(each.topic, each.partition): each.offset for each in found.topic_partitions}
