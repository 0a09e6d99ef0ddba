"""Members of a group, what they ask for, and what they are answered."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from deploy.local.broker.errors import Code

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Join:
    """A JoinGroup request; `protocols` are (name, metadata) in the member's order of preference.

    An empty `member_id` is a new member; `must_ask` has it come again with the id it is given
    (KIP-394).
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    must_ask: bool = False

    @property
    def size(self) -> int:
        """Bytes, about, that the member takes."""
        protocols = sum(len(name) + len(metadata) for name, metadata in self.protocols)
        return protocols + len(self.client_id) + len(self.instance_id or "")


@dataclass(frozen=True, slots=True)
class Sync:
    """A SyncGroup request; the leader's has the `assignments` by member id.

    `protocol_type` and `protocol_name` are what the member takes them to be, None when not told.
    """

    generation: int
    member_id: str
    instance_id: str | None = None
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignments: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """A member as the leader is told of it; `metadata` is that of the protocol that was chosen."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to a join; `peers` only for the leader, who assigns."""

    code: Code
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader: str = ""
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """The answer to a sync."""

    code: Code
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


JoinWait = asyncio.Future[Joined]
SyncWait = asyncio.Future[Synced]


@dataclass(slots=True)
class Member:
    """A member. Where its client goes away, the wait is cancelled and the member waits no more."""

    id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes = b""
    # When it is removed unless it is heard of before.
    deadline_ms: int = 0
    # Not yet told its member id, so it cannot send heartbeats.
    is_new: bool = False
    size: int = 0
    join_wait: JoinWait | None = field(default=None, repr=False)
    sync_wait: SyncWait | None = field(default=None, repr=False)

    @property
    def joining(self) -> bool:
        return self.join_wait is not None and not self.join_wait.done()

    @property
    def syncing(self) -> bool:
        return self.sync_wait is not None and not self.sync_wait.done()

    def metadata(self, protocol: str | None) -> bytes:
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def update(self, join: Join, wait: JoinWait) -> None:
        """It joins again; an earlier join that still waits is told to try again."""
        self.answer_join(Joined(Code.REBALANCE_IN_PROGRESS, self.id))
        self.protocols, self.size = join.protocols, join.size
        self.session_timeout_ms = join.session_timeout_ms
        self.rebalance_timeout_ms = join.rebalance_timeout_ms
        self.join_wait = wait

    def wait_for_sync(self, wait: SyncWait) -> None:
        self.answer_sync(Synced(Code.REBALANCE_IN_PROGRESS))
        self.sync_wait = wait

    def answer_join(self, joined: Joined) -> None:
        answer(self.join_wait, joined)
        self.join_wait = None

    def answer_sync(self, synced: Synced) -> None:
        answer(self.sync_wait, synced)
        self.sync_wait = None

    def dismiss(self, code: Code) -> None:
        """Whatever it waits for is answered with an error."""
        self.answer_join(Joined(code, self.id if code is Code.FENCED_INSTANCE_ID else ""))
        self.answer_sync(Synced(code))


def new_member(member_id: str, join: Join, wait: JoinWait) -> Member:
    """The member that a client becomes by joining."""
    return Member(
        member_id,
        join.instance_id,
        join.client_id,
        join.client_host,
        join.session_timeout_ms,
        join.rebalance_timeout_ms,
        join.protocols,
        is_new=True,
        size=join.size,
        join_wait=wait,
    )


def answer(wait: asyncio.Future[_T] | None, result: _T) -> None:
    """Answer one who may have gone away."""
    if wait is not None and not wait.done():
        wait.set_result(result)


def select_protocol(members: Iterable[Member]) -> str:
    """The protocol most members prefer among those that all of them know.

    Ties go to the one that the first member likes better. There is always a common one: who
    brings none is not let in.
    """
    everyone = list(members)
    common = set.intersection(*({name for name, _ in member.protocols} for member in everyone))
    votes = dict.fromkeys((name for name, _ in everyone[0].protocols if name in common), 0)
    for member in everyone:
        votes[next(name for name, _ in member.protocols if name in common)] += 1
    return max(votes, key=votes.__getitem__)
