"""Sends events: all at once (`preload`), or as a process of its own at a constant rate.

`python -m tests.bench.generator --bootstrap ... --topic ... --rate 20000 --seconds 10` prints one
JSON object.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass

from tests.bench.events import FORMATS, MAX_BATCH_EVENTS, EventPool, Format
from tests.bench.wire import ProduceConnection

TICK_S = 0.002
"""One request a tick: 500 requests a second at any rate, as a producer with a short linger does."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the generator did. `worst_lag_ms`: how far it fell behind its own clock at worst."""

    n: int
    first_sequence: int
    first_ns: int
    last_ns: int
    worst_lag_ms: float

    @property
    def events_per_s(self) -> float:
        return self.n / max((self.last_ns - self.first_ns) / 1e9, 1e-9)


def preload(bootstrap: str, topic: str, n_partitions: int, wire_format: Format, n: int) -> None:
    """Fill `topic` with events 0 to n - 1, as many in each partition give or take a batch."""
    send_now(bootstrap, topic, n_partitions, wire_format, first_sequence=0, n=n)


def send_now(
    bootstrap: str,
    topic: str,
    n_partitions: int,
    wire_format: Format,
    *,
    first_sequence: int,
    n: int,
) -> None:
    """Send `n` events as fast as the broker takes them; returns when all are acknowledged."""
    pool, connection = EventPool(wire_format), ProduceConnection(bootstrap)
    try:
        for start in range(0, n, MAX_BATCH_EVENTS):
            size = min(MAX_BATCH_EVENTS, n - start)
            batch = pool.batch(first_sequence + start, size, time.monotonic_ns())
            connection.send(topic, start // MAX_BATCH_EVENTS % n_partitions, batch)
        connection.drain()
    finally:
        connection.close()


def send_at_rate(
    bootstrap: str,
    topic: str,
    n_partitions: int,
    wire_format: Format,
    *,
    first_sequence: int,
    rate: float,
    seconds: float,
) -> Sent:
    """Send at a constant rate, one partition a tick, each event stamped when its batch is made.

    A tick that comes late sends in one batch what is due by then, so the rate holds; the lag is
    reported.
    """
    pool, connection = EventPool(wire_format), ProduceConnection(bootstrap)
    total, sent, n_batches, next_tick, worst_lag = int(rate * seconds), 0, 0, 0, 0.0
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
        for size in _batch_sizes(due):
            last_ns = time.monotonic_ns()
            batch = pool.batch(first_sequence + sent, size, last_ns)
            connection.send(topic, n_batches % n_partitions, batch)
            sent, n_batches = sent + size, n_batches + 1
    connection.drain()
    connection.close()
    return Sent(sent, first_sequence, first_ns, last_ns, worst_lag * 1000)


def _batch_sizes(n: int) -> list[int]:
    full, rest = divmod(n, MAX_BATCH_EVENTS)
    return [MAX_BATCH_EVENTS] * full + [rest] * (rest > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--format", choices=FORMATS, default="packed")
    parser.add_argument("--first-sequence", type=int, default=0)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    sent = send_at_rate(
        given.bootstrap,
        given.topic,
        given.partitions,
        given.format,
        first_sequence=given.first_sequence,
        rate=given.rate,
        seconds=given.seconds,
    )
    print(json.dumps(asdict(sent)))


if __name__ == "__main__":
    main()
