"""Static members (KIP-345), who may commit, and what a restart of the broker keeps."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.store import Committed
from tests.unit.deploy.broker.groups import (
    REBALANCE_MS,
    SESSION_MS,
    Coordinator,
    code,
    done,
    done_sync,
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Coordinator]:
    loop = asyncio.new_event_loop()
    node = Coordinator(tmp_path, loop=loop)
    yield node
    node.store.close()
    loop.close()


# --- static members -----------------------------------------------------------------------------


def test_a_static_member_that_comes_back_gets_its_assignment_without_a_rebalance(
    node: Coordinator,
) -> None:
    leader, follower = node.stable("a", "b")

    back = done(node.join(instance="b"))

    assert back.member_id != follower.member_id
    assert (back.generation, node.state) == (follower.generation, "Stable")
    assert done_sync(node.sync(back)).assignment == follower.member_id.encode()
    assert node.heartbeat(leader, "a") is Code.NONE


def test_the_replaced_member_is_fenced(node: Coordinator) -> None:
    _, old = node.stable("a", "b")
    done(node.join(instance="b"))

    assert node.heartbeat(old, "b") is Code.FENCED_INSTANCE_ID
    assert code(node.join(old.member_id, instance="b")) is Code.FENCED_INSTANCE_ID
    assert code(node.sync(old, instance_id="b")) is Code.FENCED_INSTANCE_ID
    assert node.groups.leave("g", old.member_id, "b") is Code.FENCED_INSTANCE_ID
    assert (
        node.groups.check_commit("g", old.member_id, "b", old.generation) is Code.FENCED_INSTANCE_ID
    )


def test_a_static_leader_that_comes_back_is_told_its_old_id_leads(node: Coordinator) -> None:
    """It must not assign: a Stable group would not take it. Its next join starts a rebalance."""
    old, _ = node.stable("a", "b")

    back = done(node.join(instance="a"))

    assert (back.leader, back.peers) == (old.member_id, ())
    assert done_sync(node.sync(back)).assignment == old.member_id.encode()
    assert not node.join(back.member_id, instance="a").done()
    assert node.state == "PreparingRebalance"


def test_a_static_member_whose_return_changes_the_protocol_starts_a_rebalance(
    node: Coordinator,
) -> None:
    joined = done(node.join(instance="a", protocols={"range": b"", "sticky": b""}))
    node.sync(joined)

    back = done(node.join(instance="a", protocols={"sticky": b"", "range": b""}))

    assert (back.generation, back.protocol_name) == (joined.generation + 1, "sticky")


def test_a_static_member_replaced_while_the_leader_assigns_starts_a_rebalance(
    node: Coordinator,
) -> None:
    first, _ = node.stable("a", "b")
    waiting = node.join(first.member_id, instance="a")
    done(node.join(instance="b"))
    syncing = node.sync(done(waiting), instance_id="a")
    assert syncing.done()

    node.join(done(waiting).member_id, instance="a")
    assert node.state == "PreparingRebalance"
    second = node.join(instance="b")
    assert done(second).generation == first.generation + 2
    node.join(instance="b")

    assert node.state == "PreparingRebalance"


def test_a_waiting_join_of_the_replaced_member_is_fenced(node: Coordinator) -> None:
    leader, follower = node.stable("a", "b")
    waiting = node.join(leader.member_id, instance="a")

    node.join(instance="a")

    assert code(waiting) is Code.FENCED_INSTANCE_ID
    assert done(node.join(follower.member_id, instance="b")).generation == 3


def test_a_static_member_keeps_its_place_through_a_rebalance_it_missed(node: Coordinator) -> None:
    leader, _ = node.stable("a", "b", session_ms=60_000)
    again = node.join(leader.member_id, instance="a", session_ms=60_000)

    node.after(REBALANCE_MS)

    assert [peer.instance_id for peer in done(again).peers] == ["a", "b"]


def test_a_static_member_expires_as_any_other(node: Coordinator) -> None:
    leader, _ = node.stable("a", "b")
    for _ in range(3):
        node.after(SESSION_MS // 2)
        node.heartbeat(leader, "a")

    assert [m.instance_id for m in node.groups.get("g").roster.all()] == ["a"]  # type: ignore[union-attr]


def test_an_administrator_removes_a_static_member_by_its_instance_id(node: Coordinator) -> None:
    node.stable("a", "b")

    assert node.groups.leave("g", "", "b") is Code.NONE
    assert node.groups.leave("g", "", "b") is Code.UNKNOWN_MEMBER_ID
    assert node.groups.leave("g", "", None) is Code.UNKNOWN_MEMBER_ID
    assert node.state == "PreparingRebalance"


def test_an_instance_id_nobody_has_is_unknown(node: Coordinator) -> None:
    (only,) = node.stable("a")

    assert node.heartbeat(only, "z") is Code.UNKNOWN_MEMBER_ID
    assert code(node.join(only.member_id, instance="z")) is Code.UNKNOWN_MEMBER_ID


# --- who may commit -----------------------------------------------------------------------------


def test_anybody_may_commit_for_a_group_without_members(node: Coordinator) -> None:
    assert node.groups.check_commit("g", "", None, -1) is Code.NONE
    assert node.state == "Empty"
    assert node.groups.check_commit("g", "", None, -1) is Code.NONE


def test_a_generation_of_a_group_that_is_not_there_is_illegal(node: Coordinator) -> None:
    assert node.groups.check_commit("g", "m", None, 1) is Code.ILLEGAL_GENERATION


def test_only_members_of_this_generation_commit(node: Coordinator) -> None:
    (only,) = node.stable(None)
    check = node.groups.check_commit

    assert check("g", only.member_id, None, 1) is Code.NONE
    assert check("g", only.member_id, None, 2) is Code.ILLEGAL_GENERATION
    assert check("g", only.member_id, None, -1) is Code.ILLEGAL_GENERATION
    assert check("g", "stranger", None, 1) is Code.UNKNOWN_MEMBER_ID
    assert check("g", "", None, -1) is Code.UNKNOWN_MEMBER_ID


def test_a_member_commits_what_it_had_before_it_joins_again_but_not_before_it_syncs(
    node: Coordinator,
) -> None:
    (first,) = node.stable(None)
    node.join()
    assert node.groups.check_commit("g", first.member_id, None, 1) is Code.NONE

    again = done(node.join(first.member_id))

    assert node.groups.check_commit("g", again.member_id, None, 2) is Code.REBALANCE_IN_PROGRESS


def test_a_transaction_commits_also_between_join_and_sync_and_without_a_member(
    node: Coordinator,
) -> None:
    joined = done(node.join())

    def check(member_id: str, generation: int) -> Code:
        return node.groups.check_commit("g", member_id, None, generation, transactional=True)

    assert check(joined.member_id, 1) is Code.NONE
    assert check("", -1) is Code.NONE
    assert check(joined.member_id, 0) is Code.ILLEGAL_GENERATION
    assert check("stranger", 1) is Code.UNKNOWN_MEMBER_ID


def test_a_commit_counts_as_a_heartbeat(node: Coordinator) -> None:
    (only,) = node.stable(None)
    for _ in range(3):
        node.after(SESSION_MS - 1000)
        assert node.groups.check_commit("g", only.member_id, None, 1) is Code.NONE


# --- restarts -----------------------------------------------------------------------------------


def test_a_restart_of_the_broker_is_no_rebalance(node: Coordinator) -> None:
    leader, follower = node.stable("a", None)
    node.restart()

    assert node.state == "Stable"
    assert node.heartbeat(leader, "a") is node.heartbeat(follower) is Code.NONE
    assert done_sync(node.sync(follower)).assignment == follower.member_id.encode()
    assert done(node.join(follower.member_id)).leader == leader.member_id
    node.after(SESSION_MS - 100)
    assert node.heartbeat(leader, "a") is Code.NONE
    node.after(100)
    assert node.heartbeat(follower) is Code.UNKNOWN_MEMBER_ID


def test_a_restart_during_a_rebalance_goes_back_to_the_last_stable_generation(
    node: Coordinator,
) -> None:
    (first,) = node.stable(None)
    newcomer = node.join()
    node.restart()

    assert node.heartbeat(first) is Code.NONE
    assert not newcomer.done()


def test_a_static_members_new_id_survives_a_restart(node: Coordinator) -> None:
    _, old = node.stable("a", "b")
    back = done(node.join(instance="b"))
    node.restart()

    assert node.heartbeat(back, "b") is Code.NONE
    assert node.heartbeat(old, "b") is Code.FENCED_INSTANCE_ID


def test_an_empty_group_keeps_its_generation_and_offsets(node: Coordinator) -> None:
    (only,) = node.stable(None)
    node.offsets.commit("g", {("t", 0): Committed(5)})
    node.leave(only)
    node.restart()

    assert node.state == "Empty"
    assert node.groups.check_commit("g", only.member_id, None, 1) is Code.UNKNOWN_MEMBER_ID
    assert done(node.join()).generation == only.generation + 2
    assert node.offsets.fetch("g")["t", 0].offset == 5


def test_bytes_of_members_survive_exactly(node: Coordinator) -> None:
    raw = bytes(range(256))
    joined = done(node.join(protocols={"range": raw}))
    node.sync(joined, {joined.member_id: raw})
    node.restart()

    assert done_sync(node.sync(joined)).assignment == raw
    assert done(node.join(joined.member_id, protocols={"range": raw})).peers[0].metadata == raw
