"""The node: everything the broker remembers, opened from one data directory."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.broker.groups.coordinator import Groups
from deploy.local.broker.groups.offsets import Offsets
from deploy.local.broker.limits import Budget, Limits
from deploy.local.broker.refusals import Refusals
from deploy.local.broker.store import Store
from deploy.local.broker.topics import Topics
from deploy.local.broker.transactions.coordinator import Transactions

NODE_ID = 1


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """Where the node keeps its data, and what it does where a client does not say."""

    data_dir: Path
    default_partitions: int = 1
    auto_create_topics: bool = False
    rebalance_delay_ms: int = 0
    limits: Limits = field(default_factory=Limits)


class Node:
    """The state behind all connections; used from one event loop only."""

    def __init__(self, options: NodeOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self.options = options
        options.data_dir.mkdir(parents=True, exist_ok=True)
        self.refusals = Refusals(clock)
        self.memory = Budget(options.limits.memory)
        self.store = Store(options.data_dir / "broker.sqlite3")
        self.topics = Topics(self.store, options.data_dir / "logs")
        self.offsets = Offsets(self.store)
        self.groups = Groups(self.store, self.offsets, options.rebalance_delay_ms, clock)
        self.transactions = Transactions(self.store, self.topics, self.offsets, clock)

    def tick(self) -> None:
        """Expire what has timed out; called every 100 ms or so."""
        self.groups.tick()
        self.transactions.tick()
        self.refusals.tick()

    async def tidy(self, now_ms: int) -> None:
        """Retention and compaction of every log, and of the store; called every second or so."""
        await asyncio.to_thread(self.store.checkpoint)
        for topic in self.topics:
            for log in topic.partitions:
                if not log.gone:
                    log.retain(now_ms)
                if not log.gone:
                    await log.clean(now_ms)

    def close(self) -> None:
        self.topics.close()
        self.store.close()
