"""The clients of each case, on the session's broker or on one that the case may kill."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.kafka_settings import KafkaSettings
from tests.contract.broker.clients import Cluster
from tests.fixtures.brokers import BrokerKind, build_broker, default_kind
from tests.fixtures.kafka import KafkaServer, require_broker


@pytest.fixture
def cluster(kafka: KafkaSettings) -> Cluster:
    """Clients of the broker that the session shares: use topics and groups of your own."""
    return Cluster(kafka.bootstrap_servers)


@pytest.fixture(scope="session")
def mortal_server(
    broker_kind: BrokerKind | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaServer]:
    """The server behind `kafka_server`."""
    kind = broker_kind or default_kind()
    require_broker(kind)
    directory: Path = tmp_path_factory.mktemp(f"mortal-{kind}")
    server = KafkaServer(build_broker(kind, directory / "data"), directory / "log")
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def kafka_server(mortal_server: KafkaServer) -> KafkaServer:
    """A started broker that a case may kill; to save time the cases here take turns on one."""
    if not mortal_server.is_started:
        mortal_server.start()
    return mortal_server


@pytest.fixture
def own_cluster(kafka_server: KafkaServer) -> Cluster:
    """Clients of `kafka_server`, which the test may kill and restart."""
    return Cluster(kafka_server.bootstrap_servers)
