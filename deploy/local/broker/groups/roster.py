"""Who is in a group: members, static instances, ids given out, and who leads."""

from collections.abc import Collection

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.members import Join, Joined, JoinWait, Member, Peer


class Roster:
    """The members in the order they came; each instance id (KIP-345) belongs to one of them.

    `asked` are the member ids given to clients that must come again with them (KIP-394), each with
    the time until which that is awaited.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._instances: dict[str, str] = {}
        self.asked: dict[str, int] = {}
        self.leader = ""

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member_id: str) -> bool:
        return member_id in self._members

    def __getitem__(self, member_id: str) -> Member:
        return self._members[member_id]

    def all(self) -> list[Member]:
        return list(self._members.values())

    def ids(self) -> Collection[str]:
        return self._members.keys()

    def instance(self, instance_id: str | None) -> Member | None:
        """The static member of that instance id."""
        member_id = None if instance_id is None else self._instances.get(instance_id)
        return None if member_id is None else self._members[member_id]

    def check(self, member_id: str, instance_id: str | None) -> Code:
        """NONE, or why this is no member: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID."""
        if instance_id is not None:
            static = self._instances.get(instance_id)
            if static is not None and static != member_id:
                return Code.FENCED_INSTANCE_ID
            if static is None:
                return Code.UNKNOWN_MEMBER_ID
        return Code.NONE if member_id in self._members else Code.UNKNOWN_MEMBER_ID

    def add(self, member: Member) -> None:
        self.asked.pop(member.id, None)
        self._members[member.id] = member
        if member.instance_id is not None:
            self._instances[member.instance_id] = member.id
        self.leader = self.leader or member.id

    def remove(self, member: Member) -> None:
        """Without it; where it led, the member that came first does."""
        del self._members[member.id]
        if member.instance_id is not None:
            del self._instances[member.instance_id]
        if self.leader == member.id:
            self.leader = next(iter(self._members), "")

    def replace(self, old: Member, new_id: str, join: Join, wait: JoinWait) -> Member:
        """A static member came back with nothing but its instance id: it gets a new member id,
        and who still uses the old one is fenced. Assignment and leadership are kept."""
        old.dismiss(Code.FENCED_INSTANCE_ID)
        led = self.leader == old.id
        del self._members[old.id]
        old.id = new_id
        old.client_id, old.client_host = join.client_id, join.client_host
        old.update(join, wait)
        self.add(old)
        if led:
            self.leader = new_id
        return old

    def elect(self) -> bool:
        """See that the leader is one who joined; False where nobody did."""
        leader = self._members.get(self.leader)
        if leader is not None and not leader.joining:
            leader = next((member for member in self.all() if member.joining), None)
        self.leader = leader.id if leader is not None else self.leader
        return leader is not None

    def all_joined(self) -> bool:
        return not self.asked and all(member.joining for member in self._members.values())

    def supports(self, names: set[str]) -> bool:
        """Whether one of these protocols is known to all members."""
        known = ({name for name, _ in member.protocols} for member in self._members.values())
        return bool(names.intersection(*known))

    def rebalance_timeout_ms(self) -> int:
        """The longest that a member asked for, 0 without members."""
        return max((0, *(member.rebalance_timeout_ms for member in self._members.values())))

    def size(self) -> int:
        """Bytes, about, that clients have put here."""
        members = sum(member.size + len(member.assignment) for member in self._members.values())
        return members + sum(map(len, self.asked))

    def peers(self, protocol: str | None) -> tuple[Peer, ...]:
        return tuple(Peer(m.id, m.instance_id, m.metadata(protocol)) for m in self.all())

    def dismiss(self, member: Member, code: Code) -> None:
        """Remove a member, and answer what it waits for with `code`."""
        self.remove(member)
        member.answer_join(Joined(code))
        member.dismiss(code)
