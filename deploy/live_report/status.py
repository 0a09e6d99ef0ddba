"""`thalweg drift status`: a pipeline's watch in one structure, whatever of it can be found."""

from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import KafkaException

from deploy.live_report.log import open_log
from deploy.live_report.model import watched_model
from deploy.live_report.report import until_first_window
from deploy.local.stages import DRIFT
from deploy.local.status import StageLag, stage_lag
from drift.families import per_day
from schemas.drift_events import DriftAlert, RetrainingDecision
from schemas.errors import ModelError, ThalwegError
from schemas.model import read_manifest
from schemas.pipeline import read_pipeline
from schemas.settings import Settings
from storage.client import Client
from storage.drift_queries import (
    QualityMetric,
    closed_windows,
    latest_alerts,
    recent_decisions,
)
from storage.drift_report_queries import quality_between
from storage.model_store import ModelStore

if TYPE_CHECKING:
    from storage.drift_tables import DriftWindow

MAX_ALERTS = 100
RECENT_WINDOWS = 24
"""Closed windows, the last of which is shown; quality is looked for in as many."""
LABEL_WINDOWS = 60 * 24
"""Windows back from the last that the newest quality is looked for in: labels come late."""
ALL_TIME_MS = 4_102_444_800_000


class LastWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The last closed window; `age_s` since its end, by the clock of who asks."""

    start_ms: int
    end_ms: int
    n_rows: int
    n_noticed: int
    age_s: float


class QualityNow(msgspec.Struct, frozen=True, kw_only=True):
    """A measure as labels showed it last, and as it was estimated last; times are window ends."""

    measure: str
    realised: float | None = None
    realised_error: float | None = None
    realised_end_ms: int | None = None
    maturity: float = 0.0
    estimate: float | None = None
    estimate_error: float | None = None
    estimate_end_ms: int | None = None


class DriftStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known now. `problem` says why the log could not be read; `reference_problem` why the
    champion cannot be watched; `waiting` when a first window can close, where none has.

    `lag` is of the stages that lead to alerts and requests; empty where Kafka is not known.
    """

    pipeline: str
    champion: str
    reference_rows: int | None = None
    reference_columns: int | None = None
    reference_version: str = ""
    reference_problem: str = ""
    warnings: tuple[str, ...] = ()
    arl0: float
    window_s: float
    false_notices_per_day: float
    last_window: LastWindow | None = None
    waiting: str = ""
    lag: tuple[StageLag, ...] = ()
    open_alerts: tuple[DriftAlert, ...] = ()
    quality: tuple[QualityNow, ...] = ()
    last_decision: RetrainingDecision | None = None
    problem: str = ""


def drift_status(settings: Settings, now_ms: int) -> DriftStatus:
    """The status of the pipeline in `settings`; a log or broker that is away is part of it.

    Raises ConfigurationError for a pipeline that does not exist, ModelError for a damaged store.
    """
    pipeline = read_pipeline(settings.store, settings.pipeline)
    champion = read_manifest(ModelStore(settings.store).path(pipeline.model)).version
    windows: list[DriftWindow] = []
    logged: dict[str, object] = {}
    try:
        with open_log(settings) as client:
            windows = closed_windows(
                client, settings.pipeline, model_version=champion, limit=RECENT_WINDOWS
            )
            logged = _logged(client, settings.pipeline, champion, windows)
    except ThalwegError as error:
        logged = {"problem": str(error)}
    last = windows[-1] if windows else None
    arl0 = settings.drift.arl0 if last is None else last.arl0
    window_s = (
        float(settings.drift.window_s)
        if last is None
        else (last.window_end_ms - last.window_start_ms) / 1000
    )
    found = DriftStatus(
        pipeline=settings.pipeline,
        champion=champion,
        arl0=arl0,
        window_s=window_s,
        false_notices_per_day=per_day(arl0, window_s),
        last_window=None if last is None else _last_window(last, now_ms),
        waiting="" if windows or logged.get("problem") else until_first_window(settings, now_ms),
        lag=_lag(settings),
    )
    found = msgspec.structs.replace(found, **logged)
    return msgspec.structs.replace(found, **_reference(settings, windows))


def _logged(
    client: Client, pipeline: str, champion: str, windows: "list[DriftWindow]"
) -> dict[str, object]:
    decisions = recent_decisions(client, pipeline, limit=1)
    return {
        "open_alerts": tuple(latest_alerts(client, pipeline, open_only=True, limit=MAX_ALERTS)),
        "quality": _quality(client, pipeline, champion, windows),
        "last_decision": decisions[0] if decisions else None,
    }


def _last_window(window: "DriftWindow", now_ms: int) -> LastWindow:
    return LastWindow(
        start_ms=window.window_start_ms,
        end_ms=window.window_end_ms,
        n_rows=window.n_rows,
        n_noticed=window.n_noticed,
        age_s=(now_ms - window.window_end_ms) / 1000,
    )


def _quality(
    client: Client, pipeline: str, champion: str, windows: "list[DriftWindow]"
) -> tuple[QualityNow, ...]:
    """Each measure's newest values, of the windows before the last that is closed."""
    if not windows:
        return ()
    last = windows[-1]
    width = last.window_end_ms - last.window_start_ms
    measured = quality_between(
        client,
        pipeline,
        model_version=champion,
        from_ms=last.window_end_ms - LABEL_WINDOWS * width,
        to_ms=ALL_TIME_MS,
    )
    newest: dict[str, QualityNow] = {}
    for metric in measured:
        known = newest.get(metric.measure, QualityNow(measure=metric.measure))
        newest[metric.measure] = _later(known, metric)
    return tuple(newest.values())


def _later(known: QualityNow, metric: QualityMetric) -> QualityNow:
    if metric.realised is not None:
        known = msgspec.structs.replace(
            known,
            realised=metric.realised,
            realised_error=metric.realised_error,
            realised_end_ms=metric.window_end_ms,
            maturity=metric.maturity,
        )
    if metric.estimate is not None:
        known = msgspec.structs.replace(
            known,
            estimate=metric.estimate,
            estimate_error=metric.estimate_error,
            estimate_end_ms=metric.window_end_ms,
        )
    return known


def _reference(settings: Settings, windows: "list[DriftWindow]") -> dict[str, object]:
    try:
        reference = watched_model(settings).reference
    except ModelError as error:
        return {"reference_problem": str(error)}
    sizes = sorted(window.n_rows for window in windows)
    usual = sizes[len(sizes) // 2] if sizes else 0
    return {
        "reference_rows": reference.n,
        "reference_columns": len(reference.columns),
        "reference_version": reference.fingerprint,
        "warnings": reference.warnings(usual),
    }


def _lag(settings: Settings) -> tuple[StageLag, ...]:
    if "bootstrap_servers" not in settings.kafka.model_fields_set:
        return ()
    try:
        return tuple(stage_lag(settings.kafka, [settings.pipeline], DRIFT))
    except (ThalwegError, KafkaException, TimeoutError):
        return ()
