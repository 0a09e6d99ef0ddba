"""All consumer groups of the node: opened from the store, found by id, forgotten when unused."""

from collections.abc import Callable, Iterator

import structlog

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.groups.group import Group, GroupOptions
from deploy.local.broker.groups.members import (
    Join,
    Joined,
    JoinWait,
    Sync,
    Synced,
    SyncWait,
    answer,
)
from deploy.local.broker.groups.offsets import Offsets
from deploy.local.broker.groups.records import read_group, write_group
from deploy.local.broker.groups.rules import State
from deploy.local.broker.store import Store

log = structlog.get_logger(__name__)

# Kafka's group.min.session.timeout.ms and group.max.session.timeout.ms.
MIN_SESSION_TIMEOUT_MS = 6_000
MAX_SESSION_TIMEOUT_MS = 30 * 60 * 1000
# Group ids come from clients: without bounds they would be a way to fill the memory.
MAX_GROUPS = 10_000
MAX_MEMBER_BYTES = 1 << 20
MAX_BYTES = 128 << 20
# Kafka looks for groups without members and offsets this often (offsets.retention.check).
UNUSED_TIMEOUT_MS = 10 * 60 * 1000


class Groups:
    """The group coordinator. `clock` counts seconds and never goes back."""

    def __init__(
        self, store: Store, offsets: Offsets, rebalance_delay_ms: int, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._offsets = offsets
        self._options = GroupOptions(rebalance_delay_ms=rebalance_delay_ms)
        self._clock = clock
        self._groups: dict[str, Group] = {}
        # Bytes in all groups: counted at each tick, added to in between.
        self._size = 0
        # Since when a group has had neither members nor offsets.
        self._unused_since_ms: dict[str, int] = {}
        for group_id, text in store.groups().items():
            read_group(text, self._new(group_id))
        for group_id in offsets.groups():
            if group_id not in self._groups:
                self._new(group_id)

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def get(self, group_id: str) -> Group | None:
        return self._groups.get(group_id)

    def join(self, group_id: str, join: Join, wait: JoinWait) -> None:
        """See Group.join; the first member makes the group."""
        code = self._check_join(group_id, join)
        if code is Code.NONE:
            self._size += join.size
            (self._groups.get(group_id) or self._new(group_id)).join(join, wait)
        else:
            answer(wait, Joined(code, join.member_id))

    def _check_join(self, group_id: str, join: Join) -> Code:
        if not group_id:
            code = Code.INVALID_GROUP_ID
        elif not MIN_SESSION_TIMEOUT_MS <= join.session_timeout_ms <= MAX_SESSION_TIMEOUT_MS:
            code = Code.INVALID_SESSION_TIMEOUT
        elif join.size > MAX_MEMBER_BYTES or self._size + join.size > MAX_BYTES:
            code = Code.GROUP_MAX_SIZE_REACHED
        elif group_id in self._groups:
            code = Code.NONE
        elif join.member_id:
            code = Code.UNKNOWN_MEMBER_ID
        elif len(self._groups) >= MAX_GROUPS:
            code = Code.GROUP_MAX_SIZE_REACHED
        elif not (join.protocol_type and join.protocols):
            code = Code.INCONSISTENT_GROUP_PROTOCOL
        else:
            code = Code.NONE
        return code

    def sync(self, group_id: str, sync: Sync, wait: SyncWait) -> None:
        """See Group.sync. Assignments beyond the bounds are UNKNOWN_SERVER_ERROR, as in Kafka."""
        group = self._groups.get(group_id)
        size = sum(map(len, sync.assignments.values()))
        if group is None:
            answer(wait, Synced(_unknown(group_id)))
        elif self._size + size > MAX_BYTES:
            answer(wait, Synced(Code.UNKNOWN_SERVER_ERROR))
        else:
            self._size += size
            group.sync(sync, wait)

    def heartbeat(
        self, group_id: str, generation: int, member_id: str, instance_id: str | None
    ) -> Code:
        """See Group.heartbeat."""
        group = self._groups.get(group_id)
        if group is None:
            return _unknown(group_id)
        return group.heartbeat(generation, member_id, instance_id)

    def leave(self, group_id: str, member_id: str, instance_id: str | None) -> Code:
        """See Group.leave."""
        group = self._groups.get(group_id)
        return _unknown(group_id) if group is None else group.leave(member_id, instance_id)

    def check_commit(
        self,
        group_id: str,
        member_id: str,
        instance_id: str | None,
        generation: int,
        *,
        transactional: bool = False,
    ) -> Code:
        """NONE where offsets may be committed; a group that is only offsets is made by that.

        Otherwise ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or, not for a
        transaction's offsets, REBALANCE_IN_PROGRESS. Counts as a heartbeat.
        """
        group = self._groups.get(group_id)
        if group is not None:
            return group.check_commit(
                member_id, instance_id, generation, transactional=transactional
            )
        if generation >= 0:
            return Code.ILLEGAL_GENERATION
        if len(self._groups) >= MAX_GROUPS:
            return Code.GROUP_MAX_SIZE_REACHED
        self._new(group_id)
        return Code.NONE

    def delete(self, group_id: str) -> None:
        """Forget a group and its offsets.

        Raises RefusedError: GROUP_ID_NOT_FOUND, or NON_EMPTY_GROUP while it has members.
        """
        group = self._groups.get(group_id)
        if group is None:
            raise RefusedError(Code.GROUP_ID_NOT_FOUND, f"there is no group {group_id}")
        if group.state is not State.EMPTY:
            raise RefusedError(Code.NON_EMPTY_GROUP, f"{group_id} has members")
        self._forget(group_id)

    def tick(self) -> None:
        """Expire what is due, and forget groups that have been unused for long."""
        now = self._now_ms()
        for group in self:
            group.tick()
            if (
                group.state is not State.EMPTY
                or group.roster.asked
                or self._offsets.known(group.id)
            ):
                self._unused_since_ms.pop(group.id, None)
            elif now - self._unused_since_ms.setdefault(group.id, now) >= UNUSED_TIMEOUT_MS:
                self._forget(group.id)

    def _new(self, group_id: str) -> Group:
        group = Group(group_id, self._options, self._now_ms, self._save)
        self._groups[group_id] = group
        return group

    def _save(self, group: Group) -> None:
        self._store.put_group(group.id, write_group(group))

    def _forget(self, group_id: str) -> None:
        self._offsets.forget_group(group_id)
        del self._groups[group_id]
        self._unused_since_ms.pop(group_id, None)
        log.info("group_forgotten", group=group_id)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _unknown(group_id: str) -> Code:
    return Code.UNKNOWN_MEMBER_ID if group_id else Code.INVALID_GROUP_ID
