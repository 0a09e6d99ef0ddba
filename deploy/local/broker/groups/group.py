"""One consumer group: the classic protocol as Kafka's group coordinator has it.

Empty -> PreparingRebalance (members join) -> CompletingRebalance (the leader assigns) -> Stable,
and back to PreparingRebalance when a member comes, goes, or changes what it can do.
https://cwiki.apache.org/confluence/display/KAFKA/Kafka+Client-side+Assignment+Proposal, and for
static members KIP-345, for member ids KIP-394.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.members import (
    Join,
    Joined,
    JoinWait,
    Member,
    Sync,
    Synced,
    SyncWait,
    answer,
    new_member,
    select_protocol,
)
from deploy.local.broker.groups.roster import Roster
from deploy.local.broker.groups.rules import (
    State,
    check_commit,
    check_join,
    check_member,
    check_sync,
)

log = structlog.get_logger(__name__)

# A client that joins without a member id may have gone away unseen (Kafka's constant).
NEW_MEMBER_TIMEOUT_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """`rebalance_delay_ms`: how long an empty group waits for more members than the first."""

    rebalance_delay_ms: int = 0
    max_members: int = 1000


@dataclass(slots=True)
class _JoinPhase:
    """Until when the members are waited for.

    From empty that is a delay, whoever has joined; while newcomers arrive it is put off, by
    `delay_left_ms` in all.
    """

    deadline_ms: int
    from_empty: bool = False
    delay_left_ms: int = 0
    newcomer: bool = False

    def put_off(self, now_ms: int, delay_ms: int) -> bool:
        delay_ms = min(delay_ms, self.delay_left_ms)
        if not self.newcomer or not delay_ms:
            return False
        self.newcomer = False
        self.delay_left_ms -= delay_ms
        self.deadline_ms = now_ms + delay_ms
        return True


class Group:
    """A group's state machine; `save` is called with it whenever it is Stable or Empty anew.

    Times come from `now_ms`; nothing expires but in `tick`. Joins and syncs are answered through
    the futures they bring, now or later; a future that is cancelled is a client that went away.
    """

    def __init__(
        self,
        group_id: str,
        options: GroupOptions,
        now_ms: Callable[[], int],
        save: Callable[["Group"], None],
    ) -> None:
        self.id = group_id
        self.state = State.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.roster = Roster()
        self._options = options
        self._now_ms = now_ms
        self._save = save
        self._joining = _JoinPhase(0)  # while PreparingRebalance
        # Members of this generation whose sync has not come, and when they are late.
        self._unsynced: set[str] = set()
        self._sync_deadline_ms = 0

    def restore(
        self, generation: int, protocol_type: str | None, protocol_name: str | None
    ) -> None:
        """Be as the store has it, with the roster already filled: Stable, or Empty without one."""
        self.generation = generation
        self.protocol_type, self.protocol_name = protocol_type, protocol_name
        self.state = State.STABLE if len(self.roster) else State.EMPTY
        for member in self.roster.all():
            self._heard(member)

    # --- joining --------------------------------------------------------------------------------

    def join(self, join: Join, wait: JoinWait) -> None:
        """Answer `wait` with a generation to sync, at once or when the others have joined too."""
        code = check_join(self, join, self._options.max_members)
        if code is not Code.NONE:
            answer(wait, Joined(code, join.member_id))
        elif not join.member_id:
            self._join_unknown(join, wait)
        elif join.member_id in self.roster.asked:
            self._add(join.member_id, join, wait)
        else:
            self._rejoin(self.roster[join.member_id], join, wait)

    def _join_unknown(self, join: Join, wait: JoinWait) -> None:
        member_id = f"{join.instance_id or join.client_id}-{uuid.uuid4()}"
        static = self.roster.instance(join.instance_id)
        if static is not None:
            self._replace_static(static, member_id, join, wait)
        elif join.must_ask and join.instance_id is None:
            self.roster.asked[member_id] = self._now_ms() + join.session_timeout_ms
            answer(wait, Joined(Code.MEMBER_ID_REQUIRED, member_id))
        else:
            self._add(member_id, join, wait)

    def _add(self, member_id: str, join: Join, wait: JoinWait) -> None:
        if not len(self.roster):
            self.protocol_type = join.protocol_type
        member = new_member(member_id, join, wait)
        member.deadline_ms = self._now_ms() + NEW_MEMBER_TIMEOUT_MS
        self.roster.add(member)
        self._joining.newcomer = True
        self._rebalance("member_joined", member_id)

    def _rejoin(self, member: Member, join: Join, wait: JoinWait) -> None:
        leads = member.id == self.roster.leader
        told = self.state is State.COMPLETING or (self.state is State.STABLE and not leads)
        if told and member.protocols == join.protocols:
            # It may have missed the answer to its join: it is told again, and may sync.
            answer(wait, self._joined(member, self.roster.leader))
        else:
            # A leader that joins again wants to assign anew, say because partitions were added.
            member.update(join, wait)
            self._rebalance("member_rejoined", member.id)

    def _replace_static(self, static: Member, member_id: str, join: Join, wait: JoinWait) -> None:
        leader, old_id = self.roster.leader, static.id
        member = self.roster.replace(static, member_id, join, wait)
        self._heard(member)
        if old_id in self._unsynced:
            self._unsynced.remove(old_id)
            self._unsynced.add(member_id)
        if self.state is not State.STABLE:
            # Also while the leader assigns: it would assign to the old member id.
            self._rebalance("static_member_replaced", member_id)
        elif select_protocol(self.roster.all()) != self.protocol_name:
            self._rebalance("protocol_changed", member_id)
        else:
            self._save(self)
            # Told the old leader's id even where it leads: the group is Stable and would not take
            # an assignment from it. It syncs like a follower and gets what it had.
            member.answer_join(self._joined(member, leader))

    def _joined(self, member: Member, leader: str) -> Joined:
        return Joined(
            Code.NONE,
            member.id,
            self.generation,
            self.protocol_type,
            self.protocol_name,
            leader,
            self.roster.peers(self.protocol_name) if member.id == leader else (),
        )

    # --- rebalancing ----------------------------------------------------------------------------

    def _rebalance(self, reason: str, member_id: str) -> None:
        """Have all members join again, unless that is going on, which may now be complete."""
        if self.state is State.PREPARING:
            self._complete_join_if_all_did()
            return
        log.info("group_rebalances", group=self.id, reason=reason, member=member_id)
        if self.state is State.COMPLETING:
            self._hand_out({}, Code.REBALANCE_IN_PROGRESS)
        self._unsynced.clear()
        timeout_ms, delay_ms = self.roster.rebalance_timeout_ms(), self._options.rebalance_delay_ms
        if self.state is State.EMPTY:
            self._joining = _JoinPhase(
                self._now_ms() + delay_ms, from_empty=True, delay_left_ms=timeout_ms - delay_ms
            )
        else:
            self._joining = _JoinPhase(self._now_ms() + timeout_ms)
        self.state = State.PREPARING
        if self._joining.from_empty and not delay_ms:
            self._complete_join()
        else:
            self._complete_join_if_all_did()

    def _complete_join_if_all_did(self) -> None:
        preparing = self.state is State.PREPARING and not self._joining.from_empty
        if preparing and self.roster.all_joined():
            self._complete_join()

    def _complete_join(self) -> None:
        """Begin the next generation with those who joined."""
        for member in self.roster.all():
            # A static member may be away for its session timeout.
            if not member.joining and member.instance_id is None:
                self.roster.dismiss(member, Code.UNKNOWN_MEMBER_ID)
        if len(self.roster) and not self.roster.elect():
            # Nobody joined: their sessions run out, or one of them comes.
            self._joining = _JoinPhase(self._now_ms() + self.roster.rebalance_timeout_ms())
            return
        self.generation += 1
        if not len(self.roster):
            self.state, self.protocol_name = State.EMPTY, None
            self._save(self)
            return
        self.state = State.COMPLETING
        self.protocol_name = select_protocol(self.roster.all())
        self._unsynced = set(self.roster.ids())
        self._sync_deadline_ms = self._now_ms() + self.roster.rebalance_timeout_ms()
        for member in self.roster.all():
            member.is_new = False
            self._heard(member)
            member.answer_join(self._joined(member, self.roster.leader))

    # --- assigning ------------------------------------------------------------------------------

    def sync(self, sync: Sync, wait: SyncWait) -> None:
        """Answer `wait` with the member's assignment, at once or when the leader has sent it."""
        code = check_sync(self, sync)
        if code is not Code.NONE:
            answer(wait, Synced(code))
            return
        member = self.roster[sync.member_id]
        self._unsynced.discard(member.id)
        member.wait_for_sync(wait)
        if self.state is State.STABLE:
            self._heard(member)
            member.answer_sync(self._synced(member))
        elif member.id == self.roster.leader:
            self.state = State.STABLE
            self._hand_out(sync.assignments, Code.NONE)

    def _hand_out(self, assignments: Mapping[str, bytes], code: Code) -> None:
        """Give each member its share, b"" where it has none, and answer those that wait for it."""
        for member in self.roster.all():
            member.assignment = assignments.get(member.id, b"")
        if code is Code.NONE:
            # Before anybody is told: what a member was told outlives the broker.
            self._save(self)
        for member in self.roster.all():
            if member.syncing:
                self._heard(member)
                member.answer_sync(self._synced(member) if code is Code.NONE else Synced(code))

    def _synced(self, member: Member) -> Synced:
        return Synced(Code.NONE, self.protocol_type, self.protocol_name, member.assignment)

    # --- staying and leaving --------------------------------------------------------------------

    def heartbeat(self, generation: int, member_id: str, instance_id: str | None) -> Code:
        """NONE, or what the member is to do: REBALANCE_IN_PROGRESS is to join again."""
        code = check_member(self, generation, member_id, instance_id)
        if code is not Code.NONE:
            return code
        self._heard(self.roster[member_id])
        return Code.REBALANCE_IN_PROGRESS if self.state is State.PREPARING else Code.NONE

    def leave(self, member_id: str, instance_id: str | None) -> Code:
        """Remove a member, a static one also by its instance id alone."""
        if member_id in self.roster.asked:
            del self.roster.asked[member_id]
            self._complete_join_if_all_did()
            return Code.NONE
        static = self.roster.instance(instance_id)
        if not member_id and static is not None:
            member_id = static.id
        code = self.roster.check(member_id, instance_id)
        if code is Code.NONE:
            self._remove(self.roster[member_id], "member_left")
        return code

    def check_commit(
        self, member_id: str, instance_id: str | None, generation: int, *, transactional: bool
    ) -> Code:
        """Whether offsets may be committed; counts as a heartbeat."""
        code = check_commit(self, generation, member_id, instance_id, transactional=transactional)
        if code is Code.NONE and not transactional and member_id in self.roster:
            self._heard(self.roster[member_id])
        return code

    def _heard(self, member: Member) -> None:
        member.deadline_ms = self._now_ms() + member.session_timeout_ms

    def _remove(self, member: Member, reason: str) -> None:
        self.roster.dismiss(member, Code.UNKNOWN_MEMBER_ID)
        self._unsynced.discard(member.id)
        self._rebalance(reason, member.id)

    # --- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what is due: sessions, member ids that nobody came back with, joins and syncs."""
        now = self._now_ms()
        for member in self.roster.all():
            self._expire_session(member, now)
        for member_id, deadline_ms in list(self.roster.asked.items()):
            if now >= deadline_ms:
                self.leave(member_id, None)
        if self.state is State.PREPARING and now >= self._joining.deadline_ms:
            if not self._joining.put_off(now, self._options.rebalance_delay_ms):
                self._complete_join()
        elif self._unsynced and now >= self._sync_deadline_ms:
            self._remove_unsynced()

    def _expire_session(self, member: Member, now: int) -> None:
        if member.id not in self.roster:
            return
        if not member.is_new and (member.joining or member.syncing):
            # To wait is as good as heartbeats; it may go away at any time from now.
            self._heard(member)
        elif not member.joining:
            # A new member whose client went away has its session timeout left, not minutes.
            member.deadline_ms = min(member.deadline_ms, now + member.session_timeout_ms)
        if now >= member.deadline_ms:
            self._remove(member, "session_expired")

    def _remove_unsynced(self) -> None:
        """Remove who joined this generation and never asked what it was assigned."""
        late = [self.roster[member_id] for member_id in self._unsynced]
        for member in late:
            self.roster.dismiss(member, Code.UNKNOWN_MEMBER_ID)
        self._rebalance("sync_expired", late[0].id)
