"""The log of drift written to ClickHouse behind the detector's back: alerts do not wait for it."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from schemas.errors import TransientError
from stream_processors import metrics
from stream_processors.detect_drift.records import WindowRecord

log = structlog.get_logger()

FIRST_RETRY_S, MAX_RETRY_S = 0.05, 30.0
MAX_WAITING = 100
"""Windows whose records wait (some 15 KB each, and as much each segment); beyond that the detector
waits too."""
MAX_WAITING_BYTES = 16 * 2**20
"""Or so much of them: they go into a message of 8 MiB, where they take a seventh of that."""


class Recorder:
    """Inserts records in their order, each until ClickHouse has it. `insert` blocks."""

    def __init__(self, insert: Callable[[WindowRecord], None]) -> None:
        self._insert = insert
        self._waiting: list[bytes] = []
        self._changed = asyncio.Condition()

    @property
    def waiting(self) -> list[bytes]:
        """The records that ClickHouse does not have yet, encoded."""
        return list(self._waiting)

    def restore(self, waiting: Sequence[bytes]) -> None:
        """Those of a predecessor, which may be there already: again changes nothing."""
        self._waiting = [*waiting, *(each for each in self._waiting if each not in waiting)]

    async def add(self, record: WindowRecord) -> None:
        """Take a record; waits while too many are waiting."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._waiting.append(record.encode())
            self._changed.notify_all()

    def _has_room(self) -> bool:
        n_bytes = sum(map(len, self._waiting))
        return len(self._waiting) < MAX_WAITING and n_bytes < MAX_WAITING_BYTES

    async def run(self) -> None:
        """Insert what comes, for ever. A failure that is no outage is raised."""
        retry_s = FIRST_RETRY_S
        while True:
            async with self._changed:
                # Not notified of what `restore` brings: that is looked for now and then.
                try:
                    await asyncio.wait_for(self._changed.wait_for(lambda: self._waiting), 1.0)
                except TimeoutError:
                    continue
                first = self._waiting[0]
            try:
                await asyncio.to_thread(self._insert, WindowRecord.decode(first))
            except TransientError as error:
                log.warning("drift_log_failed", error=str(error)[:500], retry_s=retry_s)
                metrics.LOG_RETRIES.inc()
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, MAX_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            async with self._changed:
                if self._waiting and self._waiting[0] == first:
                    del self._waiting[0]
                self._changed.notify_all()
