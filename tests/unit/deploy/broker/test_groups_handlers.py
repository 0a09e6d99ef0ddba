"""What requests about groups and offsets are answered, through the protocol tables."""

import asyncio
import struct
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.handlers.groups import HANDLERS
from deploy.local.broker.node import Node, NodeOptions
from deploy.local.broker.protocol.messages import groups as messages
from deploy.local.broker.protocol.wire import Api, Message
from deploy.local.broker.requests import Request
from deploy.local.broker.store import Committed


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(NodeOptions(tmp_path), clock=lambda: 1000.0)
    node.topics.create("t", 2, {})
    yield node
    node.close()


def request(api: Api, version: int, body: dict[str, Any]) -> Request:
    decoded = api.decode_request(version, api.encode_request(version, body))
    return Request(api, version, "me", "127.0.0.1", ("127.0.0.1", 9092), decoded)


def ask(node: Node, api: Api, version: int, **body: Any) -> dict[str, Any]:
    reply = HANDLERS[api.key](node, request(api, version, body))
    assert isinstance(reply, dict)
    return api.decode_response(version, b"".join(api.encode_response(version, reply)))


def join(node: Node, version: int = 7, **body: Any) -> dict[str, Any]:
    api = messages.JOIN_GROUP
    given = {
        "group_id": "g",
        "session_timeout_ms": 10_000,
        "rebalance_timeout_ms": 10_000,
        "protocol_type": "consumer",
        "protocols": [{"name": "range", "metadata": struct.pack(">hih1s", 0, 1, 1, b"t")}],
    }

    async def answered() -> Message | None:
        reply = HANDLERS[api.key](node, request(api, version, given | body))
        assert isinstance(reply, Awaitable)
        return await reply

    message = asyncio.run(answered())
    assert message is not None
    return api.decode_response(version, b"".join(api.encode_response(version, message)))


def commit(node: Node, *partitions: dict[str, Any], topic: str = "t") -> list[int]:
    answer = ask(
        node,
        messages.OFFSET_COMMIT,
        8,
        group_id="g",
        topics=[{"name": topic, "partitions": list(partitions)}],
    )
    return [found["error_code"] for found in answer["topics"][0]["partitions"]]


def fetch(node: Node, *, stable: bool = False) -> list[dict[str, Any]]:
    answer = ask(node, messages.OFFSET_FETCH, 7, group_id="g", topics=None, require_stable=stable)
    return [partition for topic in answer["topics"] for partition in topic["partitions"]]


def at(index: int, offset: int, metadata: str | None = None) -> dict[str, Any]:
    return {
        "partition_index": index,
        "committed_offset": offset,
        "committed_metadata": metadata,
    }


def test_a_commit_is_fetched_exactly(node: Node) -> None:
    assert commit(node, at(0, 5, "a\0ü"), at(1, 6)) == [Code.NONE, Code.NONE]

    found = fetch(node)
    assert [(one["committed_offset"], one["metadata"]) for one in found] == [(5, "a\0ü"), (6, "")]


def test_partitions_that_are_not_there_are_refused_one_by_one(node: Node) -> None:
    assert commit(node, at(0, 5), at(2, 5)) == [Code.NONE, Code.UNKNOWN_TOPIC_OR_PARTITION]
    assert commit(node, at(0, 5), topic="u") == [Code.UNKNOWN_TOPIC_OR_PARTITION]
    assert len(fetch(node)) == 1


def test_metadata_has_kafkas_bound(node: Node) -> None:
    assert commit(node, at(0, 5, "x" * 4096), at(1, 5, "x" * 4097)) == [
        Code.NONE,
        Code.OFFSET_METADATA_TOO_LARGE,
    ]


def test_offsets_of_an_open_transaction_are_unstable_to_who_asks(node: Node) -> None:
    commit(node, at(0, 5))
    node.offsets.hold("g", 1, {("t", 0): Committed(9)})

    assert fetch(node)[0]["committed_offset"] == 5
    assert fetch(node, stable=True)[0]["error_code"] == Code.UNSTABLE_OFFSET_COMMIT


def test_what_was_never_committed_is_minus_one(node: Node) -> None:
    asked = [{"name": "t", "partition_indexes": [1]}]
    answer = ask(node, messages.OFFSET_FETCH, 7, group_id="g", topics=asked)

    (found,) = answer["topics"][0]["partitions"]
    assert (found["committed_offset"], found["error_code"]) == (-1, Code.NONE)


@pytest.mark.parametrize("key_type", [0, 1])
def test_this_node_coordinates_all(node: Node, key_type: int) -> None:
    answer = ask(node, messages.FIND_COORDINATOR, 3, key="g", key_type=key_type)

    assert (answer["node_id"], answer["host"], answer["port"]) == (1, "127.0.0.1", 9092)


def test_an_unknown_kind_of_coordinator_is_refused(node: Node) -> None:
    answer = ask(node, messages.FIND_COORDINATOR, 3, key="g", key_type=7)

    assert answer["error_code"] == Code.INVALID_REQUEST


def test_old_versions_join_at_once_and_new_ones_are_given_an_id_first(node: Node) -> None:
    asked = join(node, 4)
    assert (asked["error_code"], asked["protocol_name"]) == (Code.MEMBER_ID_REQUIRED, "")

    assert join(node, 3)["error_code"] == Code.NONE
    described = ask(node, messages.DESCRIBE_GROUPS, 5, groups=["g", "other"])["groups"]
    assert [group["group_state"] for group in described] == ["CompletingRebalance", "Dead"]
    assert described[0]["members"][0]["client_host"] == "/127.0.0.1"


def test_groups_are_listed_by_state_and_type(node: Node) -> None:
    commit(node, at(0, 5))

    def listed(**filters: list[str]) -> list[str]:
        answer = ask(node, messages.LIST_GROUPS, 5, **filters)
        return [group["group_id"] for group in answer["groups"]]

    assert listed() == listed(states_filter=["empty"]) == listed(types_filter=["Classic"]) == ["g"]
    assert listed(states_filter=["Stable"]) == listed(types_filter=["consumer"]) == []


def test_offsets_of_topics_in_use_are_not_deleted(node: Node) -> None:
    node.topics.create("u", 1, {})
    commit(node, at(0, 5))
    commit(node, at(0, 5), topic="u")
    join(node, 3)

    topics = [{"name": name, "partitions": [{"partition_index": 0}]} for name in ("t", "u", "v")]
    answer = ask(node, messages.OFFSET_DELETE, 0, group_id="g", topics=topics)

    assert [topic["partitions"][0]["error_code"] for topic in answer["topics"]] == [
        Code.GROUP_SUBSCRIBED_TO_TOPIC,
        Code.NONE,
        Code.UNKNOWN_TOPIC_OR_PARTITION,
    ]
    assert set(node.offsets.fetch("g")) == {("t", 0)}


def test_groups_are_deleted_by_name(node: Node) -> None:
    commit(node, at(0, 5))

    answer = ask(node, messages.DELETE_GROUPS, 2, groups_names=["g", "other"])

    assert [one["error_code"] for one in answer["results"]] == [Code.NONE, Code.GROUP_ID_NOT_FOUND]
    assert fetch(node) == []


def test_members_leave_together(node: Node) -> None:
    member = join(node, 3)["member_id"]

    answer = ask(
        node,
        messages.LEAVE_GROUP,
        5,
        group_id="g",
        members=[{"member_id": member}, {"member_id": "stranger"}],
    )

    assert [one["error_code"] for one in answer["members"]] == [Code.NONE, Code.UNKNOWN_MEMBER_ID]
