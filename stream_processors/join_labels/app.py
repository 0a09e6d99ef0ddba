"""The joining app, composed: a consumer group on labels, a writer, and live quality beside it."""

import asyncio
import time
from typing import Any

import faust
from faust.types import TP

from drift.alert_book import AlertRules
from drift.quality.costs import Costs
from drift.quality.watch import QualityRules
from drift.segments import Segment
from schemas.errors import ConfigurationError
from schemas.pipeline import Pipeline, read_pipeline
from schemas.quality import QualityBaseline, decode_quality
from schemas.settings import Settings
from schemas.topics import TopicNames
from storage.client import Client, connect
from storage.migrate import migrate
from storage.model_store import read_quality
from stream_processors.apps import create_app
from stream_processors.join_labels.judge import Judge, JudgingOptions
from stream_processors.join_labels.live_quality import LiveQuality
from stream_processors.join_labels.measurer import Measurer, MeasuringOptions
from stream_processors.join_labels.writer import LabelWriter
from stream_processors.membership import FaustMembership
from stream_processors.model_files import ModelFiles
from stream_processors.outbox import Outbox
from stream_processors.references import References
from stream_processors.state_topic import StateTopic
from stream_processors.topics import describe, grow_partitions
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

MAX_LABELS = 200_000
"""Labels held while ClickHouse is slow, if their bytes do not reach the bound before."""
MAX_FETCH = 2000


def create_join_app(settings: Settings) -> faust.App:
    """A Faust app that joins the labels of one pipeline; raises ThalwegError when it cannot."""
    kafka, names = settings.kafka, TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    pipeline = read_pipeline(settings.store, settings.pipeline)
    measuring, judging = measuring_options(settings, pipeline), judging_options(settings)
    wanted = [names.labels, names.dead_letters, names.drift_alerts, names.drift_state]
    found = describe(kafka, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ConfigurationError(
            f"topics are missing: {', '.join(missing)}; `thalweg bootstrap` creates them"
        )
    limits = Limits(
        max_events=MAX_LABELS,
        max_bytes=settings.log.max_buffered_bytes,
        max_batch=MAX_FETCH,
        max_fetches=MAX_LABELS,
    )
    app = create_app(settings, "join", BatchOptions(kafka=kafka, limits=limits))
    labels = app.topic(names.labels, schema=BatchSchema())
    dead_letters = Outbox(kafka, settings.scoring)
    baselines: ModelFiles[QualityBaseline] = ModelFiles(
        settings.store,
        lambda directory: decode_quality(read_quality(directory)),
        what="quality_at_release",
    )

    references = References(settings.store)

    def segments(version: str) -> tuple[Segment, ...]:
        found = references.find(version) if pipeline.segments else None
        return tuple(segment for segment, _ in found.segments) if found else ()

    @app.agent(labels, concurrency=1, name="join")  # type: ignore[untyped-decorator]
    async def join_labels(stream: Any) -> None:
        try:
            await LabelWriter(settings, dead_letters).run(stream)
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            dead_letters.close()

    @app.task  # type: ignore[untyped-decorator]
    async def watch_quality() -> None:
        outbox = Outbox(kafka, settings.scoring)
        live = LiveQuality(
            pipeline=pipeline.name,
            interval_s=settings.quality.interval_s,
            retries=settings.log,
            connect=lambda: _connect(settings),
            measurer=Measurer(measuring, baselines, segments),
            new_judge=lambda states: Judge(judging, baselines, _now_ms, states),
            state=StateTopic(kafka, pipeline.name, "join"),
            alerts_topic=names.drift_alerts,
            labels=TP(names.labels, 0),
            membership=FaustMembership(app),
            outbox=outbox,
        )
        try:
            await live.run(lambda: bool(app.should_stop))
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            outbox.close()

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def dead_letters_have_as_many_partitions(*_: Any, **__: Any) -> None:
        outputs = [names.dead_letters]
        n = await asyncio.to_thread(grow_partitions, kafka, names.labels, outputs)
        await asyncio.to_thread(dead_letters.learn_partitions, outputs, n)

    return app


def measuring_options(settings: Settings, pipeline: Pipeline) -> MeasuringOptions:
    """How windows are measured; raises ConfigurationError for an amount that is no feature."""
    quality, amount = settings.quality, None
    if quality.amount_feature:
        if quality.amount_feature not in pipeline.schema.names:
            raise ConfigurationError(
                f"THALWEG_QUALITY__AMOUNT_FEATURE names {quality.amount_feature!r}, which pipeline"
                f" {pipeline.name} does not have: {', '.join(pipeline.schema.names[:20])}"
            )
        place = pipeline.schema.names.index(quality.amount_feature)
        amount = (pipeline.schema.hash, place)
    elif quality.cost_missed_share > 0:
        raise ConfigurationError(
            "THALWEG_QUALITY__COST_MISSED_SHARE is of an amount: name the feature in"
            " THALWEG_QUALITY__AMOUNT_FEATURE"
        )
    return MeasuringOptions(
        pipeline=pipeline.name,
        window_ms=_window_ms(settings),
        max_rows=quality.max_rows,
        max_ahead_ms=round(settings.drift.max_ahead_s * 1000),
        # an insert is given up by then, by us and by the server
        settle_ms=round(2 * settings.clickhouse.timeout_s * 1000),
        costs=Costs(quality.cost_missed, quality.cost_false_alarm, quality.cost_missed_share),
        amount=amount,
        cut_by=(
            pipeline.schema.hash,
            tuple(pipeline.schema.names.index(name) for name in pipeline.segments),
        ),
    )


def judging_options(settings: Settings) -> JudgingOptions:
    """When windows are judged, and at which rate."""
    return JudgingOptions(
        pipeline=settings.pipeline,
        window_ms=_window_ms(settings),
        lateness_ms=round(settings.drift.allowed_lateness_s * 1000),
        maturity=settings.quality.maturity,
        min_rows=settings.quality.min_rows,
        max_rows=settings.quality.max_rows,
        rules=QualityRules(
            arl0=settings.drift.arl0,
            rules=AlertRules(quiet_windows=settings.drift.quiet_windows),
        ),
    )


def _window_ms(settings: Settings) -> int:
    return (settings.quality.window_s or settings.drift.window_s) * 1000


def _connect(settings: Settings) -> Client:
    client = connect(settings.clickhouse)
    migrate(client, settings.clickhouse)
    return client


def _now_ms() -> int:
    return int(time.time() * 1000)
