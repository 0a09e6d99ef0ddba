"""Topic configurations: kept as set, changed as asked, refused when they mean nothing."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    RESOURCE_TOPIC,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
)

from tests.contract.broker.clients import WAIT_S, Cluster, error_code, fresh, result, until

pytestmark = pytest.mark.every_broker


def test_a_config_is_described_as_it_was_set(cluster: Cluster) -> None:
    topic = cluster.topic(cleanup_policy="compact,delete", retention_ms=12345)

    found = describe(cluster, topic)

    assert found["cleanup.policy"].value == "compact,delete"
    assert found["retention.ms"].value == "12345"
    for name in ("cleanup.policy", "retention.ms"):
        assert not found[name].is_default
        assert found[name].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value


def test_what_nobody_set_is_described_with_its_default(cluster: Cluster) -> None:
    found = describe(cluster, cluster.topic())

    defaults = {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "retention.bytes": "-1",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "CreateTime",
        "compression.type": "producer",
    }
    assert {name: found[name].value for name in defaults} == defaults
    assert all(found[name].is_default for name in defaults)


def test_one_config_can_be_changed_without_the_others(cluster: Cluster) -> None:
    topic = cluster.topic(retention_ms=1000_000, max_message_bytes=5000)

    change(cluster, topic, "retention.ms", AlterConfigOpType.SET, "2000000")

    until(lambda: describe(cluster, topic)["retention.ms"].value == "2000000")
    assert describe(cluster, topic)["max.message.bytes"].value == "5000"


def test_a_deleted_config_falls_back_to_its_default(cluster: Cluster) -> None:
    topic = cluster.topic(retention_ms=1000_000)

    change(cluster, topic, "retention.ms", AlterConfigOpType.DELETE, "")

    until(lambda: describe(cluster, topic)["retention.ms"].value == "604800000")
    assert describe(cluster, topic)["retention.ms"].is_default


def test_an_item_can_be_added_to_a_list_and_taken_out(cluster: Cluster) -> None:
    topic = cluster.topic(cleanup_policy="delete")

    change(cluster, topic, "cleanup.policy", AlterConfigOpType.APPEND, "compact")
    until(lambda: describe(cluster, topic)["cleanup.policy"].value == "delete,compact")

    change(cluster, topic, "cleanup.policy", AlterConfigOpType.SUBTRACT, "delete")
    until(lambda: describe(cluster, topic)["cleanup.policy"].value == "compact")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_configs_altered_as_a_whole_replace_all_that_were_set(cluster: Cluster) -> None:
    topic = cluster.topic(retention_ms=1000_000, max_message_bytes=5000)
    resource = ConfigResource(RESOURCE_TOPIC, topic, set_config={"retention.ms": "3000000"})

    result(cluster.admin.alter_configs([resource]))

    until(lambda: describe(cluster, topic)["retention.ms"].value == "3000000")
    assert describe(cluster, topic)["max.message.bytes"].is_default


def test_a_changed_limit_holds_from_then_on(cluster: Cluster) -> None:
    topic = cluster.topic(max_message_bytes=2000)
    change(cluster, topic, "max.message.bytes", AlterConfigOpType.SET, "20000")
    until(lambda: describe(cluster, topic)["max.message.bytes"].value == "20000")

    cluster.fill(topic, 1, size=10_000)

    assert [len(value) for value in cluster.values(topic)] == [10_000]


@pytest.mark.parametrize(
    ("name", "value"),
    [("no.such.config", "1"), ("retention.ms", "soon"), ("cleanup.policy", "shred")],
)
def test_a_config_that_means_nothing_is_refused_at_creation(
    cluster: Cluster, name: str, value: str
) -> None:
    topic = fresh("topic")

    with pytest.raises(KafkaException) as refused:
        cluster.create(topic, **{name.replace(".", "_"): value})

    assert error_code(refused.value) == KafkaError.INVALID_CONFIG
    assert topic not in cluster.admin.list_topics(timeout=WAIT_S).topics


@pytest.mark.parametrize(("name", "value"), [("no.such.config", "1"), ("retention.ms", "soon")])
def test_a_change_that_means_nothing_is_refused_and_changes_nothing(
    cluster: Cluster, name: str, value: str
) -> None:
    topic = cluster.topic(retention_ms=1000_000)

    with pytest.raises(KafkaException) as refused:
        change(cluster, topic, name, AlterConfigOpType.SET, value)

    assert error_code(refused.value) == KafkaError.INVALID_CONFIG
    assert describe(cluster, topic)["retention.ms"].value == "1000000"


def test_configs_of_an_unknown_topic_are_an_error(cluster: Cluster) -> None:
    with pytest.raises(KafkaException) as refused:
        describe(cluster, fresh("topic"))

    assert error_code(refused.value) == KafkaError.UNKNOWN_TOPIC_OR_PART


def describe(cluster: Cluster, topic: str) -> dict[str, Any]:
    return result(cluster.admin.describe_configs([ConfigResource(RESOURCE_TOPIC, topic)]))


def change(
    cluster: Cluster, topic: str, name: str, operation: AlterConfigOpType, value: str
) -> None:
    entry = ConfigEntry(name, value, incremental_operation=operation)
    resource = ConfigResource(RESOURCE_TOPIC, topic, incremental_configs=[entry])
    result(cluster.admin.incremental_alter_configs([resource]))
