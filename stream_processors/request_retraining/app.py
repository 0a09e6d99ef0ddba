"""The deciding app, composed: its own group on alerts, a decider, an outbox, a recorder."""

from typing import Any

import faust

from schemas.settings import Settings
from schemas.topics import TopicNames
from storage.labels import labelled_counts
from stream_processors.apps import create_app
from stream_processors.log_client import LogClient
from stream_processors.membership import FaustMembership
from stream_processors.outbox import Outbox
from stream_processors.request_retraining.decider import Decider
from stream_processors.request_retraining.definition import Definitions
from stream_processors.request_retraining.log_reader import LogReader
from stream_processors.request_retraining.recorder import Recorder
from stream_processors.request_retraining.replay import find_topics, replay
from stream_processors.scored_frames import until_one_ends
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

LIMITS = Limits(max_events=1000, max_bytes=16 * 2**20, max_batch=200, max_fetches=1000)
"""Alerts are few; this is what a topic full of other pipelines' may take of memory."""


def create_decide_app(settings: Settings) -> faust.App:
    """A Faust app that decides for one pipeline; raises ThalwegError when it cannot."""
    names = TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    definitions = Definitions(settings.store, settings.pipeline, settings.retraining)
    find_topics(settings.kafka, names)
    app = create_app(settings, "decide", BatchOptions(kafka=settings.kafka, limits=LIMITS))
    alerts = app.topic(names.drift_alerts, schema=BatchSchema())
    clickhouse = LogClient(settings.clickhouse)
    window_ms = settings.drift.window_s * 1000
    reader = LogReader(clickhouse.client, settings.pipeline, window_ms, labelled_counts)

    @app.agent(alerts, concurrency=1, name="decide")  # type: ignore[untyped-decorator]
    async def request_retraining(stream: Any) -> None:
        outbox = Outbox(settings.kafka, settings.scoring)
        recorder = Recorder(clickhouse.client)
        decider = Decider(
            pipeline=settings.pipeline,
            topic=names.retraining_requests,
            settings=settings.retraining,
            replay=lambda: replay(settings.kafka, settings.pipeline),
            definition=definitions.current,
            complete=reader.complete,
            outbox=outbox,
            record=recorder.record,
            repeat=recorder.repeat,
            membership=FaustMembership(app),
        )
        try:
            await until_one_ends(decider.run(stream), recorder.run())
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            outbox.close()

    return app
