"""Topics, partitions and records: codes are those Apache Kafka 4.3.1 gave to the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.node import Node
from deploy.local.broker.options import OPTIONS
from deploy.local.broker.protocol.messages.admin import DELETE_TOPICS
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.store import Committed, Store
from deploy.local.broker.topics import Topics
from tests.unit.deploy.broker.admins import NO_ID, SET, Admin, admin_of
from tests.unit.deploy.broker.logs import NOW_MS, batch_of


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    with admin_of(tmp_path) as admin:
        yield admin


def assigned(*replicas: list[int], first: int = 0) -> Message:
    return {
        "num_partitions": -1,
        "replication_factor": -1,
        "assignments": [
            {"partition_index": first + index, "broker_ids": ids}
            for index, ids in enumerate(replicas)
        ],
    }


# --- creating topics ------------------------------------------------------------------------------


def test_a_created_topic_is_there_with_its_partitions_and_options(admin: Admin) -> None:
    configs = [{"name": "retention.ms", "value": "5"}]
    (made,) = admin.create({"name": "t", "num_partitions": 2, "configs": configs})
    assert (made["error_code"], made["num_partitions"], made["replication_factor"]) == (0, 2, 1)
    topic = admin.node.topics.named("t")
    assert topic.id == made["topic_id"] != NO_ID
    assert len(topic.partitions) == 2
    assert topic.config.retention_ms == 5
    options = {config["name"]: config for config in made["configs"]}
    assert set(options) == set(OPTIONS)
    assert (options["retention.ms"]["value"], options["retention.ms"]["config_source"]) == ("5", 1)
    assert options["cleanup.policy"]["config_source"] == 5


def test_a_topic_that_says_no_count_has_the_default_one(admin: Admin) -> None:
    (made,) = admin.create({"name": "t", "num_partitions": -1, "replication_factor": -1})
    assert made["num_partitions"] == 3
    assert len(admin.node.topics.named("t").partitions) == 3


def test_validating_makes_nothing_and_refuses_what_creating_would(admin: Admin) -> None:
    good, bad = admin.create({"name": "t"}, {"name": "no good"}, validate_only=True)
    assert (good["error_code"], bad["error_code"]) == (0, Code.INVALID_TOPIC)
    assert list(admin.node.topics) == []


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ({"name": ""}, Code.INVALID_TOPIC),
        ({"name": "."}, Code.INVALID_TOPIC),
        ({"name": ".."}, Code.INVALID_TOPIC),
        ({"name": "a" * 250}, Code.INVALID_TOPIC),
        ({"name": "x" * 30_000}, Code.INVALID_TOPIC),
        ({"name": "../../etc"}, Code.INVALID_TOPIC),
        ({"name": "there"}, Code.TOPIC_ALREADY_EXISTS),
        ({"name": "a_b"}, Code.INVALID_TOPIC),
        ({"num_partitions": 0}, Code.INVALID_PARTITIONS),
        ({"num_partitions": -2}, Code.INVALID_PARTITIONS),
        ({"num_partitions": 1_000_000}, Code.INVALID_PARTITIONS),
        ({"replication_factor": 0}, Code.INVALID_REPLICATION_FACTOR),
        ({"replication_factor": 2}, Code.INVALID_REPLICATION_FACTOR),
        ({"configs": [{"name": "foo", "value": "1"}]}, Code.INVALID_CONFIG),
        ({"configs": [{"name": "retention.ms", "value": "x"}]}, Code.INVALID_CONFIG),
        ({"configs": [{"name": "retention.ms", "value": None}]}, Code.INVALID_CONFIG),
        (assigned([2]), Code.INVALID_REPLICA_ASSIGNMENT),
        (assigned([]), Code.INVALID_REPLICA_ASSIGNMENT),
        (assigned([1, 1]), Code.INVALID_REPLICA_ASSIGNMENT),
        (assigned([1], first=1), Code.INVALID_REPLICA_ASSIGNMENT),
        (assigned([1]) | {"num_partitions": 1}, Code.INVALID_REQUEST),
        (assigned([1]) | {"replication_factor": 1}, Code.INVALID_REQUEST),
    ],
)
def test_a_topic_that_cannot_be_is_refused_and_hinders_no_other(
    admin: Admin, topic: Message, code: Code
) -> None:
    admin.create({"name": "there"}, {"name": "a.b"})
    refused, made = admin.create({"name": "new"} | topic, {"name": "other"})
    assert refused["error_code"] == code
    assert refused["error_message"]
    assert made["error_code"] == 0
    assert {each.name for each in admin.node.topics} == {"there", "a.b", "other"}


def test_a_manual_assignment_makes_as_many_partitions(admin: Admin) -> None:
    (made,) = admin.create({"name": "t"} | assigned([1], [1]))
    assert (made["error_code"], made["num_partitions"]) == (0, 2)


def test_a_topic_named_twice_is_not_made_and_answered_once(admin: Admin) -> None:
    answers = admin.create({"name": "t"}, {"name": "other"}, {"name": "t"})
    codes = {answer["name"]: answer["error_code"] for answer in answers}
    assert len(answers) == 2
    assert codes == {"t": Code.INVALID_REQUEST, "other": 0}


# --- deleting topics ------------------------------------------------------------------------------


def test_topics_are_deleted_by_name_and_by_id_with_their_offsets(admin: Admin) -> None:
    admin.create({"name": "a"}, {"name": "b"}, {"name": "c"})
    committed = Committed(7)
    admin.node.offsets.commit("g", {("a", 0): committed, ("c", 0): committed})
    topic_id = admin.node.topics.named("b").id
    by_name, by_id = admin.delete(("a", NO_ID), (None, topic_id))
    assert (by_name["error_code"], by_id["error_code"]) == (0, 0)
    assert by_id["name"] == "b"
    assert by_name["topic_id"] != NO_ID
    assert [topic.name for topic in admin.node.topics] == ["c"]
    assert dict(admin.node.offsets.fetch("g")) == {("c", 0): committed}


@pytest.mark.parametrize(
    ("name", "topic_id", "code"),
    [
        (None, NO_ID, Code.INVALID_REQUEST),
        ("t", b"x" * 16, Code.INVALID_REQUEST),
        (None, b"x" * 16, Code.UNKNOWN_TOPIC_ID),
        ("nope", NO_ID, Code.UNKNOWN_TOPIC_OR_PARTITION),
    ],
)
def test_what_is_no_topic_cannot_be_deleted(
    admin: Admin, name: str | None, topic_id: bytes, code: Code
) -> None:
    admin.create({"name": "t"})
    (answer,) = admin.delete((name, topic_id))
    assert answer["error_code"] == code
    assert admin.node.topics.get("t") is not None


def test_older_versions_delete_by_name(admin: Admin) -> None:
    admin.create({"name": "t"}, {"name": "twice"})
    body = {"topic_names": ["t", "nope", "twice", "twice"]}
    answer = admin.ask(DELETE_TOPICS, body, version=1)
    assert [(each["name"], each["error_code"]) for each in answer["responses"]] == [
        ("t", 0),
        ("nope", Code.UNKNOWN_TOPIC_OR_PARTITION),
        ("twice", Code.INVALID_REQUEST),
    ]
    assert [topic.name for topic in admin.node.topics] == ["twice"]


# --- partitions and records -----------------------------------------------------------------------


def test_a_topic_grows_to_the_count_asked_for(admin: Admin) -> None:
    admin.create({"name": "t"})
    assert admin.grow({"name": "t", "count": 3}, validate_only=True) == [0]
    assert len(admin.node.topics.named("t").partitions) == 1
    two_more = [{"broker_ids": [1]}] * 2
    assert admin.grow({"name": "t", "count": 3, "assignments": two_more}) == [0]
    assert len(admin.node.topics.named("t").partitions) == 3


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ({"count": 1}, Code.INVALID_PARTITIONS),
        ({"count": 0}, Code.INVALID_PARTITIONS),
        ({"count": -1}, Code.INVALID_PARTITIONS),
        ({"count": 1_000_000}, Code.INVALID_PARTITIONS),
        ({"name": "nope"}, Code.UNKNOWN_TOPIC_OR_PARTITION),
        ({"assignments": [{"broker_ids": [1]}]}, Code.INVALID_REPLICA_ASSIGNMENT),
        ({"assignments": [{"broker_ids": [1]}, {"broker_ids": [2]}]}, 39),
    ],
)
def test_growth_that_is_none_is_refused(admin: Admin, topic: Message, code: int) -> None:
    admin.create({"name": "t"})
    for validate_only in (True, False):
        grown = admin.grow({"name": "t", "count": 3} | topic, validate_only=validate_only)
        assert grown == [code]
    assert len(admin.node.topics.named("t").partitions) == 1


def test_records_are_deleted_up_to_an_offset_or_the_end(admin: Admin) -> None:
    admin.create({"name": "t"})
    log = admin.node.topics.partition("t", 0)
    for _ in range(5):
        log.append(batch_of(b"k"), NOW_MS)
    assert admin.delete_records("t", 0, 2) == (0, 2)
    assert admin.delete_records("t", 0, 1) == (0, 2)
    assert admin.delete_records("t", 0, 6) == (Code.OFFSET_OUT_OF_RANGE, -1)
    assert admin.delete_records("t", 0, -2) == (Code.OFFSET_OUT_OF_RANGE, -1)
    assert admin.delete_records("t", 0, -1) == (0, 5)
    assert (log.start_offset, log.end_offset) == (5, 5)
    assert admin.delete_records("t", 1, 0) == (Code.UNKNOWN_TOPIC_OR_PARTITION, -1)


def test_records_of_a_topic_that_is_only_compacted_are_not_deleted(admin: Admin) -> None:
    admin.create({"name": "t", "configs": [{"name": "cleanup.policy", "value": "compact"}]})
    assert admin.delete_records("t", 0, -1) == (Code.POLICY_VIOLATION, -1)


def test_all_topics_together_have_a_bound(tmp_path: Path) -> None:
    topics = Topics(Store(tmp_path / "store"), tmp_path / "logs", most_partitions=5)
    topics.create("a", 3, {})
    for attempt in (lambda: topics.create("b", 3, {}), lambda: topics.grow("a", 6)):
        with pytest.raises(RefusedError) as refused:
            attempt()
        assert refused.value.code == Code.POLICY_VIOLATION
    topics.create("b", 2, {})
    topics.close()


def test_topics_and_options_are_there_after_a_restart(admin: Admin) -> None:
    admin.create({"name": "t", "num_partitions": 2}, {"name": "gone"})
    admin.delete(("gone", NO_ID))
    admin.change("t", ("retention.ms", SET, "9"))
    options = admin.node.options
    admin.node.close()
    admin.node = Node(options)
    (topic,) = admin.node.topics
    assert (topic.name, len(topic.partitions)) == ("t", 2)
    assert topic.config.retention_ms == 9
    assert [path.name.split("-")[0] for path in (options.data_dir / "logs").iterdir()] == ["t"] * 2
