"""Compaction and retention: what may go goes, what must stay stays, and offsets never change."""

import time

import pytest
from confluent_kafka import Message

from tests.contract.broker.clients import WAIT_S, Cluster, until

pytestmark = pytest.mark.every_broker

# Compaction leaves the newest segment alone: segments of a tenth of a second soon are not.
QUICK = {
    "cleanup_policy": "compact",
    "segment_ms": 100,
    "min_cleanable_dirty_ratio": "0.01",
    "delete_retention_ms": 100,
}
N_KEYS = 20
TICK = b"tick"


def test_compaction_keeps_the_latest_value_of_each_key_at_its_offset(cluster: Cluster) -> None:
    topic = cluster.topic(**QUICK)
    overwrite(cluster, topic, n_rounds=50)

    found = until(lambda: compacted(cluster, topic, 2 * N_KEYS))

    last = {message.key(): message for message in found if message.key() != TICK}
    assert len(last) == N_KEYS
    for key, message in last.items():
        assert message.value() == b"49"
        assert message.offset() == 49 * N_KEYS + int(key)
    offsets = [message.offset() for message in found]
    assert offsets == sorted(offsets)


def test_a_reader_in_a_hole_that_compaction_made_goes_on_behind_it(cluster: Cluster) -> None:
    topic = cluster.topic(**QUICK)
    overwrite(cluster, topic, n_rounds=50)
    until(lambda: compacted(cluster, topic, 2 * N_KEYS))

    found = cluster.read_from(topic, [20 * N_KEYS + 3])

    assert {message.key() for message in found} == {*keys(), TICK}
    assert min(message.offset() for message in found) == 49 * N_KEYS


def test_a_deleted_key_disappears_and_so_does_its_tombstone(cluster: Cluster) -> None:
    topic = cluster.topic(**QUICK)
    overwrite(cluster, topic, n_rounds=2)
    producer = cluster.producer()
    for key in keys():
        if key != b"7":
            producer.produce(topic, None, key)
    assert producer.flush(WAIT_S) == 0

    def is_gone() -> bool:
        return {message.key() for message in ticked(cluster, topic)} == {b"7", TICK}

    until(is_gone)


def test_a_topic_that_is_not_compacted_keeps_every_value(cluster: Cluster) -> None:
    topic = cluster.topic(segment_ms=100)
    overwrite(cluster, topic, n_rounds=3)
    for _ in range(5):
        time.sleep(0.2)
        ticked(cluster, topic)

    assert len(cluster.read(topic)) == 3 * N_KEYS + 5


def test_a_record_without_a_key_cannot_be_compacted(cluster: Cluster) -> None:
    """INVALID_RECORD (87): it is refused when it is written."""
    topic = cluster.topic(cleanup_policy="compact")
    errors: list[int] = []
    producer = cluster.producer()

    producer.produce(topic, b"no key", on_delivery=lambda e, _: errors.append(e and e.code()))
    producer.flush(WAIT_S)

    assert errors == [87]
    assert cluster.bounds(topic) == (0, 0)


def test_records_over_the_age_limit_go_and_the_next_offset_stays(cluster: Cluster) -> None:
    topic = cluster.topic(retention_ms=500, segment_ms=100)
    cluster.fill(topic, 100)

    until(lambda: cluster.bounds(topic) == (100, 100))

    cluster.fill(topic, 1)
    assert cluster.bounds(topic)[1] == 101


def test_records_are_as_old_as_their_timestamp_says(cluster: Cluster) -> None:
    """A replayed history is gone at once, unless the topic says LogAppendTime."""
    by_client = cluster.topic(retention_ms=3600_000)
    by_broker = cluster.topic(retention_ms=3600_000, message_timestamp_type="LogAppendTime")
    producer = cluster.producer()
    for topic in (by_client, by_broker):
        producer.produce(topic, b"x", timestamp=int(time.time() * 1000) - 24 * 3600_000)
    assert producer.flush(WAIT_S) == 0

    until(lambda: cluster.bounds(by_client) == (1, 1))

    assert cluster.bounds(by_broker) == (0, 1)


def test_a_log_over_the_size_limit_loses_its_oldest_records_only(cluster: Cluster) -> None:
    segment_bytes, retention_bytes = 2**20, 2 * 2**20
    topic = cluster.topic(retention_bytes=retention_bytes, segment_bytes=segment_bytes)
    cluster.fill(topic, 6000, size=1000)

    until(lambda: cluster.bounds(topic)[0] > 2000)

    found = cluster.read(topic)
    first = found[0].offset()
    assert [message.offset() for message in found] == list(range(first, 6000))
    assert sum(len(message.value()) for message in found) > retention_bytes - segment_bytes


def test_a_log_under_both_limits_keeps_everything(cluster: Cluster) -> None:
    topic = cluster.topic(retention_ms=3600_000, retention_bytes=10 * 2**20, segment_ms=100)
    for _ in range(5):
        cluster.fill(topic, 10)
        time.sleep(0.2)

    assert cluster.bounds(topic) == (0, 50)


def keys() -> list[bytes]:
    return [b"%d" % index for index in range(N_KEYS)]


def overwrite(cluster: Cluster, topic: str, n_rounds: int) -> None:
    """Write every key in every round; the value is the round."""
    producer = cluster.producer()
    for number in range(n_rounds):
        for key in keys():
            producer.produce(topic, b"%d" % number, key)
    assert producer.flush(WAIT_S) == 0


def ticked(cluster: Cluster, topic: str) -> list[Message]:
    """Write one more record, which may end a segment, and read everything."""
    producer = cluster.producer(linger_ms=0)
    producer.produce(topic, b"x", TICK)
    assert producer.flush(WAIT_S) == 0
    return cluster.read(topic)


def compacted(cluster: Cluster, topic: str, at_most: int) -> list[Message]:
    """Everything, once it is not more than that; else nothing."""
    found = ticked(cluster, topic)
    return found if len(found) <= at_most else []
