"""Sends messages with their own send time at a constant rate: a process of its own.

`python -m tests.bench.broker_sender --bootstrap ... --topic ... --rate 20000 --seconds 5` prints
one JSON object, a `Sent`.
"""

import argparse
import json
import struct
import time
from dataclasses import asdict

from confluent_kafka import Producer

from tests.bench.generator import Sent

STAMP = struct.Struct("<q")
"""The first bytes of a value: CLOCK_MONOTONIC in ns, which all processes here share."""

TICK_S = 0.001
LINGER_MS = 1
MAX_UNACKNOWLEDGED = 90_000
"""Below what librdkafka's queue holds."""

_FLUSH_TIMEOUT_S = 30.0


def send_at_rate(bootstrap: str, topic: str, rate: float, seconds: float, value_bytes: int) -> Sent:
    """Send what is due once a tick, stamped then; a late tick sends all that is due by then."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": LINGER_MS,
            "delivery.report.only.error": True,
            "log_level": 2,
        }
    )
    producer.list_topics(topic, timeout=_FLUSH_TIMEOUT_S)  # connected before the clock starts
    rest = bytes(value_bytes - STAMP.size)
    total, sent, next_tick, worst_lag = int(rate * seconds), 0, 0, 0.0
    start = time.monotonic()
    first_ns = last_ns = time.monotonic_ns()
    while sent < total:
        lag = time.monotonic() - (start + next_tick * TICK_S)
        if lag < 0:
            time.sleep(-lag)
            continue
        worst_lag = max(worst_lag, lag)
        next_tick += int(lag / TICK_S) + 1
        due = min(total, int(rate * next_tick * TICK_S)) - sent
        _wait_for_room(producer, due)
        last_ns = time.monotonic_ns()
        value = STAMP.pack(last_ns) + rest
        taken = producer.produce_batch(topic, [{"value": value} for _ in range(due)], partition=0)
        if taken != due:
            raise RuntimeError(f"the client took {taken} of {due} messages")
        sent += due
    if producer.flush(_FLUSH_TIMEOUT_S):
        raise RuntimeError("not all was acknowledged")
    return Sent(sent, 0, first_ns, last_ns, worst_lag * 1000)


def _wait_for_room(producer: Producer, n: int) -> None:
    """A client that far behind is no open loop any more: the rate it reached will say so."""
    deadline = time.monotonic() + _FLUSH_TIMEOUT_S
    while len(producer) + n > MAX_UNACKNOWLEDGED:
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing was acknowledged for {_FLUSH_TIMEOUT_S:.0f} s")
        producer.poll(0.001)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--value-bytes", type=int, default=200)
    given = parser.parse_args()
    sent = send_at_rate(given.bootstrap, given.topic, given.rate, given.seconds, given.value_bytes)
    print(json.dumps(asdict(sent)))


if __name__ == "__main__":
    main()
