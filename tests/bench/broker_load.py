"""Produce as fast as the broker acknowledges, then read it all back."""

import random
import time
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.bench.broker_cases import Case
from tests.bench.broker_nodes import BrokerNode
from tests.bench.processes import RunFailed

N_MESSAGES = 1000
"""Of one `produce_batch` or `consume` call."""

MAX_UNACKNOWLEDGED = 100_000
QUIET = 2
"""librdkafka's log level: a retry is no news, and failures come as errors."""

_MAX_PASSES = 8
_FLUSH_TIMEOUT_S = 60.0
_STALL_S = 15.0


@dataclass(frozen=True, slots=True)
class Measured:
    """How much in how long."""

    n: int
    seconds: float

    @property
    def per_s(self) -> float:
        return self.n / max(self.seconds, 1e-9)


def measure_throughput(node: BrokerNode, case: Case, seconds: float) -> dict[str, float]:
    """Rates of producing for `seconds`, until all is acknowledged, and of reading it all back.

    Raises RunFailed when a message is missing or doubled.
    """
    process = node.process
    with node.topic(case) as topic:
        cpu = process.cpu_s()
        produced, n_messages = produce(node.bootstrap, topic, case, seconds)
        after = process.cpu_s()
        consumed = consume(node.bootstrap, topic, case.partitions, n_messages, seconds)
        consume_cpu_s = process.cpu_s() - after
    return {
        "produce_per_s": produced.per_s,
        "produce_mb_per_s": produced.per_s * case.value_bytes / 1e6,
        "produce_cpu_us": (after - cpu) / n_messages * 1e6,
        "consume_per_s": consumed.per_s,
        "consume_cpu_us": consume_cpu_s / consumed.n * 1e6,
        "n_messages": float(n_messages),
    }


def produce(bootstrap: str, topic: str, case: Case, seconds: float) -> tuple[Measured, int]:
    """Send for `seconds`; what that took until all was acknowledged, and how many there are.

    A call for each partition goes before, unmeasured: it connects and gets the producer's id.
    Raises RunFailed when not all were acknowledged in time.
    """
    producer, messages = _producer(bootstrap, case), values(case.value_bytes)
    for partition in range(case.partitions):
        _send(producer, topic, messages, partition)
    _flush(producer)
    n_calls, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        _send(producer, topic, messages, n_calls % case.partitions)
        n_calls += 1
    _flush(producer)
    took_s = time.monotonic() - began
    return Measured(n_calls * N_MESSAGES, took_s), (n_calls + case.partitions) * N_MESSAGES


def fill(bootstrap: str, topic: str, case: Case, n: int) -> None:
    """Send `n` messages to partition 0, rounded up to whole calls; raises RunFailed."""
    producer, messages = _producer(bootstrap, case), values(case.value_bytes)
    for _ in range(-(-n // N_MESSAGES)):
        _send(producer, topic, messages, 0)
    _flush(producer)


def consume(bootstrap: str, topic: str, n_partitions: int, n: int, seconds: float) -> Measured:
    """Read all `n`, and again from the start until `seconds` are over or there were eight passes.

    In each pass the first batch only starts the clock: connecting is not what is measured.
    Raises RunFailed when there are fewer than `n`, or more.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-reader",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "log_level": QUIET,
        }
    )
    start = [
        TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(n_partitions)
    ]
    total_n, total_s, n_passes = 0, 0.0, 0
    try:
        while total_s < seconds and n_passes < _MAX_PASSES:
            consumer.assign(start)
            measured = _read_all(consumer, n)
            total_n, total_s = total_n + measured.n, total_s + measured.seconds
            n_passes += 1
    finally:
        consumer.close()
    return Measured(total_n, total_s)


def _read_all(consumer: Consumer, n: int) -> Measured:
    n_first = done = _take(consumer)
    began = time.monotonic()
    while done < n:
        done += _take(consumer)
    took_s = time.monotonic() - began
    done += len(consumer.consume(N_MESSAGES, 0.0))
    if done != n:
        raise RunFailed(f"{done:,} messages read, {n:,} written")
    return Measured(n - n_first, took_s)


def _producer(bootstrap: str, case: Case) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": case.compression,
            "queue.buffering.max.messages": 2 * MAX_UNACKNOWLEDGED,
            "queue.buffering.max.kbytes": 1 << 20,
            "delivery.report.only.error": True,
            "log_level": QUIET,
        }
    )


def _send(producer: Producer, topic: str, messages: list[dict[str, bytes]], partition: int) -> None:
    """One call, once few enough are unacknowledged; no callback, so failures show in the count."""
    deadline = time.monotonic() + _STALL_S
    while len(producer) > MAX_UNACKNOWLEDGED:
        if time.monotonic() > deadline:
            raise RunFailed(f"nothing was acknowledged for {_STALL_S:.0f} s")
        producer.poll(0.002)
    taken = producer.produce_batch(topic, messages, partition=partition)
    if taken != len(messages):
        raise RunFailed(f"the client took {taken} of {len(messages)} messages")


def _flush(producer: Producer) -> None:
    left = producer.flush(_FLUSH_TIMEOUT_S)
    if left:
        raise RunFailed(f"{left:,} messages not acknowledged after {_FLUSH_TIMEOUT_S:.0f} s")


def _take(consumer: Consumer) -> int:
    deadline = time.monotonic() + _STALL_S
    while time.monotonic() < deadline:
        messages = consumer.consume(N_MESSAGES, 1.0)
        for message in messages:
            if message.error():
                raise RunFailed(f"reading: {message.error()}")
        if messages:
            return len(messages)
    raise RunFailed(f"nothing more to read for {_STALL_S:.0f} s")


def values(size: int) -> list[dict[str, bytes]]:
    """Messages of `size` bytes for `produce_batch`: half noise, half text that repeats."""
    source = random.Random(size)
    text = (b'{"feature": 0.25, "entity": "card-4711"}' * (size // 40 + 1))[: size - size // 2]
    return [{"value": source.randbytes(size // 2) + text} for _ in range(N_MESSAGES)]
