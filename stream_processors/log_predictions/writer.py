"""Scored batches gathered to blocks, inserted, then acknowledged."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.errors import TransientError
from schemas.features import FeatureSchema
from schemas.frames import Frame, decode_frame
from schemas.settings import ClickHouseSettings, LogSettings
from storage.blocks import BlockBuilder
from storage.client import connect
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from stream_processors import metrics
from stream_processors.transport import RawBatch

log = structlog.get_logger()

FIRST_RETRY_MS = 50


@dataclass(frozen=True, slots=True)
class Gathered:
    """One Faust event and the frames in it."""

    event: Any
    frames: list[Frame]


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
        inserting = asyncio.create_task(self._insert_all())
        gathering = asyncio.create_task(self._gather_all(stream))
        try:
            done, _ = await asyncio.wait(
                {inserting, gathering}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            inserting.cancel()
            gathering.cancel()

    async def _gather_all(self, stream: Any) -> None:
        async for event in stream.noack().events():
            batch: RawBatch = event.value
            frames = _frames(batch)
            n_rows = sum(frame.rows.num_rows for frame in frames)
            self._block.add(Gathered(event, frames), n_rows, sum(map(len, batch.messages)))
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


def _frames(batch: RawBatch) -> list[Frame]:
    """The frames of a run; what is none is said and left out, and its offsets show as a gap."""
    frames = []
    for message in batch.messages:
        try:
            frames.append(decode_frame(message.value() or b""))
        except ValueError as error:
            log.error(
                "not_a_scored_batch",
                topic=batch.tp.topic,
                partition=batch.tp.partition,
                offset=message.offset(),
                error=str(error),
            )
            metrics.BAD_FRAMES.inc()
    return frames
