"""Requests and decisions into ClickHouse, behind the publishing."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from schemas.drift_events import RetrainingDecision, RetrainingRequest
from schemas.errors import TransientError
from storage.client import Client
from storage.drift_tables import DriftLog
from stream_processors import metrics

log = structlog.get_logger()

MAX_WAITING = 1000
FIRST_RETRY_MS, MAX_RETRY_MS = 50, 5000

Told = RetrainingRequest | RetrainingDecision


class Recorder:
    """Inserts what was published, in its order, trying for ever while ClickHouse is gone.

    `MAX_WAITING` messages wait at most, then publishing does too. What a crash keeps from being
    inserted is on the topic: a start hands all that it finds there to `repeat`, and inserting it
    again changes nothing. A failure that is no outage is raised by `run`.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._waiting: deque[Told] = deque()
        self._changed = asyncio.Condition()

    async def repeat(self, told: Sequence[Told]) -> None:
        """What the topic holds takes the place of all that waits, which is on it too."""
        async with self._changed:
            self._waiting = deque(told)
            self._changed.notify_all()

    async def record(self, told: Sequence[Told]) -> None:
        """Take what was published; returns when there is room for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING)
            self._waiting.extend(told)
            self._changed.notify_all()

    async def run(self) -> None:
        """Insert until cancelled or a failure that another try does not cure."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._waiting) > 0)
                told = list(self._waiting)
            await self._insert(told)
            async with self._changed:
                for each in told:
                    if self._waiting and self._waiting[0] is each:
                        self._waiting.popleft()
                self._changed.notify_all()

    async def _insert(self, told: list[Told]) -> None:
        retry_ms = FIRST_RETRY_MS
        while True:
            try:
                await asyncio.to_thread(self._insert_once, told)
            except TransientError as error:
                log.warning("decisions_not_logged", error=str(error)[:500], retry_ms=retry_ms)
                metrics.LOG_RETRIES.inc()
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(2 * retry_ms, MAX_RETRY_MS)
                continue
            return

    def _insert_once(self, told: list[Told]) -> None:
        drift_log = DriftLog(self._connect())
        drift_log.insert_requests([each for each in told if isinstance(each, RetrainingRequest)])
        drift_log.insert_decisions([each for each in told if isinstance(each, RetrainingDecision)])
