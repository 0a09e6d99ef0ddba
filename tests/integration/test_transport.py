"""The batch transport against a real broker: what Faust promises, for batches."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from schemas.kafka_settings import KafkaSettings
from stream_processors.topics import admin_client, committed_offsets, describe, end_offsets
from stream_processors.transport.budget import MAX_FETCHES
from tests.deployment import PATIENCE_S, until

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]


class Worker:
    """A process running tests.integration.apps.batch_app."""

    def __init__(self, kafka: KafkaSettings, pipeline: str, out: Path, *options: str) -> None:
        self.out = out
        module = "tests.integration.apps.batch_app"
        self.log = out.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", module, kafka.bootstrap_servers),
                *(pipeline, f"{pipeline}.in", str(out), *options),
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def lines(self) -> list[dict[str, Any]]:
        if not self.out.exists():
            return []
        whole, _, _ = self.out.read_text().rpartition("\n")  # the last line may be half there
        return [json.loads(line) for line in whole.splitlines()]

    def batches(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["kind"] == "batch"]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def tell(self, what: str) -> None:
        """What its script waits for."""
        self.out.with_suffix(f".{what}").touch()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)


class Bench:
    """One topic, its producer, and the workers reading it."""

    def __init__(self, kafka: KafkaSettings, pipeline: str, folder: Path) -> None:
        self.kafka, self.pipeline, self.folder = kafka, pipeline, folder
        self.topic = f"{pipeline}.in"
        self.workers: list[Worker] = []
        self._producer = Producer(kafka.librdkafka())
        self.create(self.topic, 4)

    def reconnected(self) -> "Bench":
        """The same, with a producer that asks for the topic's partitions anew."""
        self._producer = Producer(self.kafka.librdkafka())
        return self

    def create(self, name: str, n_partitions: int) -> None:
        admin = admin_client(self.kafka)
        for future in admin.create_topics([NewTopic(name, n_partitions)]).values():
            future.result(PATIENCE_S)

    def produce(self, n: int, *, topic: str | None = None, partition: int = -1) -> None:
        for index in range(n):
            self._producer.produce(topic or self.topic, str(index).encode(), partition=partition)
            if index % 1000 == 0:
                self._producer.poll(0)
        assert self._producer.flush(PATIENCE_S) == 0

    def start(self, *options: str) -> Worker:
        out = self.folder / f"worker{len(self.workers)}.jsonl"
        self.workers.append(Worker(self.kafka, self.pipeline, out, *options))
        return self.workers[-1]

    def processed(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for worker in self.workers:
            for batch in worker.batches():
                found.setdefault(batch["partition"], set()).update(batch["offsets"])
        return found

    def ends(self) -> dict[int, int]:
        topic = describe(self.kafka, [self.topic])[self.topic]
        return {p: end for (_, p), end in end_offsets(self.kafka, [topic]).items() if end}

    def committed(self) -> dict[int, int]:
        topic = describe(self.kafka, [self.topic])[self.topic]
        group = f"{self.pipeline}.test"
        return {
            p: offset for (_, p), offset in committed_offsets(self.kafka, group, [topic]).items()
        }

    def everything_is_committed(self) -> bool:
        return self.committed() == self.ends()


@pytest.fixture
def bench(kafka: KafkaSettings, pipeline_name: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka, pipeline_name, tmp_path)
    yield bench
    for worker in bench.workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait(PATIENCE_S)


def assert_every_offset_was_processed(bench: Bench) -> None:
    processed = bench.processed()
    for partition, end in bench.ends().items():
        assert processed.get(partition, set()) >= set(range(end))


def test_batches_join_up_and_everything_is_committed_at_a_clean_stop(bench: Bench) -> None:
    bench.produce(5000)
    worker = bench.start()
    until(lambda: sum(len(batch["offsets"]) for batch in worker.batches()) == 5000)
    assert worker.stop() == 0
    assert bench.everything_is_committed()
    by_partition: dict[int, list[list[int]]] = {}
    for batch in worker.batches():
        by_partition.setdefault(batch["partition"], []).append(batch["covers"])
    for covers in by_partition.values():
        assert covers[0][0] == 0
        assert all(before[1] == after[0] for before, after in pairwise(covers))


def test_a_crash_before_acknowledge_commits_nothing_of_the_batch(bench: Bench) -> None:
    bench.produce(3000)
    crashed = bench.start("--crash-at", "3")
    assert crashed.process.wait(PATIENCE_S) != 0
    seen = {(batch["partition"], batch["covers"][1]) for batch in crashed.batches()}
    for partition, offset in bench.committed().items():
        assert (partition, offset) in seen
    bench.start()
    until(bench.everything_is_committed)
    assert_every_offset_was_processed(bench)


def test_joins_leaves_and_kills_process_every_offset(bench: Bench) -> None:
    first = bench.start("--slow", "0.01", "--worker-id", "first")
    for _ in range(3):
        bench.produce(2000)
        time.sleep(0.5)
    second = bench.start("--slow", "0.01", "--worker-id", "second")
    until(lambda: bool(second.out.with_suffix(".ready").exists()))
    bench.produce(4000)
    first.signal(signal.SIGKILL)
    bench.produce(2000)
    third = bench.start("--worker-id", "first")
    until(lambda: bool(third.out.with_suffix(".ready").exists()))
    assert second.stop() == 0
    bench.produce(2000)
    until(bench.everything_is_committed)
    assert_every_offset_was_processed(bench)


def test_a_frozen_worker_loses_its_partitions_and_nothing_is_skipped(bench: Bench) -> None:
    first = bench.start("--slow", "0.02")
    bench.produce(3000)
    until(lambda: len(first.batches()) > 1)
    first.signal(signal.SIGSTOP)
    bench.start()
    bench.produce(1000)
    until(lambda: set(bench.processed()) == set(bench.ends()))
    until(bench.everything_is_committed)
    first.signal(signal.SIGCONT)
    bench.produce(2000)
    until(bench.everything_is_committed)
    assert_every_offset_was_processed(bench)


def test_in_flight_stays_within_the_budget(bench: Bench) -> None:
    bench.produce(20_000)
    worker = bench.start("--slow", "0.01", "--max-batch", "100")
    until(lambda: sum(len(batch["offsets"]) for batch in worker.batches()) == 20_000)
    in_flight = [batch["in_flight"] for batch in worker.batches()]
    assert max(events for events, _, _ in in_flight) <= 2000
    assert max(fetches for _, _, fetches in in_flight) <= MAX_FETCHES


def test_ordinary_topics_of_the_same_app_work_event_by_event(bench: Bench) -> None:
    control = f"{bench.pipeline}.control"
    bench.create(control, 1)
    worker = bench.start("--control", control)
    bench.produce(1000)

    def controls() -> list[str]:
        return [line["value"] for line in worker.lines() if line["kind"] == "control"]

    def has_begun() -> bool:  # Faust may lose the first record of an assignment (surprises.md)
        bench.produce(1, topic=control)
        return bool(controls())

    until(has_begun)
    bench.produce(50, topic=control)
    until(lambda: controls()[-1] == "49")
    assert controls()[-50:] == [str(index) for index in range(50)]
    until(bench.everything_is_committed)
    assert worker.stop() == 0
    topic = describe(bench.kafka, [control])[control]
    group = f"{bench.pipeline}.test"
    ends = end_offsets(bench.kafka, [topic])
    assert committed_offsets(bench.kafka, group, [topic]) == ends


def test_a_paused_partition_rests_and_goes_on_where_it_was(bench: Bench) -> None:
    worker = bench.start("--script", "pause")
    bench.produce(100, partition=0)
    until(lambda: any(100 in batch["covers"] for batch in worker.batches()))
    worker.tell("begin")
    until(lambda: any(line["kind"] == "paused" for line in worker.lines()))
    n_before = len(worker.lines())
    bench.produce(100, partition=0)
    time.sleep(1)
    assert len(worker.lines()) == n_before
    worker.tell("resume")
    until(bench.everything_is_committed)
    assert_every_offset_was_processed(bench)
    assert any(line["kind"] == "resumed" for line in worker.lines())


def test_seek_reads_again_from_there(bench: Bench) -> None:
    bench.produce(300, partition=0)
    worker = bench.start("--script", "seek")
    until(lambda: any(300 in batch["covers"] for batch in worker.batches()))
    worker.tell("begin")
    until(lambda: sum(300 in batch["covers"] for batch in worker.batches()) == 2)
    again = [batch for batch in worker.batches() if batch["covers"][0] == 0]
    assert len(again) == 2
    until(bench.everything_is_committed)


def test_partitions_added_while_running_are_read(bench: Bench) -> None:
    from confluent_kafka.cimpl import NewPartitions

    worker = bench.start()
    bench.produce(400)
    until(bench.everything_is_committed)
    admin = admin_client(bench.kafka)
    for future in admin.create_partitions([NewPartitions(bench.topic, 6)]).values():
        future.result(PATIENCE_S)
    bench = bench.reconnected()
    bench.produce(100, partition=5)
    until(lambda: 5 in bench.processed())
    until(bench.everything_is_committed)
    assert_every_offset_was_processed(bench)
    assert worker.process.poll() is None


def test_a_recreated_topic_is_noticed_and_read_from_its_start(bench: Bench) -> None:
    first = bench.start()
    bench.produce(500, partition=0)
    until(bench.everything_is_committed)
    admin = admin_client(bench.kafka)
    admin.delete_topics([bench.topic])[bench.topic].result(PATIENCE_S)
    until(lambda: bench.topic not in describe(bench.kafka, [bench.topic]))
    bench.create(bench.topic, 4)
    assert first.process.wait(PATIENCE_S) != 0
    second = bench.start()
    bench.produce(700, partition=0)
    until(lambda: any(700 in batch["covers"] for batch in second.batches()))
    offsets = [offset for batch in second.batches() for offset in batch["offsets"]]
    assert offsets == list(range(700))
    said = first.out.with_suffix(".log").read_text()
    assert "deleted or recreated" in said or "cannot read" in said
