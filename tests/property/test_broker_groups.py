"""A group under any order of joins, syncs, heartbeats, leaves, lost clients and time."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.members import Joined, JoinWait, Synced, SyncWait
from tests.unit.deploy.broker.groups import Coordinator

INSTANCES = [None, None, "a", "b"]
PROTOCOLS = [{"range": b"x"}, {"range": b"x", "sticky": b"y"}, {"sticky": b"y", "range": b"z"}]


class GroupMachine(RuleBasedStateMachine):
    """Clients behave, die, come back, and do things out of order; the broker may restart."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.node = Coordinator(self.directory, loop=self.loop, rebalance_delay_ms=0)
        self.joins: list[tuple[JoinWait, str | None]] = []
        self.syncs: list[tuple[SyncWait, Joined]] = []
        self.generation = 0
        # What the leader of each generation handed out, by member id.
        self.handed_out: dict[int, dict[str, bytes]] = {}

    def teardown(self) -> None:
        """In the end nobody is left waiting: everybody stops, and time passes."""
        self.node.after(200_000, 2000)
        self.node.after(200_000, 2000)
        assert all(wait.done() for wait in self.node.waits)
        assert self.node.state in {"Empty", "Dead"}
        self.node.store.close()
        self.loop.close()
        shutil.rmtree(self.directory)

    def known(self) -> list[tuple[Joined, str | None]]:
        """Whoever was ever told a member id, latest last."""
        return [
            (wait.result(), instance)
            for wait, instance in self.joins
            if wait.done() and not wait.cancelled() and wait.result().member_id
        ]

    @rule(
        instance=st.sampled_from(INSTANCES),
        protocols=st.sampled_from(PROTOCOLS),
        must_ask=st.booleans(),
    )
    def join(self, instance: str | None, protocols: dict[str, bytes], must_ask: bool) -> None:
        wait = self.node.join(instance=instance, protocols=protocols, must_ask=must_ask)
        self.joins.append((wait, instance))

    @precondition(lambda self: self.known())
    @rule(data=st.data(), protocols=st.sampled_from(PROTOCOLS))
    def join_again(self, data: st.DataObject, protocols: dict[str, bytes]) -> None:
        joined, instance = data.draw(st.sampled_from(self.known()[-6:]))
        wait = self.node.join(joined.member_id, instance=instance, protocols=protocols)
        self.joins.append((wait, instance))

    @precondition(lambda self: self.known())
    @rule()
    def everybody_joins_and_syncs(self) -> None:
        """What live clients do when they hear of a rebalance."""
        latest = {joined.member_id: (joined, instance) for joined, instance in self.known()}
        for joined, instance in latest.values():
            wait = self.node.join(joined.member_id, instance=instance)
            self.joins.append((wait, instance))
        for joined, _ in self.known()[-len(latest) :]:
            self.sync_as(joined)

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        self.sync_as(data.draw(st.sampled_from(self.known()[-6:]))[0])

    def sync_as(self, joined: Joined) -> None:
        share = f"{joined.generation}:{len(self.syncs)}"
        shares = {peer.member_id: f"{share}:{peer.member_id}".encode() for peer in joined.peers}
        before = self.node.state
        self.syncs.append((self.node.sync(joined, shares), joined))
        if before == "CompletingRebalance" and self.node.state == "Stable":
            assert joined.member_id == joined.leader
            self.handed_out[joined.generation] = shares

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        joined, instance = data.draw(st.sampled_from(self.known()[-6:]))
        code = self.node.heartbeat(joined, instance)
        if code is Code.NONE:
            assert self.node.state in {"CompletingRebalance", "Stable"}

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        joined, _ = data.draw(st.sampled_from(self.known()[-6:]))
        self.node.leave(joined)
        assert self.node.heartbeat(joined) is Code.UNKNOWN_MEMBER_ID

    @precondition(lambda self: any(not wait.done() for wait in self.node.waits))
    @rule(data=st.data())
    def client_goes_away(self, data: st.DataObject) -> None:
        waiting = [wait for wait in self.node.waits if not wait.done()]
        data.draw(st.sampled_from(waiting)).cancel()

    @rule(ms=st.sampled_from([100, 1000, 5000, 12_000, 31_000]))
    def time_passes(self, ms: int) -> None:
        self.node.after(ms, min(ms, 1000))

    @precondition(lambda self: self.node.state == "Stable")
    @rule()
    def the_broker_restarts(self) -> None:
        before = self.node.groups.get("g")
        for wait in self.node.waits:
            wait.cancel()
        self.node.restart()
        after = self.node.groups.get("g")
        assert before is not None
        assert after is not None
        assert (after.generation, after.state) == (before.generation, before.state)
        assert {m.id: m.assignment for m in after.roster.all()} == {
            m.id: m.assignment for m in before.roster.all()
        }

    @invariant()
    def the_generation_only_grows(self) -> None:
        group = self.node.groups.get("g")
        if group is not None:
            assert group.generation >= self.generation
            self.generation = group.generation
        else:
            self.generation = 0

    @invariant()
    def members_agree_with_the_state(self) -> None:
        group = self.node.groups.get("g")
        if group is None:
            return
        members = group.roster.all()
        if not members:
            # A rebalance may still wait for a member id that was given out.
            assert group.state == "Empty" or (
                group.state == "PreparingRebalance" and group.roster.asked
            )
        else:
            assert group.state != "Empty"
            assert group.roster.leader in group.roster
        if group.state == "Stable":
            assert not any(member.joining or member.syncing for member in members)
        if group.state == "CompletingRebalance":
            assert not any(member.joining for member in members)
            assert not group.roster[group.roster.leader].syncing
        if group.state == "PreparingRebalance":
            assert not any(member.syncing for member in members)

    @invariant()
    def an_assignment_is_what_the_leader_of_that_generation_handed_out(self) -> None:
        for wait, joined in self.syncs:
            if not wait.done() or wait.cancelled():
                continue
            synced: Synced = wait.result()
            if synced.code is Code.NONE:
                shares = self.handed_out[joined.generation]
                # A static member that was replaced has what its old id was given.
                assert synced.assignment in {b"", *shares.values()}
                if joined.member_id in shares:
                    assert synced.assignment == shares[joined.member_id]

    @invariant()
    def an_instance_id_is_one_member(self) -> None:
        group = self.node.groups.get("g")
        ids = [m.instance_id for m in group.roster.all() if m.instance_id] if group else []
        assert len(ids) == len(set(ids))


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
