"""The detecting app, composed: its own consumer group on sketches, a detector, an outbox."""

from typing import Any

import faust
from faust.types import TP

from drift.alert_book import AlertRules
from drift.levels import AlertBands
from drift.live import WatchOptions
from drift.windows import WindowSettings
from schemas.errors import ConfigurationError
from schemas.pipeline import read_pipeline
from schemas.settings import DriftSettings, Settings
from schemas.topics import TopicNames
from storage.drift_tables import DriftLog
from stream_processors.apps import create_app
from stream_processors.detect_drift.detector import DriftDetector, Place
from stream_processors.detect_drift.recorder import Recorder
from stream_processors.detect_drift.surroundings import NAME, Cluster
from stream_processors.detect_drift.watchers import Watchers
from stream_processors.log_client import LogClient
from stream_processors.membership import FaustMembership
from stream_processors.outbox import Outbox
from stream_processors.partitions import partition_of
from stream_processors.references import References
from stream_processors.state_topic import StateTopic
from stream_processors.topics import describe
from stream_processors.transport import BatchSchema
from stream_processors.transport.budget import Limits
from stream_processors.transport.options import BatchOptions

MAX_PIECES, MAX_FETCH = 2000, 200
MAX_BYTES = 64 * 2**20


def create_detect_app(settings: Settings) -> faust.App:
    """A Faust app that watches one pipeline for drift; raises ThalwegError when it cannot."""
    kafka, names = settings.kafka, TopicNames(settings.pipeline, settings.kafka.topic_prefix)
    pipeline = read_pipeline(settings.store, settings.pipeline)
    wanted = [names.drift_sketches, names.drift_alerts, names.drift_state]
    found = describe(kafka, wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ConfigurationError(
            f"topics are missing: {', '.join(missing)}; `thalweg bootstrap` creates them"
        )
    limits = Limits(MAX_PIECES, MAX_BYTES, MAX_FETCH, max_fetches=MAX_PIECES)
    app = create_app(settings, "detect", BatchOptions(kafka=kafka, limits=limits))
    sketches = app.topic(names.drift_sketches, schema=BatchSchema())
    number = partition_of(pipeline.name.encode(), found[names.drift_sketches].n_partitions)
    tp = TP(names.drift_sketches, number)
    state = StateTopic(kafka, pipeline.name, "detect")
    references, options = References(settings.store), watch_options(settings.drift)
    clickhouse = LogClient(settings.clickhouse)

    @app.agent(sketches, concurrency=1, name="detect")  # type: ignore[untyped-decorator]
    async def detect_drift(stream: Any) -> None:
        outbox = Outbox(kafka, settings.scoring)
        detector = DriftDetector(
            Place(
                pipeline=pipeline.name,
                sketches=tp,
                alerts=names.drift_alerts,
                remember=lambda memory: state.messages({NAME: memory}),
            ),
            window_settings(settings.drift),
            hold_ms=round(settings.drift.hold_s * 1000),
            arl0=settings.drift.arl0,
            new_watchers=lambda states: Watchers(pipeline.name, options, references.find, states),
            surroundings=Cluster(kafka, names, tp, state),
            outbox=outbox,
            recorder=Recorder(lambda record: record.insert(DriftLog(clickhouse.client()))),
            membership=FaustMembership(app),
        )
        try:
            await detector.run(stream)
        except Exception as error:
            await app.crash(error)
            raise
        finally:
            outbox.close()

    return app


def window_settings(drift: DriftSettings) -> WindowSettings:
    """How windows are cut and closed."""
    return WindowSettings(
        width_ms=drift.window_s * 1000,
        allowed_lateness_ms=round(drift.allowed_lateness_s * 1000),
        idle_timeout_ms=round(drift.idle_timeout_s * 1000),
        max_ahead_ms=round(drift.max_ahead_s * 1000),
    )


def watch_options(drift: DriftSettings) -> WatchOptions:
    """How a model version is watched."""
    return WatchOptions(
        arl0=drift.arl0,
        min_window_rows=drift.min_window_rows,
        bands=AlertBands(psi=drift.alert_psi, rate=drift.alert_rate),
        rules=AlertRules(quiet_windows=drift.quiet_windows),
    )
