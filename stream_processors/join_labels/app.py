"""The joining app, composed: its own consumer group on labels, a writer, an outbox."""

import asyncio
from typing import Any

import faust

from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from schemas.topics import TopicNames
from stream_processors.apps import create_app
from stream_processors.join_labels.writer import LabelWriter
from stream_processors.outbox import Outbox
from stream_processors.topics import grow_partitions
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

MAX_LABELS = 200_000
"""Labels held while ClickHouse is slow, if their bytes do not reach the bound before."""
MAX_FETCH = 2000


def create_join_app(settings: Settings) -> faust.App:
    """A Faust app that joins the labels of one pipeline; raises ThalwegError when it cannot."""
    names = TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    read_pipeline(settings.store, settings.pipeline)
    limits = Limits(
        max_events=MAX_LABELS,
        max_bytes=settings.log.max_buffered_bytes,
        max_batch=MAX_FETCH,
        max_fetches=MAX_LABELS,
    )
    app = create_app(settings, "join", BatchOptions(kafka=settings.kafka, limits=limits))
    labels = app.topic(names.labels, schema=BatchSchema())
    outbox = Outbox(settings.kafka, settings.scoring)

    @app.agent(labels, concurrency=1, name="join")  # type: ignore[untyped-decorator]
    async def join_labels(stream: Any) -> None:
        try:
            await LabelWriter(settings, outbox).run(stream)
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            outbox.close()

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def dead_letters_have_as_many_partitions(*_: Any, **__: Any) -> None:
        outputs = [names.dead_letters]
        n = await asyncio.to_thread(grow_partitions, settings.kafka, names.labels, outputs)
        await asyncio.to_thread(outbox.learn_partitions, outputs, n)

    return app
