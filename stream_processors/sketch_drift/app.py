"""The sketching app, composed: its own consumer group on scored batches, a gatherer, an outbox."""

from typing import Any

import faust

from schemas.errors import ConfigurationError
from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from schemas.topics import TopicNames
from stream_processors.apps import create_app
from stream_processors.membership import FaustMembership
from stream_processors.outbox import Outbox
from stream_processors.references import References
from stream_processors.sketch_drift.gatherer import Gatherer, Shape, Watched
from stream_processors.sketch_drift.publisher import SketchPublisher
from stream_processors.sketch_drift.reached import reached_before
from stream_processors.topics import describe
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

MAX_FRAMES = 20_000
"""Frames held between flushes, if their bytes do not reach the bound before."""
MAX_FETCH = 2000
MAX_GATHER_MS = 2000
"""How long the broker gathers frames for one fetch, or two fifths of the time between flushes."""


def create_sketch_app(settings: Settings) -> faust.App:
    """A Faust app that sketches one pipeline; raises ThalwegError when it cannot."""
    drift, names = settings.drift, TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    pipeline = read_pipeline(settings.store, settings.pipeline)
    if not describe(settings.kafka, [names.drift_sketches]):
        raise ConfigurationError(
            f"topic {names.drift_sketches} is missing; `thalweg bootstrap` creates it"
        )
    limits = Limits(
        max_events=MAX_FRAMES,
        max_bytes=drift.max_buffered_bytes,
        max_batch=MAX_FETCH,
        max_fetches=MAX_FRAMES,
        gather_ms=min(MAX_GATHER_MS, round(drift.flush_interval_s * 400)),
    )
    app = create_app(settings, "sketch", BatchOptions(kafka=settings.kafka, limits=limits))
    scored_batches = app.topic(names.scored_batches, schema=BatchSchema())
    references = References(settings.store)

    def watched(version: str) -> Watched | None:
        found = references.find(version)
        if found is None:
            return None
        segments = tuple(segment for segment, _ in found.segments)
        return Watched(found.columns, found.customers is not None, segments)

    shape = Shape(
        pipeline=pipeline.name,
        window_ms=drift.window_s * 1000,
        max_ahead_ms=round(drift.max_ahead_s * 1000),
        entity_limit=drift.entity_limit,
        sample_rows=drift.sample_rows,
    )

    @app.agent(scored_batches, concurrency=1, name="sketch")  # type: ignore[untyped-decorator]
    async def sketch_drift(stream: Any) -> None:
        outbox = Outbox(settings.kafka, settings.scoring)
        publisher = SketchPublisher(
            topic=names.drift_sketches,
            pipeline=pipeline.name,
            settings=drift,
            new_gatherer=lambda: Gatherer(shape, watched),
            look_back=lambda tp, offset: reached_before(settings.kafka, tp, offset),
            outbox=outbox,
            membership=FaustMembership(app),
        )
        try:
            await publisher.run(stream)
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            outbox.close()

    return app
