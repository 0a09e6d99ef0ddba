"""Offset commits and small transactions, one after the other, as fast as they are answered."""

import time
from collections.abc import Callable

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.bench.broker_cases import Case
from tests.bench.broker_load import QUIET, values
from tests.bench.broker_nodes import BrokerNode

RECORDS_OF_A_TRANSACTION = 10
_WARM_UP = 20
_TIMEOUT_S = 30.0


def measure_commits(node: BrokerNode, case: Case, seconds: float) -> dict[str, float]:
    """Synchronous commits of one offset of one partition; raises KafkaException."""
    with node.topic(case) as topic:
        consumer = Consumer(
            {
                "bootstrap.servers": node.bootstrap,
                "group.id": f"{topic}-group",
                "enable.auto.commit": False,
                "log_level": QUIET,
            }
        )
        n_done = 0

        def commit() -> None:
            nonlocal n_done
            n_done += 1
            consumer.commit(offsets=[TopicPartition(topic, 0, n_done)], asynchronous=False)

        try:
            rate, p99_ms = repeat(commit, seconds)
        finally:
            consumer.close()
    return {"commits_per_s": rate, "commit_p99_ms": p99_ms}


def measure_transactions(node: BrokerNode, case: Case, seconds: float) -> dict[str, float]:
    """Begin, ten records, commit; raises KafkaException."""
    messages = values(case.value_bytes)[:RECORDS_OF_A_TRANSACTION]
    with node.topic(case) as topic:
        producer = Producer(
            {
                "bootstrap.servers": node.bootstrap,
                "transactional.id": f"{topic}-writer",
                "linger.ms": 0,
                # The default of 100 ms is what a commit waits while the one before is written.
                "retry.backoff.ms": 5,
                "log_level": QUIET,
            }
        )
        producer.init_transactions(_TIMEOUT_S)

        def transaction() -> None:
            producer.begin_transaction()
            producer.produce_batch(topic, messages, partition=0)
            producer.commit_transaction(_TIMEOUT_S)

        rate, p99_ms = repeat(transaction, seconds)
    return {"transactions_per_s": rate, "transaction_p99_ms": p99_ms}


def repeat(
    act: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic
) -> tuple[float, float]:
    """Rate per second and p99 in ms of `act` over `seconds`, after a few that do not count."""
    for _ in range(_WARM_UP):
        act()
    began = now = clock()
    took_s: list[float] = []
    while now - began < seconds:
        act()
        after = clock()
        took_s.append(after - now)
        now = after
    return len(took_s) / (now - began), float(np.percentile(took_s, 99)) * 1000
