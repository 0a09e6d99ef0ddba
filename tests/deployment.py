"""A pipeline on real parts for tests: events in, workers as processes, and the promises checked."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import numpy as np
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas.events import Prediction
from schemas.features import FeatureSchema
from schemas.kafka_settings import KafkaSettings
from schemas.pipeline import Pipeline, write_pipeline
from schemas.settings import ClickHouseSettings, Settings, load_settings
from schemas.topics import TopicNames
from storage.client import Client, connect
from storage.migrate import migrate
from storage.model_store import ModelStore
from stream_processors.topics import (
    committed_offsets,
    create_pipeline_topics,
    describe,
    end_offsets,
)

SCHEMA = FeatureSchema.of_floats([f"f{index}" for index in range(5)])
N_ENTITIES = 50

PATIENCE_S = 120.0
"""How long anything may take before a test fails; a busy machine needs a fraction of it."""


def train(store: Path) -> str:
    """A small model over SCHEMA in the store; returns its sha256."""
    from training.bootstrap import train_first_model

    random = np.random.default_rng(7)
    features = random.normal(size=(400, len(SCHEMA))).astype(np.float32)
    labels = (features.sum(axis=1) > 0).astype(np.int8)
    directory = train_first_model(features, labels, SCHEMA, pipeline="test", seed=7, epochs=3)
    return ModelStore(store).put(directory)


class Worker:
    """One stage of one pipeline as a process, to be stopped, killed and frozen."""

    def __init__(self, stage: str, environment: dict[str, str], log: Path, ready: Path) -> None:
        self.stage, self.log_path, self._ready = stage, log, ready
        self._metrics_port = environment.get("THALWEG_METRICS_PORT")
        ready.unlink(missing_ok=True)
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "thalweg.main", "worker", stage],
                env={**os.environ, **environment, "THALWEG_READY_FILE": str(ready)},
                stdout=file,
                stderr=file,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self) -> None:
        until(lambda: self._ready.exists() or not self.alive)
        assert self.alive, f"{self.stage} ended:\n{self.log_path.read_text()[-3000:]}"

    def metric(self, name: str) -> float:
        """What a metric without labels stands at; needs THALWEG_METRICS_PORT."""
        with urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=PATIENCE_S) as page:
            lines = page.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(PATIENCE_S)

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; returns the exit status after the drain, and prints why it is not 0."""
        self.process.terminate()
        status = self.process.wait(PATIENCE_S)
        if status != 0:
            print(f"{self.stage} ended with {status}:\n{self.log_path.read_text()[-6000:]}")
        return status


@dataclass(frozen=True)
class Tally:
    """The log's counts; it is exact when rows, identities and rollup agree."""

    rows: int
    identities: int
    event_ids: int
    rollup: int
    dead: int


