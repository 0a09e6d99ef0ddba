"""A real Apache Kafka on loopback: one KRaft node out of KAFKA_HOME, run by Java 17 or newer."""

import base64
import fcntl
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.ports import LOOPBACK, refuse_taken
from deploy.local.probe import answers
from schemas.errors import ConfigurationError

OLDEST_JAVA = 17
FORMAT_TIMEOUT_S = 120.0
_LOG4J = Path(__file__).with_name("log4j2.properties")


@dataclass(frozen=True, slots=True)
class ApacheKafka:
    """One node that is broker and controller; a second start on the same `directory` resumes it.

    `home` is a Kafka distribution, or any folder with its jars under `libs/`. `options` are server
    properties set over ours.
    """

    home: Path
    java: str
    directory: Path
    port: int
    controller_port: int
    heap_mb: int = 512
    options: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def description(self) -> str:
        return "Apache Kafka out of KAFKA_HOME"

    def prepare(self) -> None:
        """Write the configuration and format the storage on the first start.

        Raises ConfigurationError when the directory is in use or a port is taken.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        self._refuse_used_directory()
        refuse_taken(self.port, "Kafka", "THALWEG_LOCAL__KAFKA_PORT")
        refuse_taken(self.controller_port, "Kafka's controller", "THALWEG_LOCAL__KAFKA_PORT")
        self.properties.write_text(render_properties(self))
        if not (self.data / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self.properties))

    def healthy(self) -> bool:
        return answers(LOOPBACK, self.port)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def properties(self) -> Path:
        return self.directory / "server.properties"

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        return [
            self.java,
            f"-Xmx{self.heap_mb}m",
            f"-Xms{min(self.heap_mb, 256)}m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            f"-Dkafka.logs.dir={self.directory}",
            "-cp",
            f"{self.home / 'libs'}/*",
            main_class,
            *arguments,
        ]

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        options = ["format", f"--cluster-id={cluster_id}", "--ignore-formatted"]
        command = self._java("kafka.tools.StorageTool", *options, "-c", str(self.properties))
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
        if result.returncode != 0:
            raise ConfigurationError(
                f"Kafka could not format {self.data}: {(result.stderr or result.stdout).strip()}"
            )

    def _refuse_used_directory(self) -> None:
        """Kafka holds a POSIX lock on `.lock` while it runs."""
        with (self.data / ".lock").open("a") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"another Kafka is using {self.data}: stop it, or choose another --data-dir"
                ) from error


def find_kafka_home() -> Path:
    """The folder KAFKA_HOME names; raises ConfigurationError that says what to set."""
    text = os.environ.get("KAFKA_HOME", "")
    if not text:
        raise ConfigurationError(
            "no Apache Kafka to use: set KAFKA_HOME to an Apache Kafka 4 folder (needs Java"
            f" {OLDEST_JAVA} or newer)"
        )
    home = Path(text).expanduser().resolve()
    if not any((home / "libs").glob("kafka_*.jar")):
        raise ConfigurationError(f"KAFKA_HOME={home} holds no Kafka: there is no libs/kafka_*.jar")
    return home


def find_java() -> str:
    """A Java that can run Kafka; raises ConfigurationError when there is none or it is too old."""
    java_home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(java_home) / "bin" / "java") if java_home else "java")
    if java is None:
        where = f"JAVA_HOME={java_home} holds none" if java_home else "none is on the PATH"
        raise ConfigurationError(
            f"Kafka needs Java {OLDEST_JAVA} or newer, and {where}: install one, or unset"
            " KAFKA_HOME to use the development broker"
        )
    text = subprocess.run(
        [java, "-version"], capture_output=True, text=True, timeout=60, check=False
    ).stderr
    version = java_version(text)
    if version < OLDEST_JAVA:
        raise ConfigurationError(
            f"Kafka needs Java {OLDEST_JAVA} or newer, and {java} is {version or 'unknown'}:"
            " install one and put it on the PATH or into JAVA_HOME"
        )
    return java


def java_version(text: str) -> int:
    """The major version in the output of `java -version`; 0 when it holds none."""
    match = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(match[1]) if match else 0


def render_properties(node: ApacheKafka) -> str:
    """`server.properties` of a single node: replication factors 1, loopback only, no auto-creation.

    The quorum is static: after a change of ports the node still finds itself.
    """
    listeners = f"PLAINTEXT://{LOOPBACK}:{node.port},CONTROLLER://{LOOPBACK}:{node.controller_port}"
    options: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{node.controller_port}",
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(node.data),
        "num.network.threads": 2,
        "num.io.threads": 4,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # A lone developer's group must not wait three seconds for members that never come.
        "group.initial.rebalance.delay.ms": 0,
        # After a kill the controller waits this long before the broker may register again.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        # The default of 128 MiB is a quarter of a small heap.
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
        "auto.create.topics.enable": "false",
        **node.options,
    }
    return "".join(f"{name}={value}\n" for name, value in options.items())
