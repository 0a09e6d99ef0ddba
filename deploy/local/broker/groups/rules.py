"""Who may do what in which state of a group; the order of the checks is Kafka's."""

from enum import StrEnum
from typing import TYPE_CHECKING

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.members import Join, Sync

if TYPE_CHECKING:
    from deploy.local.broker.groups.group import Group


class State(StrEnum):
    """Kafka's names, as ListGroups and DescribeGroups show them; Dead is a group that is not."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


def check_join(group: "Group", join: Join, max_members: int) -> Code:
    """NONE, GROUP_MAX_SIZE_REACHED, INCONSISTENT_GROUP_PROTOCOL, or why this is no member."""
    roster = group.roster
    is_new = not join.member_id and roster.instance(join.instance_id) is None
    if is_new and len(roster) + len(roster.asked) >= max_members:
        return Code.GROUP_MAX_SIZE_REACHED
    if not _supports(group, join):
        return Code.INCONSISTENT_GROUP_PROTOCOL
    if not join.member_id or join.member_id in roster.asked:
        return Code.NONE
    return roster.check(join.member_id, join.instance_id)


def _supports(group: "Group", join: Join) -> bool:
    if group.state is State.EMPTY:
        return bool(join.protocol_type and join.protocols)
    names = {name for name, _ in join.protocols}
    return join.protocol_type == group.protocol_type and group.roster.supports(names)


def check_sync(group: "Group", sync: Sync) -> Code:
    """NONE where the member gets its assignment, now or later."""
    code = check_member(group, sync.generation, sync.member_id, sync.instance_id)
    if code is not Code.NONE:
        return code
    same_type = sync.protocol_type in {None, group.protocol_type}
    if not same_type or sync.protocol_name not in {None, group.protocol_name}:
        return Code.INCONSISTENT_GROUP_PROTOCOL
    return Code.REBALANCE_IN_PROGRESS if group.state is State.PREPARING else Code.NONE


def check_member(group: "Group", generation: int, member_id: str, instance_id: str | None) -> Code:
    """NONE, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID or ILLEGAL_GENERATION."""
    code = group.roster.check(member_id, instance_id)
    if code is Code.NONE and generation != group.generation:
        return Code.ILLEGAL_GENERATION
    return code


def check_commit(
    group: "Group",
    generation: int,
    member_id: str,
    instance_id: str | None,
    *,
    transactional: bool,
) -> Code:
    """NONE where offsets may be committed: by a member, or by anybody while there is none.

    Before the others have joined too a member may still commit what it had (PreparingRebalance).
    """
    nobody = generation < 0 and not member_id and instance_id is None
    if generation < 0 and group.state is State.EMPTY:
        code = Code.NONE
    elif nobody:
        # Transactions of producers that know no group metadata are fenced by themselves.
        code = Code.NONE if transactional else Code.UNKNOWN_MEMBER_ID
    else:
        code = check_member(group, generation, member_id, instance_id)
        if code is Code.NONE and group.state is State.COMPLETING and not transactional:
            code = Code.REBALANCE_IN_PROGRESS
    return code
