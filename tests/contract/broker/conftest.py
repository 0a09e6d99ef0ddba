"""The clients of each case, on the session's broker or on one that the case may kill."""

import pytest

from schemas.kafka_settings import KafkaSettings
from tests.contract.broker.clients import Cluster
from tests.fixtures.kafka import KafkaServer


@pytest.fixture
def cluster(kafka: KafkaSettings) -> Cluster:
    """Clients of the broker that the session shares: use topics and groups of your own."""
    return Cluster(kafka.bootstrap_servers)


@pytest.fixture
def own_cluster(kafka_server: KafkaServer) -> Cluster:
    """Clients of `kafka_server`, which the test may kill and restart."""
    return Cluster(kafka_server.bootstrap_servers)
