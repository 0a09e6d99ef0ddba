"""Scored batches gathered to blocks, inserted, then acknowledged."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

from schemas.errors import TransientError
from schemas.features import FeatureSchema
from schemas.frames import Frame
from schemas.settings import ClickHouseSettings, LogSettings
from storage.blocks import BlockBuilder
from storage.client import connect
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from stream_processors import metrics
from stream_processors.scored_frames import Gathered, gather, until_one_ends

log = structlog.get_logger()

FIRST_RETRY_MS = 50


class LogWriter:
    """Inserts what a stream brings, block by block, and acknowledges it once ClickHouse has it.

    While ClickHouse is gone the insert is tried again for ever: frames wait, within the budget, and
    scoring does not notice. A failure that is no outage (refused rows, wrong password) is raised.
    """

    def __init__(
        self,
        clickhouse: ClickHouseSettings,
        settings: LogSettings,
        schema: FeatureSchema,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clickhouse = clickhouse
        self._settings = settings
        self._schema = schema
        self._clock = clock
        self._block: BlockBuilder[Gathered] = BlockBuilder(
            settings.block_max_rows, settings.block_max_ms, clock
        )
        self._changed = asyncio.Event()
        self._log: PredictionLog | None = None

    async def run(self, stream: Any) -> None:
        """Gather and insert until the stream ends or something fails for good."""
        await until_one_ends(self._insert_all(), self._gather_all(stream))

    async def _gather_all(self, stream: Any) -> None:
        async for each in gather(stream):
            self._block.add(each, each.n_rows, each.n_bytes)
            self._changed.set()

    async def _insert_all(self) -> None:
        while True:
            await self._until_due()
            block = self._block.take()
            frames = [frame for gathered in block for frame in gathered.frames]
            await self._insert(frames)
            for gathered in block:
                gathered.event.ack()

    async def _until_due(self) -> None:
        while not self._block.due(now := self._clock()):
            self._changed.clear()
            due_in_s = self._block.due_in_s(now)
            waiting = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait({waiting}, timeout=due_in_s)
            waiting.cancel()

    async def _insert(self, frames: list[Frame]) -> None:
        retry_ms, started = FIRST_RETRY_MS, self._clock()
        while True:
            try:
                n_rows = await asyncio.to_thread(self._insert_once, frames)
            except TransientError as error:
                log.warning("log_insert_failed", error=str(error)[:500], retry_ms=retry_ms)
                metrics.LOG_RETRIES.inc()
                await asyncio.sleep(retry_ms / 1000)
                retry_ms = min(2 * retry_ms, self._settings.retry_max_ms)
                continue
            break
        took_ms = round((self._clock() - started) * 1000)
        log.debug("block_logged", n_rows=n_rows, n_frames=len(frames), took_ms=took_ms)
        metrics.ROWS_LOGGED.inc(n_rows)

    def _insert_once(self, frames: list[Frame]) -> int:
        if self._log is None:
            client = connect(self._clickhouse)
            migrate(client, self._clickhouse)
            prediction_log = PredictionLog(client)
            prediction_log.describe(self._schema)
            self._log = prediction_log
        return self._log.insert(frames)
