"""What a report is built of, read from ClickHouse."""

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.live_report.model import WatchedModel
from deploy.live_report.segments import read_segments
from schemas.drift_events import DriftAlert, RetrainingDecision, RetrainingRequest
from storage.client import Client
from storage.drift_queries import (
    QualityMetric,
    closed_windows,
    recent_decisions,
    recent_requests,
    window_metrics,
)
from storage.drift_report_queries import (
    SegmentColumn,
    SegmentTotals,
    quality_between,
    told_alerts,
)
from storage.drift_tables import DriftMetric, DriftWindow

MAX_DECISIONS = 500


@dataclass(frozen=True, slots=True)
class LiveRows:
    """`windows` in order of time, of all rows of one model version; `told` is every state of the
    alerts that were open in them, in order; `answers` are what detectors said of the last one;
    `quality` is of windows in the same stretch; `decisions` and `requests` newest first;
    `segments` are all in that stretch, `segment_columns` the few columns of theirs that are drawn.
    """

    windows: Sequence[DriftWindow]
    answers: Sequence[DriftMetric] = ()
    told: Sequence[DriftAlert] = ()
    quality: Sequence[QualityMetric] = ()
    decisions: Sequence[RetrainingDecision] = ()
    requests: Sequence[RetrainingRequest] = ()
    segments: Sequence[SegmentTotals] = ()
    segment_columns: Sequence[SegmentColumn] = ()


def read_rows(client: Client, pipeline: str, model: WatchedModel, *, n_windows: int) -> LiveRows:
    """Of the newest `n_windows` closed windows; without any, nothing else is read."""
    version = model.version
    windows = closed_windows(client, pipeline, model_version=version, limit=n_windows)
    if not windows:
        return LiveRows(())
    from_ms, to_ms = windows[0].window_start_ms, windows[-1].window_end_ms
    told = told_alerts(client, pipeline, model_version=version, from_ms=from_ms)
    segments, segment_columns = read_segments(
        client, pipeline, model, told=told, from_ms=from_ms, to_ms=to_ms
    )
    return LiveRows(
        windows=windows,
        answers=window_metrics(client, pipeline, model_version=version),
        told=told,
        quality=quality_between(
            client, pipeline, model_version=version, from_ms=from_ms, to_ms=to_ms
        ),
        decisions=recent_decisions(client, pipeline, limit=MAX_DECISIONS),
        requests=recent_requests(client, pipeline, limit=MAX_DECISIONS),
        segments=segments,
        segment_columns=segment_columns,
    )
