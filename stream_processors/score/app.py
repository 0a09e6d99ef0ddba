"""The scoring app, composed: model, decoder, outbox, and the agent that joins them."""

import asyncio
import time
from typing import Any

import faust
import structlog

from inference.decode import BatchDecoder
from inference.engine import Engine, load_model
from schemas.errors import TransientError
from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from schemas.topics import TopicNames
from storage.model_store import ModelStore
from stream_processors import metrics
from stream_processors.apps import create_app
from stream_processors.outbox import Outbox
from stream_processors.score.outputs import OutputBuilder
from stream_processors.score.scorer import Scorer
from stream_processors.topics import grow_partitions
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions
from stream_processors.watchdog import Watchdog

log = structlog.get_logger()

WATCH_S = 1.0


def create_score_app(settings: Settings) -> faust.App:
    """A Faust app that scores one pipeline; raises ThalwegError when it cannot."""
    scoring, names = settings.scoring, TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    pipeline = read_pipeline(settings.store, settings.pipeline)
    directory = ModelStore(settings.store).path(pipeline.model)
    model = load_model(directory, provider=scoring.provider, expected_schema=pipeline.schema)
    engine = Engine(model)
    log.info("model_loaded", pipeline=pipeline.name, model_version=model.version)

    limits = Limits(
        max_events=scoring.max_in_flight_events,
        max_bytes=scoring.max_in_flight_bytes,
        max_batch=scoring.max_batch_events,
    )
    app = create_app(settings, "score", BatchOptions(kafka=settings.kafka, limits=limits))
    features = app.topic(names.features, schema=BatchSchema())
    decoder = BatchDecoder(
        pipeline.schema,
        max_event_bytes=scoring.max_event_bytes,
        max_event_time_ahead_s=scoring.max_event_time_ahead_s,
    )
    builder = OutputBuilder(pipeline, names, scoring)
    outbox = Outbox(settings.kafka, scoring)

    @app.agent(features, concurrency=1, name="score")  # type: ignore[untyped-decorator]
    async def score(stream: Any) -> None:
        try:
            await Scorer(decoder, engine, builder, outbox, app).run(stream)
        finally:
            outbox.close()

    @app.task  # type: ignore[untyped-decorator]
    async def watch_progress() -> None:
        watchdog = Watchdog(scoring.stall_timeout_s, time.monotonic)
        while not app.should_stop:
            await asyncio.sleep(WATCH_S)
            for unit, amount in zip(("events", "bytes"), app.consumer.in_flight, strict=False):
                metrics.IN_FLIGHT.labels(unit).set(amount)
            # A data plane that does not even answer is a stall too.
            n_waiting = await asyncio.wait_for(app.consumer.n_waiting(), scoring.stall_timeout_s)
            if watchdog.stalled(progress=outbox.n_delivered, n_waiting=n_waiting):
                stall_s = scoring.stall_timeout_s
                raise TransientError(
                    f"no progress for {stall_s:g} s with {n_waiting} events waiting"
                )

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def outputs_have_as_many_partitions(*_: Any, **__: Any) -> None:
        outputs = [names.predictions, names.scored_batches, names.dead_letters]
        n = await asyncio.to_thread(grow_partitions, settings.kafka, names.features, outputs)
        await asyncio.to_thread(outbox.learn_partitions, outputs, n)

    return app
