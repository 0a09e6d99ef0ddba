"""Options described and changed: codes are those Apache Kafka 4.3.1 gave to the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.options import OPTIONS
from deploy.local.broker.protocol.messages.admin import ALTER_CONFIGS
from tests.unit.deploy.broker.admins import (
    APPEND,
    BROKER,
    DELETE,
    SET,
    SUBTRACT,
    TOPIC,
    Admin,
    admin_of,
)


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    with admin_of(tmp_path) as admin:
        yield admin


def test_every_option_of_a_topic_is_described_with_where_it_comes_from(admin: Admin) -> None:
    admin.create({"name": "t", "configs": [{"name": "cleanup.policy", "value": "compact"}]})
    options = admin.describe("t", include_synonyms=True)["by_name"]
    assert set(options) == set(OPTIONS)
    policy = options["cleanup.policy"]
    assert (policy["value"], policy["config_source"], policy["config_type"]) == ("compact", 1, 7)
    assert [(each["name"], each["value"], each["source"]) for each in policy["synonyms"]] == [
        ("cleanup.policy", "compact", 1),
        ("log.cleanup.policy", "delete", 5),
    ]
    retention = options["retention.ms"]
    assert (retention["value"], retention["config_source"]) == ("604800000", 5)
    assert not retention["read_only"]
    assert admin.describe("t")["by_name"]["cleanup.policy"]["synonyms"] == []


def test_only_the_options_asked_for_are_described_and_all_when_none_is(admin: Admin) -> None:
    admin.create({"name": "t"})
    assert list(admin.describe("t", keys=["retention.ms", "nope"])["by_name"]) == ["retention.ms"]
    assert len(admin.describe("t", keys=[])["by_name"]) == len(OPTIONS)


def test_the_options_of_the_broker_are_read_only(admin: Admin) -> None:
    options = admin.describe("1", BROKER)["by_name"]
    assert options["num.partitions"]["value"] == "3"
    assert options["auto.create.topics.enable"]["value"] == "false"
    assert options["advertised.listeners"]["value"] == "PLAINTEXT://127.0.0.1:9092"
    assert all(option["read_only"] for option in options.values())
    assert admin.describe("", BROKER)["configs"] == []


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "nope", Code.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "no good", Code.INVALID_TOPIC),
        (BROKER, "2", Code.INVALID_REQUEST),
        (BROKER, "x", Code.INVALID_REQUEST),
        (9, "t", Code.INVALID_REQUEST),
    ],
)
def test_what_there_is_not_cannot_be_described(
    admin: Admin, kind: int, name: str, code: Code
) -> None:
    answer = admin.describe(name, kind)
    assert (answer["error_code"], answer["configs"]) == (code, [])


def test_altering_replaces_everything_that_was_set(admin: Admin) -> None:
    admin.create({"name": "t", "configs": [{"name": "cleanup.policy", "value": "compact"}]})
    assert admin.alter("t", ("retention.ms", "7"), validate_only=True) == 0
    assert admin.node.topics.named("t").overrides == {"cleanup.policy": "compact"}
    assert admin.alter("t", ("retention.ms", "7")) == 0
    assert admin.node.topics.named("t").overrides == {"retention.ms": "7"}
    assert admin.node.topics.partition("t", 0).config.retention_ms == 7


def test_single_options_are_set_and_put_back(admin: Admin) -> None:
    admin.create({"name": "t", "configs": [{"name": "cleanup.policy", "value": "compact"}]})
    change = [("retention.ms", SET, "9"), ("cleanup.policy", DELETE, None)]
    assert admin.change("t", *change, validate_only=True) == 0
    assert admin.node.topics.named("t").overrides == {"cleanup.policy": "compact"}
    assert admin.change("t", *change) == 0
    assert admin.node.topics.named("t").overrides == {"retention.ms": "9"}
    assert admin.node.topics.named("t").config.deletes


def test_a_list_is_appended_to_and_taken_from(admin: Admin) -> None:
    admin.create({"name": "t"})
    topic = admin.node.topics.named("t")
    for operation, value, expected in (
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "compact,delete", ""),
    ):
        assert admin.change("t", ("cleanup.policy", operation, value)) == 0
        assert topic.overrides == {"cleanup.policy": expected}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("retention.ms", APPEND, "5"), Code.INVALID_CONFIG),
        (("no.such.option", SUBTRACT, "5"), Code.INVALID_CONFIG),
        (("no.such.option", SET, "5"), Code.INVALID_CONFIG),
        (("retention.ms", SET, "x"), Code.INVALID_CONFIG),
        (("retention.ms", SET, None), Code.INVALID_REQUEST),
        (("cleanup.policy", APPEND, None), Code.INVALID_REQUEST),
        (("retention.ms", 9, "5"), Code.INVALID_REQUEST),
    ],
)
def test_a_refused_change_changes_nothing_of_its_topic(
    admin: Admin, change: tuple[str, int, str | None], code: Code
) -> None:
    admin.create({"name": "t"})
    for validate_only in (True, False):
        asked = [("segment.ms", SET, "5"), change]
        assert admin.change("t", *asked, validate_only=validate_only) == code
    assert admin.node.topics.named("t").overrides == {}


def test_an_option_named_twice_is_refused(admin: Admin) -> None:
    admin.create({"name": "t"})
    twice = ("retention.ms", SET, "3"), ("retention.ms", DELETE, None)
    assert admin.change("t", *twice) == Code.INVALID_REQUEST
    assert admin.alter("t", ("retention.ms", "7"), ("retention.ms", "8")) == Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "nope", Code.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "no good", Code.INVALID_TOPIC),
        (BROKER, "1", Code.INVALID_REQUEST),
        (9, "t", Code.INVALID_REQUEST),
    ],
)
def test_only_topics_are_altered(admin: Admin, kind: int, name: str, code: Code) -> None:
    admin.create({"name": "t"})
    assert admin.alter(name, ("retention.ms", "7"), kind=kind) == code
    assert admin.change(name, ("retention.ms", SET, "7"), kind=kind) == code


def test_a_resource_named_twice_is_refused_as_often(admin: Admin) -> None:
    admin.create({"name": "t"})
    resource = {"resource_type": TOPIC, "resource_name": "t", "configs": []}
    answer = admin.ask(ALTER_CONFIGS, {"resources": [resource, resource]})
    assert [each["error_code"] for each in answer["responses"]] == [Code.INVALID_REQUEST] * 2
