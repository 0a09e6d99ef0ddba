"""Clients of one broker for the conformance cases, and the few things every case does with them."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

T = TypeVar("T")

WAIT_S = 120.0
"""How long anything may take before a case fails; a working broker needs far less."""


def until(condition: Callable[[], T], timeout_s: float = WAIT_S) -> T:
    """Wait until it yields something true, and return that; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: last {value!r}"
        time.sleep(0.05)
    return value


def fresh(prefix: str) -> str:
    """A name that nobody else uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def result(futures: Mapping[Any, "Future[T]"]) -> T:
    """The answer to an admin request about one thing."""
    (future,) = futures.values()
    return future.result(WAIT_S)


@dataclass
class Cluster:
    """One broker, as its clients reach it. Options are librdkafka's, dots written as underscores.

    Consumers start at the beginning and commit nothing by themselves.
    """

    servers: str

    def options(self, **options: Any) -> dict[str, Any]:
        named = {name.replace("_", "."): value for name, value in options.items()}
        return {"bootstrap.servers": self.servers, "reconnect.backoff.max.ms": 500, **named}

    @cached_property
    def admin(self) -> AdminClient:
        """One for all requests: a collected client never answers those on their way."""
        return AdminClient(self.options(socket_timeout_ms=60_000))

    def producer(self, **options: Any) -> Producer:
        return Producer(self.options(**{"linger_ms": 5, **options}))

    @contextmanager
    def consumer(self, group: str = "", **options: Any) -> Iterator[Consumer]:
        """A consumer that is closed at the end, as one leaves a group."""
        given = {
            "group_id": group or fresh("group"),
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 500,
            **options,
        }
        with closing(Consumer(self.options(**given))) as consumer:
            yield consumer

    def topic(self, n_partitions: int = 1, **config: Any) -> str:
        """A new topic, ready to use; `config` with underscores for dots."""
        name = fresh("topic")
        self.create(name, n_partitions, **config)
        return name

    def create(self, name: str, n_partitions: int = 1, **config: Any) -> None:
        texts = {key.replace("_", "."): str(value) for key, value in config.items()}
        new = NewTopic(name, n_partitions, 1, config=texts)
        try:
            result(self.admin.create_topics([new], request_timeout=WAIT_S / 4))
        except KafkaException as error:
            if error_code(error) != KafkaError._TIMED_OUT:
                raise
            # Of a broker that has just started librdkafka may not learn who the controller is.
            self.__dict__.pop("admin")
            result(self.admin.create_topics([new], request_timeout=WAIT_S / 2))
        until(lambda: self._is_served(name, n_partitions))

    def _is_served(self, topic: str, n_partitions: int) -> bool:
        """Whether every partition answers: a broker can name a leader before it serves as one."""
        try:
            return all(self.bounds(topic, each) == (0, 0) for each in range(n_partitions))
        except KafkaException:
            return False

    def delete(self, name: str) -> None:
        result(self.admin.delete_topics([name]))
        until(lambda: name not in self.admin.list_topics(timeout=WAIT_S).topics)

    def topic_id(self, name: str) -> str:
        return str(result(self.admin.describe_topics(TopicCollection([name]))).topic_id)

    def n_partitions(self, name: str) -> int:
        return len(self.admin.list_topics(timeout=WAIT_S).topics[name].partitions)

    def bounds(self, topic: str, partition: int = 0, **options: Any) -> tuple[int, int]:
        """First offset, and the one the next record gets."""
        with self.consumer(**options) as consumer:
            found = consumer.get_watermark_offsets(TopicPartition(topic, partition), WAIT_S)
        assert found is not None
        return found

    def fill(self, topic: str, n: int, *, n_partitions: int = 1, size: int = 8, **options: Any):
        """Send records `0`, `1`, ... of `size` bytes, in turn to the partitions; all arrive."""
        send(self.producer(**options), topic, range(n), n_partitions=n_partitions, size=size)

    def read(self, topic: str, *, n_partitions: int = 1, **options: Any) -> list[Message]:
        """Everything a reader sees until the end of every partition, in partition order."""
        return self.read_from(topic, [OFFSET_BEGINNING] * n_partitions, **options)

    def read_from(self, topic: str, offsets: list[int], **options: Any) -> list[Message]:
        found: dict[int, list[Message]] = {partition: [] for partition in range(len(offsets))}
        at_end: set[int] = set()
        deadline = time.monotonic() + WAIT_S
        given = {"enable_partition_eof": True, "fetch_wait_max_ms": 50, **options}
        with self.consumer(**given) as consumer:
            consumer.assign([TopicPartition(topic, *each) for each in enumerate(offsets)])
            while len(at_end) < len(offsets):
                assert time.monotonic() < deadline, f"only {at_end} of {topic} read to the end"
                for message in consumer.consume(1000, 0.05):
                    error = message.error()
                    if error is None:
                        found[message.partition()].append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        at_end.add(message.partition())
                    else:
                        raise AssertionError(error)
        return [message for messages in found.values() for message in messages]

    def values(self, topic: str, **options: Any) -> list[bytes]:
        return [message.value() for message in self.read(topic, **options)]


class Reports:
    """Delivery reports of a producer: what was acknowledged where, and what failed."""

    def __init__(self) -> None:
        self.delivered: list[Message] = []
        self.errors: list[KafkaError] = []

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered.append(message)
        else:
            self.errors.append(error)


def send(
    producer: Producer, topic: str, numbers: range, *, n_partitions: int = 1, size: int = 8
) -> Reports:
    """Send the numbers as texts and wait until every one is acknowledged."""
    reports = Reports()
    for number in numbers:
        value = (b"%d" % number).ljust(size)
        partition = number % n_partitions
        producer.produce(topic, value, partition=partition, on_delivery=reports)
        producer.poll(0)
    assert producer.flush(WAIT_S) == 0
    assert not reports.errors
    return reports


def numbers_of(messages: list[Message]) -> list[int]:
    """The numbers that `send` put into them."""
    return [int(message.value()) for message in messages]


def poll_until(consumer: Consumer, n: int, timeout_s: float = WAIT_S) -> list[Message]:
    """At least `n` records of a subscribed consumer; fails when they do not come."""
    found: list[Message] = []
    deadline = time.monotonic() + timeout_s
    while len(found) < n:
        assert time.monotonic() < deadline, f"{len(found)} of {n} records"
        for message in consumer.consume(min(500, n - len(found)), 0.1):
            assert message.error() is None, message.error()
            found.append(message)
    return found


def error_code(error: BaseException) -> int:
    """The Kafka error code in a KafkaException."""
    return error.args[0].code()
