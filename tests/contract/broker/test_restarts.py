"""A broker that ends, cleanly or by SIGKILL, and what its clients find afterwards."""

import time

import pytest
from confluent_kafka.admin import RESOURCE_TOPIC, ConfigResource

from tests.contract.broker.clients import WAIT_S, Cluster, fresh, numbers_of, result, until
from tests.contract.broker.members import Feeder, Member
from tests.fixtures.kafka import KafkaServer

pytestmark = pytest.mark.every_broker


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_everything_acknowledged_is_there_after_a_restart(
    own_cluster: Cluster, kafka_server: KafkaServer, ending: str
) -> None:
    topic = own_cluster.topic(4, retention_ms=123_456_789, cleanup_policy="compact")
    gone = own_cluster.topic()
    plain = own_cluster.topic(2)
    own_cluster.fill(plain, 1000, n_partitions=2, compression_type="zstd")
    own_cluster.delete(gone)
    before = [state_of(own_cluster, each) for each in (topic, plain)]

    getattr(kafka_server, ending)()
    kafka_server.start()

    until(lambda: len(own_cluster.admin.list_topics(timeout=WAIT_S).brokers) == 1)
    assert gone not in own_cluster.admin.list_topics(timeout=WAIT_S).topics
    assert [state_of(own_cluster, each) for each in (topic, plain)] == before
    found = numbers_of(own_cluster.read(plain, n_partitions=2))
    assert found == [*range(0, 1000, 2), *range(1, 1000, 2)]


def test_no_record_is_lost_or_doubled_when_the_broker_is_killed_under_load(
    own_cluster: Cluster, kafka_server: KafkaServer
) -> None:
    """Two times, with idempotent producers that send on."""
    topic = own_cluster.topic(4)
    options = {"enable_idempotence": True, "message_timeout_ms": 120_000}

    with Feeder(own_cluster, topic, 4, **options) as feeder:
        for _ in range(2):
            n_before = len(feeder.acknowledged)
            until(lambda n=n_before: len(feeder.acknowledged) > n + 200)
            kafka_server.kill()
            time.sleep(0.3)
            kafka_server.start()

    found = own_cluster.read(topic, n_partitions=4)
    acknowledged = sorted(feeder.acknowledged.values())
    assert acknowledged == list(range(len(acknowledged)))
    assert sorted(numbers_of(found)) == acknowledged
    assert {(m.partition(), m.offset()): int(m.value()) for m in found} == feeder.acknowledged
    for partition in range(4):
        of_partition = numbers_of([m for m in found if m.partition() == partition])
        assert of_partition == sorted(of_partition)


def test_group_members_go_on_when_the_broker_was_killed(
    own_cluster: Cluster, kafka_server: KafkaServer
) -> None:
    topic, group = own_cluster.topic(4), fresh("group")

    with (
        Feeder(own_cluster, topic, 4, enable_idempotence=True) as feeder,
        Member(own_cluster, topic, group) as one,
        Member(own_cluster, topic, group) as other,
    ):
        until(lambda: len(one.owned) == len(other.owned) == 2 and one.seen and other.seen)
        kafka_server.kill()
        kafka_server.start()
        n_before = len(feeder.acknowledged)
        until(lambda: len(feeder.acknowledged) > n_before + 100)
        feeder.stop()
        until(lambda: {*one.seen, *other.seen} >= set(feeder.acknowledged))


def state_of(cluster: Cluster, topic: str) -> tuple[object, ...]:
    """The topic's id, partitions with their bounds, and what its configuration sets."""
    n_partitions = cluster.n_partitions(topic)
    described = result(cluster.admin.describe_configs([ConfigResource(RESOURCE_TOPIC, topic)]))
    configs = {name: each.value for name, each in described.items() if not each.is_default}
    bounds = [cluster.bounds(topic, each) for each in range(n_partitions)]
    return cluster.topic_id(topic), bounds, configs
