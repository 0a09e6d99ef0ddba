"""The classic group protocol: joining, syncing, staying and leaving."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.groups import coordinator as bounds
from deploy.local.broker.groups.members import Joined
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
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def node(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> Iterator[Coordinator]:
    node = Coordinator(tmp_path, loop=loop)
    yield node
    node.store.close()


# --- joining ------------------------------------------------------------------------------------


def test_the_first_member_leads_and_is_told_who_is_there(node: Coordinator) -> None:
    joined = done(node.join(protocols={"range": b"mine"}))

    assert (joined.generation, joined.leader) == (1, joined.member_id)
    assert [(peer.member_id, peer.metadata) for peer in joined.peers] == [
        (joined.member_id, b"mine")
    ]
    assert joined.member_id.startswith("client-")
    assert node.state == "CompletingRebalance"


def test_a_new_member_is_asked_to_come_again_with_the_id_it_is_given(node: Coordinator) -> None:
    asked = node.join(must_ask=True)
    assert code(asked) is Code.MEMBER_ID_REQUIRED
    assert node.state == "Empty"

    joined = done(node.join(asked.result().member_id, must_ask=True))

    assert joined.member_id == asked.result().member_id


def test_a_member_id_that_was_never_given_out_is_unknown(node: Coordinator) -> None:
    assert code(node.join("made-up")) is Code.UNKNOWN_MEMBER_ID
    node.stable(None)
    assert code(node.join("made-up")) is Code.UNKNOWN_MEMBER_ID


def test_a_static_member_is_not_asked_to_come_again(node: Coordinator) -> None:
    assert done(node.join(instance="a", must_ask=True)).member_id.startswith("a-")


def test_a_join_waits_for_all_members(node: Coordinator) -> None:
    (first,) = node.stable(None)

    second = node.join()
    assert not second.done()
    assert node.heartbeat(first) is Code.REBALANCE_IN_PROGRESS
    again = node.join(first.member_id)

    assert done(again).generation == done(second).generation == 2
    assert done(second).leader == first.member_id
    assert done(second).peers == ()
    assert len(done(again).peers) == 2


def test_who_does_not_join_again_within_the_rebalance_timeout_is_out(node: Coordinator) -> None:
    (first,) = node.stable(None, session_ms=60_000)
    second = node.join()

    node.after(REBALANCE_MS - 100)
    assert not second.done()
    node.after(100)

    assert done(second).leader == done(second).member_id
    assert node.heartbeat(first) is Code.UNKNOWN_MEMBER_ID


def test_a_rebalance_waits_for_an_id_that_was_given_out(node: Coordinator) -> None:
    (first,) = node.stable(None)
    asked = node.join(must_ask=True).result()
    again = node.join(first.member_id)
    assert not again.done()

    other = node.join(asked.member_id)

    assert done(again).generation == done(other).generation == 2


def test_an_id_nobody_comes_back_with_holds_a_rebalance_for_its_session_only(
    node: Coordinator,
) -> None:
    (first,) = node.stable(None)
    node.join(must_ask=True)
    again = node.join(first.member_id)

    node.after(SESSION_MS)

    assert done(again).generation == 2


def test_the_protocol_most_prefer_among_those_all_know_is_chosen(node: Coordinator) -> None:
    (first,) = node.stable(None)
    waits = [
        node.join(protocols={"sticky": b"", "range": b""}),
        node.join(protocols={"lonely": b"", "sticky": b"", "range": b""}),
        node.join(first.member_id, protocols={"range": b"", "sticky": b""}),
    ]

    assert {done(wait).protocol_name for wait in waits} == {"sticky"}


@pytest.mark.parametrize(
    "given", [{"protocols": {"other": b""}}, {"protocol_type": "connect"}, {"protocol_type": ""}]
)
def test_who_has_nothing_in_common_with_the_group_is_refused(
    node: Coordinator, given: dict[str, object]
) -> None:
    (first,) = node.stable(None)

    assert code(node.join(**given)) is Code.INCONSISTENT_GROUP_PROTOCOL  # type: ignore[arg-type]
    assert node.heartbeat(first) is Code.NONE


@pytest.mark.parametrize(
    ("session_ms", "expected"),
    [
        (5_999, Code.INVALID_SESSION_TIMEOUT),
        (6_000, Code.NONE),
        (1_800_000, Code.NONE),
        (1_800_001, Code.INVALID_SESSION_TIMEOUT),
    ],
)
def test_session_timeouts_have_kafkas_bounds(
    node: Coordinator, session_ms: int, expected: Code
) -> None:
    assert code(node.join(session_ms=session_ms)) is expected


def test_a_group_needs_a_name(node: Coordinator) -> None:
    assert code(node.join(group="")) is Code.INVALID_GROUP_ID
    assert node.groups.heartbeat("", 1, "m", None) is Code.INVALID_GROUP_ID


def test_a_follower_that_joins_again_unchanged_is_told_the_generation(node: Coordinator) -> None:
    _, follower = node.stable(None, None)

    again = done(node.join(follower.member_id))

    assert again.generation == follower.generation
    assert node.state == "Stable"
    assert done_sync(node.sync(again)).assignment == follower.member_id.encode()


def test_a_leader_that_joins_again_starts_a_rebalance(node: Coordinator) -> None:
    leader, follower = node.stable(None, None)

    again = node.join(leader.member_id)

    assert not again.done()
    assert node.heartbeat(follower) is Code.REBALANCE_IN_PROGRESS


def test_a_follower_that_changed_starts_a_rebalance(node: Coordinator) -> None:
    leader, follower = node.stable(None, None)

    again = node.join(follower.member_id, protocols={"range": b"other topics"})

    assert not again.done()
    assert node.heartbeat(leader) is Code.REBALANCE_IN_PROGRESS


def test_a_join_that_is_sent_twice_is_answered_once_more(node: Coordinator) -> None:
    """The client had a timeout: the first wait must not be left for ever."""
    first, second = node.stable(None, None)
    lost = node.join(first.member_id)
    again = node.join(first.member_id)

    assert code(lost) is Code.REBALANCE_IN_PROGRESS
    assert not again.done()
    node.join(second.member_id)
    assert done(again).generation == first.generation + 1


def test_a_leader_that_missed_the_answer_to_its_join_gets_it_again(node: Coordinator) -> None:
    joined = done(node.join())

    assert done(node.join(joined.member_id)) == joined


def test_an_empty_group_waits_for_more_members_while_they_come(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    node = Coordinator(tmp_path, loop=loop, rebalance_delay_ms=1000)
    first = node.join()
    node.after(900)
    second = node.join()
    node.after(900)
    assert not first.done()

    node.after(200)

    assert done(first).generation == done(second).generation == 1
    assert len(done(first).peers) == 2


def test_newcomers_put_off_the_first_rebalance_no_longer_than_its_timeout(
    tmp_path: Path, loop: asyncio.AbstractEventLoop
) -> None:
    node = Coordinator(tmp_path, loop=loop, rebalance_delay_ms=1000)
    first = node.join(rebalance_ms=3000)
    for _ in range(5):
        node.after(600)
        node.join(rebalance_ms=3000)

    assert done(first).generation == 1


def test_a_group_has_a_bounded_number_of_members(
    node: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(1000):
        assert code(node.join(must_ask=True)) is Code.MEMBER_ID_REQUIRED

    assert code(node.join(must_ask=True)) is Code.GROUP_MAX_SIZE_REACHED
    assert code(node.join(instance="a")) is Code.GROUP_MAX_SIZE_REACHED


def test_metadata_and_groups_are_bounded(
    node: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = {"range": bytes(bounds.MAX_MEMBER_BYTES)}
    assert code(node.join(protocols=large)) is Code.GROUP_MAX_SIZE_REACHED

    monkeypatch.setattr(bounds, "MAX_GROUPS", 2)
    assert code(node.join(group="a")) is code(node.join(group="b")) is Code.NONE
    assert code(node.join(group="c")) is Code.GROUP_MAX_SIZE_REACHED
    assert node.groups.check_commit("d", "", None, -1) is Code.GROUP_MAX_SIZE_REACHED


# --- syncing ------------------------------------------------------------------------------------


def test_the_leaders_sync_hands_out_the_assignments(node: Coordinator) -> None:
    (first,) = node.stable(None)
    other = node.join()
    leader = done(node.join(first.member_id))
    follower = done(other)

    early = node.sync(follower)
    assert not early.done()
    late = node.sync(leader, {follower.member_id: b"all"})

    assert done_sync(early).assignment == b"all"
    assert done_sync(late).assignment == b""
    assert done_sync(early).protocol_name == "range"
    assert node.state == "Stable"


def test_a_sync_is_checked_before_it_waits(node: Coordinator) -> None:
    joined = done(node.join())
    stale = Joined(Code.NONE, joined.member_id, joined.generation - 1)
    stranger = Joined(Code.NONE, "stranger", joined.generation)

    assert code(node.sync(stale)) is Code.ILLEGAL_GENERATION
    assert code(node.sync(stranger)) is Code.UNKNOWN_MEMBER_ID
    assert code(node.sync(joined, protocol_type="connect")) is Code.INCONSISTENT_GROUP_PROTOCOL
    assert code(node.sync(joined, protocol_name="sticky")) is Code.INCONSISTENT_GROUP_PROTOCOL
    assert node.state == "CompletingRebalance"


def test_a_waiting_sync_is_told_of_a_new_rebalance(node: Coordinator) -> None:
    (first,) = node.stable(None)
    other = node.join()
    leader = done(node.join(first.member_id))
    waiting = node.sync(done(other))

    node.join()

    assert code(waiting) is Code.REBALANCE_IN_PROGRESS
    assert code(node.sync(leader)) is Code.REBALANCE_IN_PROGRESS


def test_a_leader_that_never_syncs_is_removed(node: Coordinator) -> None:
    (first,) = node.stable(None, session_ms=600_000)
    other = node.join(session_ms=600_000)
    leader = done(node.join(first.member_id, session_ms=600_000))
    waiting = node.sync(done(other))

    node.after(REBALANCE_MS)

    assert code(waiting) is Code.REBALANCE_IN_PROGRESS
    assert node.heartbeat(leader) is Code.UNKNOWN_MEMBER_ID
    assert done(node.join(done(other).member_id)).leader == done(other).member_id


def test_a_follower_that_never_syncs_is_removed_from_a_stable_group(node: Coordinator) -> None:
    (first,) = node.stable(None, session_ms=600_000)
    other = node.join(session_ms=600_000)
    leader = done(node.join(first.member_id, session_ms=600_000))
    node.sync(leader)

    node.after(REBALANCE_MS)

    assert node.heartbeat(leader) is Code.REBALANCE_IN_PROGRESS
    assert node.heartbeat(done(other)) is Code.UNKNOWN_MEMBER_ID


# --- staying and leaving ------------------------------------------------------------------------


def test_heartbeats_keep_a_member_and_silence_removes_it(node: Coordinator) -> None:
    (first, second) = node.stable(None, None)
    for _ in range(3):
        node.after(SESSION_MS - 1000)
        assert node.heartbeat(first) is Code.NONE or node.state == "PreparingRebalance"

    assert node.heartbeat(second) is Code.UNKNOWN_MEMBER_ID
    assert node.heartbeat(first) is Code.REBALANCE_IN_PROGRESS


def test_heartbeats_are_welcome_before_the_sync(node: Coordinator) -> None:
    """KIP-62 clients send them from another thread as soon as they joined."""
    assert node.heartbeat(done(node.join())) is Code.NONE


def test_a_heartbeat_of_another_generation_is_refused(node: Coordinator) -> None:
    (first,) = node.stable(None)

    assert node.groups.heartbeat("g", 7, first.member_id, None) is Code.ILLEGAL_GENERATION
    assert node.groups.heartbeat("other", 1, "m", None) is Code.UNKNOWN_MEMBER_ID


def test_a_waiting_member_does_not_expire(node: Coordinator) -> None:
    first, second = node.stable(None, None, rebalance_ms=600_000)
    waiting = node.join(first.member_id, rebalance_ms=600_000)
    for _ in range(10):
        node.after(SESSION_MS // 2)
        node.heartbeat(second)

    node.join(second.member_id, rebalance_ms=600_000)

    assert done(waiting).member_id == first.member_id


def test_a_client_that_goes_away_while_it_waits_expires(node: Coordinator) -> None:
    first, second = node.stable(None, None, rebalance_ms=600_000)
    waiting = node.join(first.member_id, rebalance_ms=600_000)
    node.after(SESSION_MS // 2)
    node.heartbeat(second)
    waiting.cancel()
    node.after(SESSION_MS // 2)
    node.heartbeat(second)
    node.after(SESSION_MS // 2)

    assert node.heartbeat(first) is Code.UNKNOWN_MEMBER_ID
    assert done(node.join(second.member_id)).leader == second.member_id


def test_a_new_client_that_goes_away_while_it_waits_expires(node: Coordinator) -> None:
    (first,) = node.stable(None, rebalance_ms=600_000, session_ms=600_000)
    node.join().cancel()
    again = node.join(first.member_id, rebalance_ms=600_000)
    assert not again.done()

    node.after(SESSION_MS + 200)

    assert len(done(again).peers) == 1


def test_a_client_that_goes_away_during_its_sync_leaves_a_group_that_goes_on(
    node: Coordinator,
) -> None:
    (first,) = node.stable(None)
    other = node.join()
    leader = done(node.join(first.member_id))
    node.sync(done(other)).cancel()

    assert done_sync(node.sync(leader, {leader.member_id: b"all"})).assignment == b"all"
    for _ in range(4):
        node.after(SESSION_MS // 2)
        node.heartbeat(leader)
    assert node.heartbeat(done(other)) is Code.UNKNOWN_MEMBER_ID


def test_the_others_take_over_at_once_when_a_member_leaves(node: Coordinator) -> None:
    leader, follower = node.stable(None, None)

    assert node.leave(leader) is Code.NONE
    assert node.heartbeat(follower) is Code.REBALANCE_IN_PROGRESS
    assert done(node.join(follower.member_id)).leader == follower.member_id
    assert node.leave(leader) is Code.UNKNOWN_MEMBER_ID


def test_a_group_whose_last_member_left_is_empty_with_the_next_generation(
    node: Coordinator,
) -> None:
    (only,) = node.stable(None)
    node.leave(only)

    assert node.state == "Empty"
    assert done(node.join()).generation == only.generation + 2


def test_an_id_that_was_given_out_can_leave(node: Coordinator) -> None:
    (first,) = node.stable(None)
    asked = node.join(must_ask=True).result()
    again = node.join(first.member_id)

    assert node.leave(asked) is Code.NONE
    assert done(again).generation == 2


# --- groups that go -----------------------------------------------------------------------------


def test_only_an_empty_group_can_be_deleted(node: Coordinator) -> None:
    (only,) = node.stable(None)
    node.offsets.commit("g", {("t", 0): Committed(5)})

    with pytest.raises(RefusedError, match="NON_EMPTY_GROUP"):
        node.groups.delete("g")
    with pytest.raises(RefusedError, match="GROUP_ID_NOT_FOUND"):
        node.groups.delete("other")
    node.leave(only)
    node.groups.delete("g")

    node.restart()
    assert node.groups.get("g") is None
    assert node.offsets.fetch("g") == {}


def test_a_group_without_members_and_offsets_is_forgotten_in_time(node: Coordinator) -> None:
    (only,) = node.stable(None)
    node.leave(only)

    node.after(bounds.UNUSED_TIMEOUT_MS - 5000, 5000)
    assert node.state == "Empty"
    node.after(10_000, 5000)

    assert node.state == "Dead"
    node.restart()
    assert node.state == "Dead"


def test_a_group_with_offsets_stays(node: Coordinator) -> None:
    node.groups.check_commit("g", "", None, -1)
    node.offsets.commit("g", {("t", 0): Committed(5)})

    node.after(2 * bounds.UNUSED_TIMEOUT_MS, 5000)

    assert node.state == "Empty"
