"""The brokers under test: each started alone on the brokers' core, with topics of its own."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.brokers import Broker
from deploy.local.embedded import EmbeddedBroker
from deploy.local.kafka import ApacheKafka, find_java, find_kafka_home
from deploy.local.ports import free_port
from tests.bench.broker_cases import APACHE, Case
from tests.bench.processes import ROOT, Child, Children, RunFailed, on_core

HEAP_MB = 1024
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_TIMEOUT_S = 30.0
_POLL_S = 0.002


class BrokerNode:
    """One broker process and its directory; `start` after `stop` or `kill` resumes it."""

    def __init__(self, name: str, children: Children, directory: Path, core: int) -> None:
        self.name = name
        self._children, self._core = children, core
        self._broker = broker_for(name, directory)
        self._child: Child | None = None
        self._admin: AdminClient | None = None
        self._n_topics = 0
        self.bootstrap = self._broker.bootstrap_servers

    def start(self) -> float:
        """Start it; returns the seconds until it first answered a request. Raises RunFailed."""
        with on_core(self._core):
            self._broker.prepare()
        began = time.monotonic()
        self._child = self._children.start(self.name, self._broker.command(), self._core)
        while not self._broker.healthy():
            self._child.check()
            if time.monotonic() - began > _START_TIMEOUT_S:
                raise RunFailed(f"{self.name} is not up after {_START_TIMEOUT_S:.0f} s")
            time.sleep(_POLL_S)
        return time.monotonic() - began

    @property
    def process(self) -> Child:
        """The running process; raises RunFailed when it was not started or has died."""
        if self._child is None:
            raise RunFailed(f"{self.name} is not running")
        self._child.check()
        return self._child

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        self._children.stop(self.process, _STOP_TIMEOUT_S)
        self._child = None

    def kill(self) -> None:
        """SIGKILL."""
        child = self.process
        child.kill()
        self._children.stop(child)
        self._child = None

    def discard(self) -> None:
        """End the process, if one is left, without ceremony."""
        if self._child is not None:
            self._children.stop(self._child, 0.1)
            self._child = None

    @contextmanager
    def topic(self, case: Case) -> Iterator[str]:
        """A fresh topic as the case wants it, deleted after the run: the disk holds one run."""
        self._n_topics += 1
        name = f"bench-{self._n_topics:04d}"
        kind = "LogAppendTime" if case.append_time else "CreateTime"
        wanted = NewTopic(name, case.partitions, 1, config={"message.timestamp.type": kind})
        admin = self._admin or AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        self._admin = admin
        admin.create_topics([wanted])[name].result(_TIMEOUT_S)
        try:
            _wait_for_leaders(admin, name, case.partitions)
            yield name
        finally:
            admin.delete_topics([name])[name].result(_TIMEOUT_S)


def _wait_for_leaders(admin: AdminClient, topic: str, n_partitions: int) -> None:
    """A topic exists a moment before its partitions have leaders that take records."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        found = admin.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions.values()
        if len([each for each in found if not each.error and each.leader >= 0]) == n_partitions:
            return
        time.sleep(0.02)
    raise RunFailed(f"topic {topic} has no leader after {_TIMEOUT_S:.0f} s")


def missing_apache() -> str:
    """Why Apache Kafka cannot take part; empty when it can. Raises ConfigurationError.

    A Kafka in ../shared/kafka is taken where there is one and KAFKA_HOME is not set.
    """
    shared = ROOT.parent / "shared" / "kafka"
    if not os.environ.get("KAFKA_HOME") and shared.is_dir():
        os.environ["KAFKA_HOME"] = str(shared)
    if not os.environ.get("KAFKA_HOME"):
        return "KAFKA_HOME is not set, so there is nothing to compare with"
    find_kafka_home()
    find_java()
    return ""


def broker_for(name: str, directory: Path) -> Broker:
    """The broker of that name, not started, on free ports; raises ConfigurationError."""
    if name == APACHE:
        return ApacheKafka(
            home=find_kafka_home(),
            java=find_java(),
            directory=directory,
            port=free_port(),
            controller_port=free_port(),
            heap_mb=HEAP_MB,
        )
    return EmbeddedBroker(directory, free_port())
