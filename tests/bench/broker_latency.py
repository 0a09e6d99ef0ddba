"""Latency at a constant rate: from `produce_batch` in one process to `consume` in another."""

import json
import sys
import time

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from tests.bench.broker_cases import Case
from tests.bench.broker_load import QUIET
from tests.bench.broker_nodes import BrokerNode
from tests.bench.broker_sender import STAMP
from tests.bench.generator import Sent
from tests.bench.processes import Child, Children, RunFailed

MAX_TAKEN = 2000
N_PROBES = 1
_SETTLE_S = 10.0
_MIN_RATE_KEPT = 0.98


def measure_latency(
    node: BrokerNode, children: Children, core: int, case: Case, warm_up_s: float, measured_s: float
) -> tuple[dict[str, float], str]:
    """Figures over `measured_s` after `warm_up_s` at the same rate, and a remark on the run.

    The sender runs on `core`, where the reader, which is this process, is too. Raises RunFailed.
    """
    seconds = warm_up_s + measured_s
    with node.topic(case) as topic:
        reader = _Reader(node.bootstrap, topic)
        try:
            reader.settle()
            sender = children.start("sender", _command(node, topic, case, seconds), core)
            try:
                cpu, began = node.process.cpu_s(), time.monotonic()
                status = reader.run_while(sender, seconds * 3 + 30)
                cpu_share = (node.process.cpu_s() - cpu) / (time.monotonic() - began)
            finally:
                children.stop(sender)
            if status:
                raise RunFailed(f"the sender exited with {status}: {sender.last_words()}")
            sent = Sent(**json.loads(sender.last_words()))
            reader.run_until(N_PROBES + sent.n, _SETTLE_S)
        finally:
            reader.close()
    figures = percentiles(*reader.times(), sent.first_ns + int(warm_up_s * 1e9), sent.last_ns)
    figures |= {
        "latency_cpu": cpu_share,
        "sent_per_s": sent.events_per_s,
        "sender_worst_lag_ms": sent.worst_lag_ms,
    }
    return figures, _remark(case, sent)


def percentiles(
    stamps: NDArray[np.int64], seen: NDArray[np.int64], first_ns: int, last_ns: int
) -> dict[str, float]:
    """p50, p99 and maximum in ms of messages stamped from `first_ns` to `last_ns`."""
    inside = (stamps >= first_ns) & (stamps <= last_ns)
    if not inside.any():
        raise RunFailed("no message of the measured time was seen")
    p50, p99, worst = np.percentile((seen[inside] - stamps[inside]) / 1e6, [50, 99, 100])
    return {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": float(worst),
        "n_observed": float(inside.sum()),
    }


class _Reader:
    """Notes for every message when `consume` returned it."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._stamps: list[bytes] = []
        self._seen: list[int] = []
        self._counts: list[int] = []
        self._n = 0
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 1,
                "log_level": QUIET,
            }
        )
        self._bootstrap, self._topic = bootstrap, topic
        self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])

    def settle(self) -> None:
        """Return when it reads: librdkafka takes half a second from assignment to first fetch."""
        producer = Producer({"bootstrap.servers": self._bootstrap, "log_level": QUIET})
        for _ in range(N_PROBES):
            producer.produce(self._topic, STAMP.pack(0), partition=0)
        producer.flush(_SETTLE_S)
        self.run_until(N_PROBES, _SETTLE_S)

    def run_while(self, sender: Child, timeout_s: float) -> int:
        """Read until the sender has ended; returns its exit status."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status = sender.ended()
            if status is not None:
                return status
            self._take()
        raise RunFailed(f"the sender did not end within {timeout_s:.0f} s")

    def run_until(self, n: int, patience_s: float) -> None:
        """Read until there are `n`; raises RunFailed when they do not come."""
        deadline = time.monotonic() + patience_s
        while self._n < n:
            if time.monotonic() > deadline:
                raise RunFailed(f"fell behind: {self._n:,} of {n:,} read after {patience_s:.0f} s")
            self._take()

    def times(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Stamp and time of arrival of each message, int64[n] in ns."""
        stamps = np.frombuffer(b"".join(self._stamps), dtype="<i8").astype(np.int64)
        return stamps, np.repeat(np.array(self._seen, dtype=np.int64), self._counts)

    def close(self) -> None:
        self._consumer.close()

    def _take(self) -> None:
        messages = self._consumer.consume(1, 0.05)
        if not messages:
            return
        messages += self._consumer.consume(MAX_TAKEN - 1, 0)
        now = time.monotonic_ns()
        for message in messages:
            if message.error():
                raise RunFailed(f"reading: {message.error()}")
        self._stamps += [(message.value() or b"")[: STAMP.size] for message in messages]
        self._seen.append(now)
        self._counts.append(len(messages))
        self._n += len(messages)


def _command(node: BrokerNode, topic: str, case: Case, seconds: float) -> list[str]:
    options = {
        "--bootstrap": node.bootstrap,
        "--topic": topic,
        "--rate": str(case.rate),
        "--seconds": str(seconds),
        "--value-bytes": str(case.value_bytes),
    }
    command = [sys.executable, "-m", "tests.bench.broker_sender"]
    return command + [word for pair in options.items() for word in pair]


def _remark(case: Case, sent: Sent) -> str:
    if sent.events_per_s < _MIN_RATE_KEPT * case.rate:
        return f"the sender only reached {sent.events_per_s:,.0f}/s"
    return ""
