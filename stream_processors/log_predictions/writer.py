"""Scored batches gathered to blocks, inserted, then acknowledged."""

import time
from collections.abc import Callable
from typing import Any

import structlog

from schemas.features import FeatureSchema
from schemas.frames import Frame
from schemas.settings import ClickHouseSettings, LogSettings
from storage.client import connect
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from stream_processors import metrics
from stream_processors.block_writer import BlockWriter, retry_for_ever
from stream_processors.scored_frames import Gathered, gather

log = structlog.get_logger()


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
        self._log: PredictionLog | None = None

    async def run(self, stream: Any) -> None:
        """Gather and insert until the stream ends or something fails for good."""
        await BlockWriter(self._settings, self._insert, self._clock).run(gather(stream))

    async def _insert(self, block: list[Gathered]) -> None:
        frames = [frame for gathered in block for frame in gathered.frames]
        started = self._clock()
        n_rows = await retry_for_ever(
            lambda: self._insert_once(frames),
            event="log_insert_failed",
            max_ms=self._settings.retry_max_ms,
        )
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