class Deployment:
    """One pipeline of a test's own on shared servers."""

    def __init__(
        self,
        name: str,
        kafka: KafkaSettings,
        clickhouse: ClickHouseSettings,
        store: Path,
        model: str,
        folder: Path,
        schema: FeatureSchema = SCHEMA,
    ) -> None:
        self.name, self.kafka, self.clickhouse, self.folder = name, kafka, clickhouse, folder
        self.names = TopicNames(name)
        self.schema = schema
        self.workers: list[Worker] = []
        self.n_sent = 0
        self._store = store
        self.reconnect()
        write_pipeline(store, Pipeline(name=name, schema=schema, model=model))
        create_pipeline_topics(kafka, name)
        migrate(connect(clickhouse), clickhouse)

    def reconnect(self) -> None:
        """A new producer, which asks for the topic's partitions anew."""
        options = {"enable.idempotence": True, "linger.ms": 2, "message.max.bytes": 8_000_000}
        self._producer = Producer(self.kafka.librdkafka() | options)

    def settings(self) -> Settings:
        """Settings of this pipeline, as a worker has them."""
        return load_settings(
            {},
            pipeline=self.name,
            data_dir=self.folder / "data",
            model_store=self._store,
            kafka=self.kafka,
            clickhouse=self.clickhouse,
        )

    # -- processes

    def start(self, stage: str, worker_id: str = "", **settings: str) -> Worker:
        environment = {
            "THALWEG_PIPELINE": self.name,
            "THALWEG_MODEL_STORE": str(self._store),
            "THALWEG_DATA_DIR": str(self.folder / "data"),
            "THALWEG_WORKER_ID": worker_id,
            "THALWEG_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "THALWEG_KAFKA__SESSION_TIMEOUT_MS": "6000",
            "THALWEG_CLICKHOUSE__URL": self.clickhouse.url,
            "THALWEG_CLICKHOUSE__DATABASE": self.clickhouse.database,
            "THALWEG_LOG__BLOCK_MAX_MS": "200",
            **settings,
        }
        index = len(self.workers)
        log = self.folder / f"{stage}-{index}.log"
        worker = Worker(stage, environment, log, self.folder / f"{stage}-{index}.ready")
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.thaw()
                worker.kill()

    # -- events

    def send(self, n: int) -> None:
        """Produce the next `n` events, spread over the entities; returns when all are in Kafka."""
        for index in range(self.n_sent, self.n_sent + n):
            features = {f"f{column}": (index * 7 + column) % 11 - 5.0 for column in range(5)}
            event = {"event_id": f"e{index}", "features": features, "event_time_ms": 10**12 + index}
            self.produce(f"c{index % N_ENTITIES}", json.dumps(event).encode())
            if index % 500 == 0:
                self._producer.poll(0)
        self.n_sent += n
        assert self._producer.flush(PATIENCE_S) == 0

    def produce(self, key: str | None, value: bytes | None, **options: Any) -> None:
        """Produce one raw record to `features`; `flush` makes sure of it."""
        self._producer.produce(self.names.features, value, key, **options)

    def flush(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0

    # -- what came of them

    def lag(self, stage: str) -> int:
        source = self.names.features if stage == "score" else self.names.scored_batches
        topic = describe(self.kafka, [source])[source]
        committed = committed_offsets(self.kafka, self.names.group(stage), [topic])
        ends = end_offsets(self.kafka, [topic])
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    def wait_for_log(self, n_events: int | None = None) -> None:
        """Until the log holds that many identities (default: all sent) and nothing lags."""
        expected = self.n_sent if n_events is None else n_events
        with connect(self.clickhouse) as client:
            until(lambda: tally(client, self.name).identities >= expected)
        until(lambda: self.lag("score") == 0 and self.lag("log") == 0)

    def assert_logged_exactly_once(self, n_dead: int = 0) -> None:
        with connect(self.clickhouse) as client:
            found = tally(client, self.name)
        n = self.n_sent
        assert found == Tally(rows=n, identities=n, event_ids=n, rollup=n, dead=n_dead)

    def predictions(self) -> list[Prediction]:
        """Every message on `predictions`, replays included, in partition order."""
        return [
            msgspec.json.decode(message.value() or b"", type=Prediction)
            for message in self.read(self.names.predictions)
        ]

    def assert_order_per_key(self) -> None:
        """What a reader sees that drops replays by source offset: each event once, in order."""
        last_seen: dict[int, int] = defaultdict(lambda: -1)
        per_entity: dict[int, list[int]] = defaultdict(list)
        for prediction in self.predictions():
            if prediction.source_offset <= last_seen[prediction.source_partition]:
                continue
            last_seen[prediction.source_partition] = prediction.source_offset
            number = int(prediction.event_id[1:])
            per_entity[number % N_ENTITIES].append(number)
        for numbers in per_entity.values():
            assert numbers == sorted(numbers)
        assert sorted(n for numbers in per_entity.values() for n in numbers) == list(
            range(self.n_sent)
        )

    def read(self, name: str) -> Iterator[Message]:
        """Every record of a topic up to its end now."""
        topic = describe(self.kafka, [name])[name]
        left = {p: end for (_, p), end in end_offsets(self.kafka, [topic]).items() if end}
        consumer = Consumer(
            self.kafka.librdkafka() | {"group.id": "reader", "enable.partition.eof": True}
        )
        consumer.assign([TopicPartition(name, partition, 0) for partition in left])
        while left:
            for message in consumer.consume(1000, 1.0):
                error = message.error()
                if error is None:
                    yield message
                elif error.name() == "_PARTITION_EOF":
                    left.pop(message.partition() or 0, None)
                else:
                    raise AssertionError(error)
        consumer.close()


def tally(client: Client, pipeline: str) -> Tally:
    """Count a pipeline's log in every way there is."""
    ((rows, identities, event_ids),) = client.query(
        "SELECT count(), uniqExact(source_topic_id, source_partition, source_offset),"
        " uniqExact(event_id) FROM predictions WHERE pipeline = {p:String}",
        {"p": pipeline},
    )
    ((rollup,),) = client.query(
        "SELECT sum(n) FROM predictions_per_minute WHERE pipeline = {p:String}", {"p": pipeline}
    )
    ((dead,),) = client.query(
        "SELECT count() FROM dead_letters WHERE pipeline = {p:String}", {"p": pipeline}
    )
    return Tally(rows, identities, event_ids, rollup, dead)


def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait until it holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
