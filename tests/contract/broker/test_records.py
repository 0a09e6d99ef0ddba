"""Records: what comes out is what went in, or it was refused."""

import asyncio
import os
import random
import shutil
import subprocess
import time
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest_v7
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError

from tests.contract.broker.clients import WAIT_S, Cluster, Reports, fresh, numbers_of, send
from tests.contract.broker.wire import Wire, batch, fetch, produce

pytestmark = pytest.mark.every_broker

MEGABYTE = 1_000_000


def test_confluents_records_come_back_as_they_went(cluster: Cluster) -> None:
    topic = cluster.topic()
    yesterday = int(time.time() * 1000) - 86_400_000
    sent = [
        (b"key", b"value", [("a", b"1"), ("a", b"2"), ("none", None), ("empty", b"")]),
        (None, b"no key", None),
        (b"tombstone", None, None),
        (b"", b"", None),
    ]
    producer = cluster.producer()
    for index, (key, value, headers) in enumerate(sent):
        producer.produce(topic, value, key, headers=headers, timestamp=yesterday + index)
    assert producer.flush(WAIT_S) == 0

    found = cluster.read(topic)

    assert [(each.key(), each.value(), each.headers()) for each in found] == sent
    assert [each.timestamp() for each in found] == [
        (TIMESTAMP_CREATE_TIME, yesterday + index) for index in range(len(sent))
    ]
    assert [each.offset() for each in found] == list(range(len(sent)))


def test_aiokafkas_records_come_back_as_they_went(cluster: Cluster) -> None:
    topic = cluster.topic()
    yesterday = int(time.time() * 1000) - 86_400_000
    sent: list[tuple[bytes | None, bytes | None, Any]] = [
        (b"key", b"value", (("a", b"1"), ("a", b"2"))),
        (None, b"no key", ()),
        (b"tombstone", None, ()),
    ]

    async def round_trip() -> list[Any]:
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

        async with AIOKafkaProducer(bootstrap_servers=cluster.servers) as producer:
            for index, (key, value, headers) in enumerate(sent):
                await producer.send_and_wait(
                    topic, value, key, headers=list(headers), timestamp_ms=yesterday + index
                )
        options = {"bootstrap_servers": cluster.servers, "auto_offset_reset": "earliest"}
        async with AIOKafkaConsumer(topic, **options) as consumer:
            return [await consumer.getone() for _ in sent]

    found = asyncio.run(asyncio.wait_for(round_trip(), WAIT_S))

    assert [(each.key, each.value, each.headers) for each in found] == sent
    assert [each.timestamp for each in found] == [yesterday, yesterday + 1, yesterday + 2]


def test_what_one_client_wrote_the_other_reads(cluster: Cluster) -> None:
    topic = cluster.topic()
    sent = [b"%d" % number for number in range(300)]

    async def write() -> None:
        from aiokafka import AIOKafkaProducer

        async with AIOKafkaProducer(
            bootstrap_servers=cluster.servers, compression_type="gzip"
        ) as producer:
            for value in sent:
                await producer.send(topic, value)

    asyncio.run(asyncio.wait_for(write(), WAIT_S))

    assert cluster.values(topic) == sent


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_come_back(cluster: Cluster, codec: str) -> None:
    topic = cluster.topic()

    cluster.fill(topic, 2000, size=200, compression_type=codec, linger_ms=20)

    assert numbers_of(cluster.read(topic)) == list(range(2000))


def test_every_partition_keeps_the_order_it_was_sent_in(cluster: Cluster) -> None:
    topic = cluster.topic(4)

    reports = send(cluster.producer(), topic, range(4000), n_partitions=4)

    found = cluster.read(topic, n_partitions=4)
    assert numbers_of(found) == [n for start in range(4) for n in range(start, 4000, 4)]
    sent = {(each.partition(), each.offset()): each.value() for each in reports.delivered}
    assert sent == {(each.partition(), each.offset()): each.value() for each in found}


@pytest.mark.parametrize("size", [MEGABYTE, 8 * MEGABYTE])
def test_a_big_message_comes_back_under_the_topics_limit(cluster: Cluster, size: int) -> None:
    raised = {} if size == MEGABYTE else {"max_message_bytes": 9 * MEGABYTE}
    topic = cluster.topic(**raised)
    value = random.Random(size).randbytes(size)
    reports = Reports()
    producer = cluster.producer(message_max_bytes=9 * MEGABYTE)

    producer.produce(topic, value, on_delivery=reports)

    assert (producer.flush(WAIT_S), reports.errors) == (0, [])
    assert cluster.values(topic) == [value]


def test_a_message_over_the_topics_limit_is_refused(cluster: Cluster) -> None:
    topic = cluster.topic()
    reports = Reports()
    producer = cluster.producer(message_max_bytes=9 * MEGABYTE)

    producer.produce(topic, os.urandom(3 * MEGABYTE), on_delivery=reports)
    producer.flush(WAIT_S)

    assert [error.code() for error in reports.errors] == [KafkaError.MSG_SIZE_TOO_LARGE]
    assert cluster.bounds(topic) == (0, 0)


def test_log_append_time_replaces_the_clients_timestamp(cluster: Cluster) -> None:
    topic = cluster.topic(message_timestamp_type="LogAppendTime")
    producer = cluster.producer()
    before = int(time.time() * 1000) - 1000

    producer.produce(topic, b"x", timestamp=1_000_000)
    assert producer.flush(WAIT_S) == 0

    (message,) = cluster.read(topic)
    kind, timestamp = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert before < timestamp < time.time() * 1000 + 1000


def test_a_damaged_batch_is_refused_and_not_kept(cluster: Cluster) -> None:
    topic = cluster.topic()
    records = bytearray(batch(-1, -1, -1))
    records[-1] ^= 1

    with Wire(cluster.servers) as wire:
        code, _ = produce(wire, topic, bytes(records))

    assert code == 2  # CORRUPT_MESSAGE
    assert cluster.bounds(topic) == (0, 0)


def test_records_for_an_unknown_topic_or_partition_are_refused(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        code, _ = produce(wire, fresh("topic"), batch(-1, -1, -1))

    assert code == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_an_acks_that_means_nothing_is_refused(cluster: Cluster) -> None:
    topic = cluster.topic()

    with Wire(cluster.servers) as wire:
        code, _ = produce(wire, topic, batch(-1, -1, -1), acks=2)

    assert code == KafkaError.INVALID_REQUIRED_ACKS
    assert cluster.bounds(topic) == (0, 0)


def test_without_acks_nothing_is_answered_and_the_records_are_kept(cluster: Cluster) -> None:
    topic = cluster.topic()

    request = ProduceRequest_v7(None, 0, 1000, [(topic, [(0, batch(-1, -1, -1, n=3))])])
    with Wire(cluster.servers) as wire:
        wire.send(request.build_request_header(99, "wire").encode() + request.encode())
        (answer,) = fetch(wire, topic, wait_ms=5000)  # fails where 99 is answered

    assert answer["highwater_offset"] == 3


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_writes_and_reads(cluster: Cluster) -> None:
    topic = cluster.topic()
    kcat = ["kcat", "-q", "-b", cluster.servers, "-t", topic]
    lines = "".join(f"k{number}:v{number}\n" for number in range(100))

    subprocess.run([*kcat, "-P", "-K:"], input=lines, text=True, check=True, timeout=WAIT_S)
    read = subprocess.run(
        [*kcat, "-C", "-e", "-o", "beginning", "-f", "%k:%s\n"],
        capture_output=True,
        text=True,
        check=True,
        timeout=WAIT_S,
    )

    assert read.stdout == lines
