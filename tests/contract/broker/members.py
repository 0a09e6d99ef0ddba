"""Group members that run beside a test: threads here, and a process to be killed.

python -m tests.contract.broker.members SERVERS TOPIC GROUP
"""

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.contract.broker.clients import WAIT_S, Cluster


class Member:
    """A consumer in a thread that reads, commits what it read, and says what it owns."""

    def __init__(self, cluster: Cluster, topic: str, group: str, **options: Any) -> None:
        self.seen: list[tuple[int, int]] = []
        self.owned: set[int] = set()
        self.n_assignments = 0
        self.errors: list[KafkaError] = []
        self._stop = threading.Event()
        self._arguments = (cluster, topic, group, options)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def leave(self) -> None:
        """Commit, close, and wait until that is done."""
        self._stop.set()
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def _run(self) -> None:
        cluster, topic, group, options = self._arguments
        with cluster.consumer(group, enable_auto_offset_store=False, **options) as consumer:
            consumer.subscribe(
                [topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            while not self._stop.is_set():
                self._read(consumer)

    def _read(self, consumer: Consumer) -> None:
        n_before = len(self.seen)
        for message in consumer.consume(200, 0.05):
            if (error := message.error()) is not None:
                self.errors.append(error)
                continue
            self.seen.append((message.partition(), message.offset()))
            try:
                consumer.store_offsets(message)
            except KafkaException:  # revoked meanwhile: the next owner reads it again
                continue
        if len(self.seen) > n_before:
            try:
                consumer.commit(asynchronous=False)
            except KafkaException:  # a rebalance is on
                return

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.n_assignments += 1
        self.owned |= {each.partition for each in partitions}

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.owned -= {each.partition for each in partitions}


class Feeder:
    """Sends records to all partitions in turn, until it is stopped; knows what was acknowledged."""

    def __init__(self, cluster: Cluster, topic: str, n_partitions: int, **options: Any) -> None:
        self.acknowledged: dict[tuple[int, int], int] = {}
        self.errors: list[KafkaError] = []
        self._producer: Producer = cluster.producer(**options)
        self._topic, self._n_partitions = topic, n_partitions
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more, and wait until everything is acknowledged."""
        self._stop.set()
        self._thread.join(WAIT_S)
        assert self._producer.flush(WAIT_S) == 0
        assert self.errors == []

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            for _ in range(20):
                partition = number % self._n_partitions
                self._producer.produce(
                    self._topic, b"%d" % number, partition=partition, on_delivery=self._report
                )
                number += 1
            self._producer.poll(0)
            time.sleep(0.02)

    def _report(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            place = (message.partition(), message.offset())
            self.acknowledged[place] = int(message.value())
        else:
            self.errors.append(error)


def main() -> None:
    servers, topic, group = sys.argv[1:]
    Member(Cluster(servers), topic, group).start()._thread.join()


if __name__ == "__main__":
    main()
