"""Groups with a clock that tests move, and members that are quick to write."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.coordinator import Groups
from deploy.local.broker.groups.members import Join, Joined, JoinWait, Sync, Synced, SyncWait
from deploy.local.broker.groups.offsets import Offsets
from deploy.local.broker.store import Store

SESSION_MS = 10_000
REBALANCE_MS = 30_000


class Coordinator:
    """The groups of one data directory; all waits are remembered."""

    def __init__(
        self, directory: Path, *, loop: asyncio.AbstractEventLoop, rebalance_delay_ms: int = 0
    ) -> None:
        self.directory = directory
        self.loop = loop
        self.now = 1000.0
        self.rebalance_delay_ms = rebalance_delay_ms
        self.waits: list[JoinWait | SyncWait] = []
        self.open()

    def open(self) -> None:
        self.store = Store(self.directory / "broker.sqlite3")
        self.offsets = Offsets(self.store)
        self.groups = Groups(self.store, self.offsets, self.rebalance_delay_ms, lambda: self.now)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def after(self, ms: int, step_ms: int = 100) -> None:
        """Time passes, with a tick every `step_ms`."""
        for _ in range(ms // step_ms):
            self.now += step_ms / 1000
            self.groups.tick()

    def join(
        self,
        member_id: str = "",
        *,
        group: str = "g",
        instance: str | None = None,
        protocols: Mapping[str, bytes] | None = None,
        protocol_type: str = "consumer",
        session_ms: int = SESSION_MS,
        rebalance_ms: int = REBALANCE_MS,
        must_ask: bool = False,
    ) -> JoinWait:
        wait: JoinWait = self.loop.create_future()
        self.waits.append(wait)
        given = tuple((protocols or {"range": b"topics"}).items())
        self.groups.join(
            group,
            Join(
                member_id,
                instance,
                "client",
                "/127.0.0.1",
                session_ms,
                rebalance_ms,
                protocol_type,
                given,
                must_ask,
            ),
            wait,
        )
        return wait

    def sync(
        self, joined: Joined, assignments: Mapping[str, bytes] | None = None, **changes: str
    ) -> SyncWait:
        wait: SyncWait = self.loop.create_future()
        self.waits.append(wait)
        sync = Sync(joined.generation, joined.member_id, assignments=assignments or {}, **changes)
        self.groups.sync("g", sync, wait)
        return wait

    def heartbeat(self, joined: Joined, instance: str | None = None) -> Code:
        return self.groups.heartbeat("g", joined.generation, joined.member_id, instance)

    def leave(self, joined: Joined) -> Code:
        return self.groups.leave("g", joined.member_id, None)

    @property
    def state(self) -> str:
        group = self.groups.get("g")
        return "Dead" if group is None else str(group.state)

    def stable(
        self,
        *instances: str | None,
        session_ms: int = SESSION_MS,
        rebalance_ms: int = REBALANCE_MS,
    ) -> list[Joined]:
        """A Stable group of as many members, the first of which leads; each has its own share."""

        def join(member_id: str, given: str | None) -> JoinWait:
            return self.join(
                member_id, instance=given, session_ms=session_ms, rebalance_ms=rebalance_ms
            )

        joined: list[Joined] = []
        for instance in instances:
            newcomer = join("", instance)
            waits = [
                join(old.member_id, given) for old, given in zip(joined, instances, strict=False)
            ]
            waits.append(newcomer)
            joined = [done(wait) for wait in waits]
            leader = next(one for one in joined if one.peers)
            shares = {one.member_id: one.member_id.encode() for one in joined}
            self.sync(leader, shares)
            for one in joined:
                assert done_sync(self.sync(one)).assignment == one.member_id.encode()
        assert self.state == "Stable"
        return joined


def done(wait: JoinWait) -> Joined:
    assert wait.done(), "the join still waits"
    joined = wait.result()
    assert joined.code is Code.NONE, joined
    return joined


def done_sync(wait: SyncWait) -> Synced:
    assert wait.done(), "the sync still waits"
    synced = wait.result()
    assert synced.code is Code.NONE, synced
    return synced


def code(wait: JoinWait | SyncWait) -> Code:
    """The code of an answer that is there."""
    assert wait.done(), "there is no answer yet"
    return wait.result().code
