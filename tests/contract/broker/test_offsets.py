"""Offsets: found by time, at the ends, and what happens outside of the log."""

import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tests.contract.broker.clients import WAIT_S, Cluster, fresh, result
from tests.contract.broker.wire import Wire, fetch

pytestmark = pytest.mark.every_broker

HOUR_MS = 3_600_000


@pytest.fixture
def timed_topic(cluster: Cluster) -> tuple[str, int]:
    """1,000 records a second apart, in batches of 50; the first one's timestamp."""
    topic = cluster.topic()
    first = int(time.time() * 1000) - HOUR_MS
    producer = cluster.producer(batch_num_messages=50)
    for number in range(1000):
        producer.produce(topic, b"%d" % number, timestamp=first + number * 1000)
    assert producer.flush(WAIT_S) == 0
    return topic, first


@pytest.mark.parametrize(
    ("after_ms", "offset"),
    [
        (-HOUR_MS, 0),
        (0, 0),
        (1, 1),
        (400_000, 400),
        (400_500, 401),
        (999_000, 999),
        (999_001, OFFSET_END),
    ],
)
def test_a_time_gives_the_first_record_not_before_it(
    cluster: Cluster, timed_topic: tuple[str, int], after_ms: int, offset: int
) -> None:
    topic, first = timed_topic

    with cluster.consumer() as consumer:
        (found,) = consumer.offsets_for_times(
            [TopicPartition(topic, 0, first + after_ms)], timeout=10
        )

    assert found.error is None
    assert found.offset == offset


def test_an_empty_partition_has_no_offset_for_any_time(cluster: Cluster) -> None:
    with cluster.consumer() as consumer:
        wanted = [TopicPartition(cluster.topic(), 0, 1)]
        (found,) = consumer.offsets_for_times(wanted, timeout=WAIT_S)

    assert found.offset == OFFSET_END


def test_the_ends_and_the_newest_timestamp_of_a_log_can_be_asked_for(cluster: Cluster) -> None:
    """The newest timestamp need not be the last record's."""
    topic = cluster.topic()
    now = int(time.time() * 1000)
    producer = cluster.producer()
    for late_ms in (5000, 3000, 1000, 2000, 4000):
        producer.produce(topic, b"x", timestamp=now - late_ms)
    assert producer.flush(WAIT_S) == 0
    result(cluster.admin.delete_records([TopicPartition(topic, 0, 1)]))

    def ask(spec: OffsetSpec) -> tuple[int, int]:
        found = result(cluster.admin.list_offsets({TopicPartition(topic, 0): spec}))
        return found.offset, found.timestamp

    assert ask(OffsetSpec.earliest())[0] == 1
    assert ask(OffsetSpec.latest())[0] == 5
    assert ask(OffsetSpec.max_timestamp()) == (2, now - 1000)
    assert ask(OffsetSpec.for_timestamp(now - 3500))[0] == 1


@pytest.mark.parametrize("offset", [1000, -7])
def test_an_offset_outside_of_the_log_is_an_error(cluster: Cluster, offset: int) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)

    with Wire(cluster.servers) as wire:
        (answer,) = fetch(wire, topic, offset)

    assert answer["error_code"] == KafkaError.OFFSET_OUT_OF_RANGE


def test_the_offset_after_the_last_record_is_inside_of_the_log(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)

    with Wire(cluster.servers) as wire:
        (answer,) = fetch(wire, topic, 10)

    assert (answer["error_code"], answer["highwater_offset"]) == (0, 10)
    assert not answer["message_set"]


def test_a_reader_that_must_not_reset_is_told_that_its_offset_is_gone(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)
    result(cluster.admin.delete_records([TopicPartition(topic, 0, 5)]))

    with cluster.consumer(auto_offset_reset="error") as consumer:
        consumer.assign([TopicPartition(topic, 0, 3)])
        message = consumer.poll(WAIT_S)

    assert message is not None
    assert message.error().code() == KafkaError._AUTO_OFFSET_RESET


@pytest.mark.parametrize("offset", [3, 1000, OFFSET_BEGINNING])
def test_a_reader_that_may_reset_goes_on_at_the_start_of_the_log(
    cluster: Cluster, offset: int
) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 10)
    result(cluster.admin.delete_records([TopicPartition(topic, 0, 5)]))

    found = cluster.read_from(topic, [offset], auto_offset_reset="earliest")

    assert [message.offset() for message in found] == [5, 6, 7, 8, 9]


def test_a_fetch_from_an_unknown_topic_is_an_error(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        (answer,) = fetch(wire, fresh("topic"))

    assert answer["error_code"] == KafkaError.UNKNOWN_TOPIC_OR_PART
