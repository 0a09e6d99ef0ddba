"""The logging app, composed: its own consumer group on scored batches, a writer, a reconciler."""

import asyncio
from typing import Any

import faust

from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from schemas.topics import TopicNames
from stream_processors.apps import create_app
from stream_processors.log_predictions.reconciler import Reconciler
from stream_processors.log_predictions.writer import LogWriter
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

MAX_FRAMES = 20_000
"""Frames held while ClickHouse is slow, if their bytes do not reach the bound before."""
MAX_FETCH = 500


def create_log_app(settings: Settings) -> faust.App:
    """A Faust app that logs one pipeline; raises ThalwegError when it cannot."""
    names = TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    pipeline = read_pipeline(settings.store, settings.pipeline)
    # A block gathers many small fetches, so their number is no bound here; bytes are.
    limits = Limits(
        max_events=MAX_FRAMES,
        max_bytes=settings.log.max_buffered_bytes,
        max_batch=MAX_FETCH,
        max_fetches=MAX_FRAMES,
    )
    app = create_app(settings, "log", BatchOptions(kafka=settings.kafka, limits=limits))
    scored_batches = app.topic(names.scored_batches, schema=BatchSchema())

    @app.agent(scored_batches, concurrency=1, name="log")  # type: ignore[untyped-decorator]
    async def log_predictions(stream: Any) -> None:
        writer = LogWriter(settings.clickhouse, settings.log, pipeline.schema)
        try:
            await writer.run(stream)
        except Exception as error:
            await app.crash(error)
            raise

    @app.task(on_leader=False)  # type: ignore[untyped-decorator]
    async def reconcile() -> None:
        reconciler = Reconciler(settings)
        while not app.should_stop:
            await app.sleep(settings.log.reconcile_interval_s)
            if not app.should_stop:
                await asyncio.to_thread(reconciler.check)

    return app
