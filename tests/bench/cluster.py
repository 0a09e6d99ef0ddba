"""A broker on one core for the length of the bench, and fresh topics for each run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from schemas.topics import PIPELINE_TOPICS, TopicNames
from tests.bench.broker_cases import APACHE, EMBEDDED
from tests.bench.broker_nodes import broker_for, missing_apache
from tests.bench.model import PIPELINE
from tests.bench.processes import Child, Children, on_core

_START_TIMEOUT_S = 60.0
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RunTopics:
    """The topics of one run: nobody has read or written them before."""

    prefix: str

    @property
    def names(self) -> TopicNames:
        return TopicNames(PIPELINE, self.prefix)


class Cluster:
    """Apache Kafka, or the embedded broker without one; `n_partitions` is that of every topic."""

    def __init__(self, children: Children, directory: Path, core: int, n_partitions: int) -> None:
        self._children, self._core = children, core
        self._process: Child | None = None
        self._n_runs = 0
        self.n_partitions = n_partitions
        self._node = broker_for(EMBEDDED if missing_apache() else APACHE, directory)
        self.bootstrap = self._node.bootstrap_servers
        self.description = self._node.description

    def start(self) -> None:
        """Start it and wait until it serves requests."""
        with on_core(self._core):
            self._node.prepare()
        self._process = self._children.start("broker", self._node.command(), self._core)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._node.healthy():
            self._process.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker is not up after {_START_TIMEOUT_S:.0f} s")
            time.sleep(0.2)
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def fresh_topics(self) -> RunTopics:
        self._n_runs += 1
        topics = RunTopics(f"run{self._n_runs:03d}.")
        # As create_pipeline_topics does it, but with one admin client for the whole bench: each one
        # more is threads and connections that stay, on the core of the broker.
        wanted = [
            NewTopic(topics.names.of(topic), self.n_partitions, 1, config=spec.config())
            for topic, spec in PIPELINE_TOPICS.items()
        ]
        for future in self._admin.create_topics(wanted).values():
            future.result(_TIMEOUT_S)
        for topic in PIPELINE_TOPICS:
            self._wait_for_leader(topics.names.of(topic))
        return topics

    def _wait_for_leader(self, topic: str) -> None:
        """A topic exists a moment before its partitions have a leader that takes records."""
        deadline = time.monotonic() + _TIMEOUT_S
        # Asked with list_topics: list_offsets would keep the "no leader" of a first try for 30 s.
        while not self._has_leaders(topic):
            if time.monotonic() > deadline:
                raise RuntimeError(f"topic {topic} has no leader after {_TIMEOUT_S:.0f} s")
            time.sleep(0.05)

    def _has_leaders(self, topic: str) -> bool:
        found = self._admin.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        leaders = [p for p in found.values() if p.error is None and p.leader >= 0]
        return len(leaders) == self.n_partitions

    def drop(self, topics: RunTopics) -> None:
        """Delete the topics of a run, so that the disk holds one run at a time."""
        doomed = [topics.names.of(topic) for topic in PIPELINE_TOPICS]
        for future in self._admin.delete_topics(doomed).values():
            future.result(_TIMEOUT_S)

    def end_offset(self, topic: str) -> int:
        """Records in the topic, all partitions together."""
        wanted = {tp: OffsetSpec.latest() for tp in self.partitions(topic)}
        futures = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
        return sum(future.result(_TIMEOUT_S).offset for future in futures.values())

    def partitions(self, topic: str) -> Sequence[TopicPartition]:
        return [TopicPartition(topic, partition) for partition in range(self.n_partitions)]
