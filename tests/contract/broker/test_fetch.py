"""Fetches: as many bytes as allowed, always at least one batch, and answered when it is time."""

import threading
import time

import pytest

from tests.contract.broker.clients import WAIT_S, Cluster, numbers_of
from tests.contract.broker.wire import Wire, batch, fetch, produce

pytestmark = pytest.mark.every_broker

BATCH_BYTES = 10_000
LONG_MS = 60_000
"""A wait that is cut short; half of it tells, on a busy machine too."""


def test_a_partition_gives_no_more_bytes_than_asked_for(cluster: Cluster) -> None:
    topic = topic_of_batches(cluster)

    with Wire(cluster.servers) as wire:
        (answer,) = fetch(wire, topic, partition_max_bytes=5 * BATCH_BYTES)

    assert 3 * BATCH_BYTES < len(answer["message_set"]) <= 5 * BATCH_BYTES


def test_a_whole_answer_holds_no_more_bytes_than_asked_for(cluster: Cluster) -> None:
    topic = topic_of_batches(cluster, n_partitions=4)

    with Wire(cluster.servers) as wire:
        answers = fetch(wire, topic, n_partitions=4, max_bytes=5 * BATCH_BYTES)

    sizes = [len(answer["message_set"] or b"") for answer in answers]
    assert 3 * BATCH_BYTES < sum(sizes) <= 5 * BATCH_BYTES


def test_a_batch_over_every_limit_is_given_whole_so_that_readers_get_on(cluster: Cluster) -> None:
    topic = topic_of_batches(cluster)

    with Wire(cluster.servers) as wire:
        (answer,) = fetch(wire, topic, max_bytes=100, partition_max_bytes=100)

    assert len(answer["message_set"]) >= BATCH_BYTES


def test_a_reader_with_small_limits_reads_everything(cluster: Cluster) -> None:
    topic = cluster.topic(2)
    cluster.fill(topic, 40, n_partitions=2, size=100_000, linger_ms=0)

    found = cluster.read(topic, n_partitions=2, fetch_message_max_bytes=1000)

    assert numbers_of(found) == [*range(0, 40, 2), *range(1, 40, 2)]


def test_a_fetch_in_the_middle_of_a_batch_brings_the_record_asked_for(cluster: Cluster) -> None:
    topic = cluster.topic()
    cluster.fill(topic, 100, linger_ms=100)

    found = cluster.read_from(topic, [57])

    assert numbers_of(found) == list(range(57, 100))


def test_a_fetch_waits_as_long_as_asked_when_there_is_nothing(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        start = time.monotonic()
        (answer,) = fetch(wire, topic, wait_ms=600)
        waited_s = time.monotonic() - start

    assert not answer["message_set"]
    assert waited_s > 0.55


def test_a_fetch_is_answered_as_soon_as_there_is_something(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as reader, Wire(cluster.servers) as writer:
        later = threading.Timer(0.4, produce, (writer, topic, batch(-1, -1, -1)))
        start = time.monotonic()
        later.start()
        (answer,) = fetch(reader, topic, wait_ms=LONG_MS)
        waited_s = time.monotonic() - start
        later.join()

    assert answer["message_set"]
    assert 0.35 < waited_s < LONG_MS / 2000


def test_a_fetch_that_wants_many_bytes_waits_for_them(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        produce(wire, topic, batch(-1, -1, -1))
        start = time.monotonic()
        (answer,) = fetch(wire, topic, wait_ms=600, min_bytes=10_000)
        waited_s = time.monotonic() - start

    assert answer["message_set"]
    assert waited_s > 0.55


def test_a_fetch_with_an_error_in_it_does_not_wait(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        start = time.monotonic()
        (answer,) = fetch(wire, topic, 1000, wait_ms=LONG_MS)
        waited_s = time.monotonic() - start

    assert answer["error_code"] == 1
    assert waited_s < LONG_MS / 2000


def topic_of_batches(cluster: Cluster, n_partitions: int = 1) -> str:
    """Ten batches of a little over BATCH_BYTES in every partition."""
    topic = cluster.topic(n_partitions)
    producer = cluster.producer(linger_ms=0, batch_num_messages=1)
    for number in range(10 * n_partitions):
        producer.produce(topic, bytes(BATCH_BYTES), partition=number % n_partitions)
    assert producer.flush(WAIT_S) == 0
    return topic
