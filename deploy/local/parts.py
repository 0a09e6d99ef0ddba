"""What the local stack consists of: broker, ClickHouse, and the workers of every pipeline."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import clickhouse
from deploy.local.brokers import Broker, ExternalBroker
from deploy.local.embedded import EmbeddedBroker
from deploy.local.kafka import ApacheKafka, find_java, find_kafka_home
from deploy.local.ports import free_port, refuse_taken
from deploy.local.process import Service
from deploy.local.state import Ports, StackState
from schemas.errors import ConfigurationError
from schemas.settings import PREFIX, Settings, to_environment


def choose_ports(settings: Settings, last: StackState | None) -> Ports:
    """The ports of a data directory: what the settings say, else those of last time, else free."""
    local = settings.local
    return Ports(
        kafka=local.kafka_port or (last.ports.kafka if last else free_port()),
        kafka_controller=last.ports.kafka_controller if last else free_port(),
        clickhouse_http=local.clickhouse_port
        or (last.ports.clickhouse_http if last else free_port()),
        clickhouse_tcp=last.ports.clickhouse_tcp if last else free_port(),
    )


def choose_broker(settings: Settings, ports: Ports) -> Broker:
    """The cluster whose bootstrap servers were given, else KAFKA_HOME's, else the embedded one.

    Each kind has a directory of its own: neither touches the other's files.
    """
    if "bootstrap_servers" in settings.kafka.model_fields_set:
        return ExternalBroker(settings.kafka)
    if not os.environ.get("KAFKA_HOME"):
        return EmbeddedBroker(settings.data_dir / "broker", ports.kafka)
    return ApacheKafka(
        home=find_kafka_home(),
        java=find_java(),
        directory=settings.data_dir / "kafka",
        port=ports.kafka,
        controller_port=ports.kafka_controller,
        heap_mb=settings.local.kafka_heap_mb,
    )


def broker_service(broker: Broker, settings: Settings) -> Service:
    return Service(
        name="broker",
        command=broker.command(),
        log_file=log_file(settings, "broker"),
        healthy=broker.healthy,
        prepare=broker.prepare,
    )


def uses_own_clickhouse(settings: Settings) -> bool:
    """Whether ClickHouse is ours to run: no address was given."""
    return "url" not in settings.clickhouse.model_fields_set


def clickhouse_service(settings: Settings, ports: Ports) -> Service:
    url = f"http://127.0.0.1:{ports.clickhouse_http}"

    def refuse_taken_ports() -> None:
        refuse_taken(ports.clickhouse_http, "ClickHouse", "THALWEG_LOCAL__CLICKHOUSE_PORT")
        if ports.clickhouse_http == ports.clickhouse_tcp:
            raise ConfigurationError("ClickHouse needs two ports, and both are the same")

    return Service(
        name="clickhouse",
        command=clickhouse.command(
            settings.data_dir / "clickhouse",
            ports.clickhouse_http,
            ports.clickhouse_tcp,
            settings.local.clickhouse_memory_mb,
        ),
        log_file=log_file(settings, "clickhouse"),
        healthy=lambda: clickhouse.healthy(url),
        prepare=refuse_taken_ports,
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """One stage of one pipeline as a child process; healthy once it created its ready file."""

    settings: Settings
    stage: str
    pipeline: str
    ready: Path = field(init=False)

    def __post_init__(self) -> None:
        ready = self.settings.data_dir / "run" / f"{self.name}.ready"
        object.__setattr__(self, "ready", ready)

    @property
    def name(self) -> str:
        return f"{self.stage}-{self.pipeline}"

    def service(self) -> Service:
        return Service(
            name=self.name,
            command=[sys.executable, "-m", "thalweg.main", "worker", self.stage],
            log_file=log_file(self.settings, self.name),
            healthy=self.ready.exists,
            prepare=self._forget_readiness,
            environment=self.environment(),
        )

    def environment(self) -> dict[str, str]:
        """The environment of the supervisor, with the worker's settings in place of its own."""
        others = {
            name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)
        }
        settings = self.settings.model_copy(
            update={
                "pipeline": self.pipeline,
                "worker_id": f"local-{self.name}",
                "ready_file": self.ready,
            }
        )
        return others | to_environment(settings)

    def _forget_readiness(self) -> None:
        self.ready.parent.mkdir(parents=True, exist_ok=True)
        self.ready.unlink(missing_ok=True)


def log_file(settings: Settings, name: str) -> Path:
    return settings.data_dir / "logs" / f"{name}.log"
