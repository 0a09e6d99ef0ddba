"""One batch's way: decode, score, publish, acknowledge; the next is decoded while one is scored."""

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import structlog

from inference.decode import BatchDecoder, Columns, Decoded
from inference.engine import Engine, Scored
from stream_processors import metrics
from stream_processors.outbox import Outbox
from stream_processors.score.columns import columns_of
from stream_processors.score.outputs import OutputBuilder
from stream_processors.score.scored_batch import ScoredBatch
from stream_processors.score.settle import settle
from stream_processors.transport import RawBatch

log = structlog.get_logger()


class Crashable(Protocol):
    """What a failure is told to; a Faust app stops, unacknowledged, and its process ends."""

    async def crash(self, reason: BaseException) -> None: ...


class Scorer:
    """Scores a stream of batches in order. Any failure crashes the app: nothing is acknowledged
    that was not published, and the supervisor starts the process again from the last commit.
    """

    def __init__(
        self,
        decoder: BatchDecoder,
        engine: Engine,
        builder: OutputBuilder,
        outbox: Outbox,
        app: Crashable,
    ) -> None:
        self._decoder = decoder
        self._engine = engine
        self._builder = builder
        self._outbox = outbox
        self._app = app
        self._session = ThreadPoolExecutor(1, thread_name_prefix="onnx")
        self._scoring: asyncio.Queue[tuple[Any, Columns, Decoded, Future[Scored]]]
        self._scoring = asyncio.Queue(maxsize=1)

    async def run(self, stream: Any) -> None:
        """Score the batches of a Faust stream until it ends."""
        publisher = asyncio.create_task(self._guarded(self._publish_all()))
        try:
            await self._guarded(self._score_all(stream))
        finally:
            publisher.cancel()
            self._session.shutdown(wait=False, cancel_futures=True)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            await self._app.crash(error)
            raise

    async def _score_all(self, stream: Any) -> None:
        async for event in stream.noack().events():
            batch: RawBatch = event.value
            started = time.perf_counter()
            columns = columns_of(batch)
            decoded = self._decoder.decode(columns)
            _stage("decode", started)
            future = self._session.submit(self._engine.score, decoded.features)
            await self._scoring.put((event, columns, decoded, future))

    async def _publish_all(self) -> None:
        while True:
            event, columns, decoded, future = await self._scoring.get()
            scored = await asyncio.wrap_future(future)
            decoded, scored = settle(decoded, scored)
            assert len(scored.scores) == len(decoded.rows)
            self._publish(event, ScoredBatch(event.value, columns, decoded, scored))

    def _publish(self, event: Any, batch: ScoredBatch) -> None:
        started = time.perf_counter()
        outputs = self._builder.build(batch, int(time.time() * 1000))
        delivered = self._outbox.publish(batch.source.tp.partition, outputs)
        _stage("publish", started)
        delivered.add_done_callback(lambda done: self._acknowledge(event, batch, done))

    def _acknowledge(self, event: Any, batch: ScoredBatch, done: asyncio.Future[None]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._failing = asyncio.ensure_future(self._app.crash(error))
            return
        event.ack()
        _count(batch)


def _stage(stage: str, started: float) -> None:
    metrics.STAGE_SECONDS.labels(stage).observe(time.perf_counter() - started)


def _count(batch: ScoredBatch) -> None:
    n = len(batch.source)
    metrics.BATCH_EVENTS.observe(n)
    metrics.EVENTS_SCORED.labels(batch.scored.model_version).inc(len(batch.decoded.rows))
    for rejected in batch.decoded.rejections:
        metrics.EVENTS_REJECTED.labels(rejected.reason).inc()
    metrics.STAGE_SECONDS.labels("score").observe(batch.scored.elapsed_us / 1e6)
    oldest_ms = int(batch.columns.append_times_ms[0])
    metrics.EVENT_SECONDS.observe(max(0.0, time.time() - oldest_ms / 1000))
    if batch.decoded.rejections:
        log.warning(
            "events_rejected",
            n=len(batch.decoded.rejections),
            n_batch=n,
            partition=batch.source.tp.partition,
            first_reason=str(batch.decoded.rejections[0].reason),
            first_explanation=batch.decoded.rejections[0].explanation[:200],
        )
