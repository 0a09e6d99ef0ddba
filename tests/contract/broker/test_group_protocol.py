"""The group protocol's own answers, as members see them on the wire."""

from typing import Any

import pytest
from aiokafka.protocol.group import (
    HeartbeatRequest_v1,
    JoinGroupRequest_v5,
    LeaveGroupRequest_v1,
    SyncGroupRequest_v3,
)
from confluent_kafka import KafkaError

from tests.contract.broker.clients import Cluster, fresh, until
from tests.contract.broker.wire import RETRIABLE, Wire

pytestmark = pytest.mark.every_broker

SESSION_MS = 120_000
"""No session ends, and no rebalance goes on without a member, while a case is at work."""


def test_a_new_member_is_given_an_id_to_join_with(cluster: Cluster) -> None:
    """KIP-394: members that never come back must not fill the group."""
    group = fresh("group")

    with Wire(cluster.servers) as wire:
        asked = join(wire, group)
        joined = join(wire, group, asked["member_id"])

    assert asked["error_code"] == KafkaError.MEMBER_ID_REQUIRED
    assert joined["error_code"] == 0
    assert joined["member_id"] == joined["leader_id"] == asked["member_id"]
    assert joined["generation_id"] == 1
    assert joined["group_protocol"] == "one"
    assert [each["member_id"] for each in joined["members"]] == [asked["member_id"]]
    assert joined["members"][0]["member_metadata"] == b"metadata"


def test_the_leaders_assignment_reaches_the_member(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        group, joined = new_group(wire)
        member, generation = joined["member_id"], joined["generation_id"]

        synced = wire.call(
            SyncGroupRequest_v3(group, generation, member, None, [(member, b"assignment")])
        )

        assert (synced["error_code"], synced["member_assignment"]) == (0, b"assignment")
        assert heartbeat(wire, group, generation, member) == KafkaError.NO_ERROR


def test_who_is_not_of_the_current_generation_is_told_so(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        group, joined = new_group(wire)
        member, generation = joined["member_id"], joined["generation_id"]
        wire.call(SyncGroupRequest_v3(group, generation, member, None, [(member, b"")]))

        assert heartbeat(wire, group, generation - 1, member) == KafkaError.ILLEGAL_GENERATION
        assert heartbeat(wire, group, generation, "stranger") == KafkaError.UNKNOWN_MEMBER_ID
        late = wire.call(SyncGroupRequest_v3(group, generation - 1, member, None, []))
        assert late["error_code"] == KafkaError.ILLEGAL_GENERATION


def test_members_are_told_of_a_rebalance_by_their_heartbeat(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire, Wire(cluster.servers) as second:
        group, joined = new_group(wire)
        member, generation = joined["member_id"], joined["generation_id"]
        wire.call(SyncGroupRequest_v3(group, generation, member, None, [(member, b"")]))

        newcomer = join(second, group)["member_id"]
        second.start(join_request(group, newcomer))  # answered once the first joined again
        until(
            lambda: heartbeat(wire, group, generation, member) == KafkaError.REBALANCE_IN_PROGRESS
        )
        again = join(wire, group, member)
        other = second.finish(join_request(group, newcomer))

        assert again["generation_id"] == other["generation_id"] == generation + 1
        assert again["leader_id"] == other["leader_id"] == member
        assert {each["member_id"] for each in again["members"]} == {member, newcomer}
        assert other["members"] == []


def test_a_member_that_left_is_unknown(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        group, joined = new_group(wire)
        member = joined["member_id"]

        assert wire.call(LeaveGroupRequest_v1(group, member))["error_code"] == 0

        assert heartbeat(wire, group, 1, member) == KafkaError.UNKNOWN_MEMBER_ID


def test_a_member_without_a_common_protocol_is_refused(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire, Wire(cluster.servers) as second:
        group, joined = new_group(wire)
        member = joined["member_id"]
        wire.call(SyncGroupRequest_v3(group, 1, member, None, [(member, b"")]))

        refused = join(second, group, protocol="another")

    assert refused["error_code"] == KafkaError.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("session_ms", [10, 2**31 - 1])
def test_a_session_time_out_out_of_bounds_is_refused(cluster: Cluster, session_ms: int) -> None:
    with Wire(cluster.servers) as wire:
        refused = join(wire, fresh("group"), session_ms=session_ms)

    assert refused["error_code"] == KafkaError.INVALID_SESSION_TIMEOUT


def test_a_group_has_a_name(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        assert join(wire, "")["error_code"] == KafkaError.INVALID_GROUP_ID


def join_request(
    group: str, member: str = "", *, session_ms: int = SESSION_MS, protocol: str = "one"
) -> JoinGroupRequest_v5:
    protocols = [(protocol, b"metadata")]
    return JoinGroupRequest_v5(group, session_ms, SESSION_MS, member, None, "test", protocols)


def join(wire: Wire, group: str, member: str = "", **options: Any) -> dict[str, Any]:
    """Asked again while a broker that just started loads its groups."""

    def ask() -> dict[str, Any] | None:
        answer = wire.call(join_request(group, member, **options))
        return None if answer["error_code"] in RETRIABLE else answer

    return until(ask)


def new_group(wire: Wire) -> tuple[str, dict[str, Any]]:
    """A group with one member that has joined and not synchronised yet."""
    group = fresh("group")
    return group, join(wire, group, join(wire, group)["member_id"])


def heartbeat(wire: Wire, group: str, generation: int, member: str) -> int:
    return int(wire.call(HeartbeatRequest_v1(group, generation, member))["error_code"])
