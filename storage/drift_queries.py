"""What the command line, the report and the policy ask of the log of drift."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from schemas.drift_events import DriftAlert, RetrainingDecision, RetrainingRequest
from storage.client import Client
from storage.drift_tables import DriftMetric, DriftWindow

MAX_ROWS = 1000

_SELECT_METRICS = """
SELECT pipeline, model_version,
toUnixTimestamp64Milli(window_start) AS window_start_ms,
toUnixTimestamp64Milli(window_end) AS window_end_ms,
segment, kind, name, detector, statistic, threshold, p_value, effect, n_reference, n_window,
noticed, nullIf(level, '') AS level
"""

_OF_NEWEST_WINDOWS = """
FROM drift_metrics
WHERE pipeline = {pipeline:String} AND ({version:String} = '' OR model_version = {version:String})
  AND window_end IN (
    SELECT DISTINCT window_end FROM drift_metric_log
    WHERE pipeline = {pipeline:String}
      AND ({version:String} = '' OR model_version = {version:String})
    ORDER BY window_end DESC LIMIT {n_windows:UInt32})
ORDER BY window_end, window_start, model_version, segment, kind, name, detector
"""

SELECT_ALERTS = """
SELECT alert_id, pipeline, model_version, state, level, kind, name, segment, detector, statistic,
threshold, p_value, effect, effect_unit, n_reference, n_window,
toUnixTimestamp64Milli(window_start), toUnixTimestamp64Milli(window_end),
toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(updated_at),
toUnixTimestamp64Milli(change_point), arrayZip(contribution_names, contribution_shares),
n_windows, sentence
"""

_SELECT_DECISIONS = """
SELECT decision_id, pipeline, toUnixTimestamp64Milli(decided_at), requested, reasons, alert_ids,
nullIf(request_id, ''), policy
"""

_SELECT_REQUESTS = """
SELECT request_id, pipeline, champion_version, reason, alert_ids,
toUnixTimestamp64Milli(training_from), toUnixTimestamp64Milli(training_to),
toUnixTimestamp64Milli(requested_at), n_labelled_since
"""


@dataclass(frozen=True, slots=True)
class QualityMetric:
    """One measure of one window and segment: as realised, as estimated, each with its standard
    error.

    `realised` is None until labels have come, `estimate` where none was made. `maturity` is the
    share of scored rows whose label has come, 0..1.
    """

    model_version: str
    window_start_ms: int
    window_end_ms: int
    segment: str
    measure: str
    realised: float | None
    realised_error: float | None
    estimate: float | None
    estimate_error: float | None
    n_scored: int
    n_labelled: int
    maturity: float


def latest_alerts(
    client: Client, pipeline: str, *, open_only: bool = False, limit: int = MAX_ROWS
) -> list[DriftAlert]:
    """Each alert in its latest state, those of the latest windows first; `open_only` leaves out
    what is resolved.
    """
    rows = client.query(
        SELECT_ALERTS + "FROM latest_drift_alerts WHERE pipeline = {pipeline:String} "
        "AND NOT ({open_only:Bool} AND state = 'resolved') "
        "ORDER BY window_end DESC, alert_id LIMIT {limit:UInt32}",
        {"pipeline": pipeline, "open_only": open_only, "limit": limit},
    )
    return alerts_of(rows)


def alert_history(client: Client, pipeline: str, alert_id: str) -> list[DriftAlert]:
    """Every state that an alert was told in, from opened on; empty for an unknown one."""
    rows = client.query(
        SELECT_ALERTS + "FROM drift_alerts "
        "WHERE pipeline = {pipeline:String} AND alert_id = {alert_id:String} "
        "ORDER BY window_end, window_start, indexOf(['opened', 'updated', 'resolved'], state)",
        {"pipeline": pipeline, "alert_id": alert_id},
    )
    return alerts_of(rows)


def metric_history(
    client: Client,
    pipeline: str,
    name: str,
    *,
    kind: str | None = None,
    detector: str | None = None,
    model_version: str | None = None,
    segment: str = "",
    limit: int = MAX_ROWS,
) -> list[DriftMetric]:
    """What detectors said of the column `name`: the newest `limit` answers in order of windows.

    None as kind, detector or model version means any.
    """
    rows = client.query(
        _SELECT_METRICS + "FROM drift_metrics WHERE pipeline = {pipeline:String} "
        "AND name = {name:String} AND segment = {segment:String} "
        "AND ({kind:String} = '' OR kind = {kind:String}) "
        "AND ({detector:String} = '' OR detector = {detector:String}) "
        "AND ({version:String} = '' OR model_version = {version:String}) "
        "ORDER BY window_end DESC, window_start DESC, model_version, kind, detector "
        "LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "name": name,
            "segment": segment,
            "kind": kind or "",
            "detector": detector or "",
            "version": model_version or "",
            "limit": limit,
        },
    )
    return _metrics(rows)[::-1]


def window_metrics(
    client: Client, pipeline: str, *, model_version: str | None = None, n_windows: int = 1
) -> list[DriftMetric]:
    """All that detectors said of the newest `n_windows` windows, in order of windows."""
    rows = client.query(
        _SELECT_METRICS + _OF_NEWEST_WINDOWS,
        {"pipeline": pipeline, "version": model_version or "", "n_windows": n_windows},
    )
    return _metrics(rows)


def closed_windows(
    client: Client,
    pipeline: str,
    *,
    model_version: str | None = None,
    segment: str = "",
    limit: int = MAX_ROWS,
) -> list[DriftWindow]:
    """The newest `limit` closed windows of a segment, in their order."""
    rows = client.query(
        "SELECT pipeline, model_version, toUnixTimestamp64Milli(window_start), "
        "toUnixTimestamp64Milli(window_end), segment, columns, n_rows, counts, psi, p_value, "
        "e_value, arl0, n_noticed FROM drift_windows "
        "WHERE pipeline = {pipeline:String} AND segment = {segment:String} "
        "AND ({version:String} = '' OR model_version = {version:String}) "
        "ORDER BY window_end DESC, window_start DESC, model_version LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "segment": segment,
            "version": model_version or "",
            "limit": limit,
        },
    )
    return [_window(row) for row in rows][::-1]


def quality_history(
    client: Client,
    pipeline: str,
    measure: str,
    *,
    model_version: str | None = None,
    segment: str = "",
    limit: int = MAX_ROWS,
) -> list[QualityMetric]:
    """A measure through the newest `limit` windows, in their order."""
    rows = client.query(
        "SELECT model_version, toUnixTimestamp64Milli(window_start), "
        "toUnixTimestamp64Milli(window_end), segment, measure, realised, realised_error, estimate, "
        "estimate_error, n_scored, n_labelled, maturity FROM quality_metrics "
        "WHERE pipeline = {pipeline:String} AND measure = {measure:String} "
        "AND segment = {segment:String} "
        "AND ({version:String} = '' OR model_version = {version:String}) "
        "ORDER BY window_end DESC, window_start DESC, model_version LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "measure": measure,
            "segment": segment,
            "version": model_version or "",
            "limit": limit,
        },
    )
    return [QualityMetric(*row) for row in rows][::-1]


def recent_decisions(
    client: Client, pipeline: str, *, requested_only: bool = False, limit: int = MAX_ROWS
) -> list[RetrainingDecision]:
    """The newest decisions on retraining, newest first; refusals among them, or not."""
    rows = client.query(
        _SELECT_DECISIONS + "FROM retraining_decisions WHERE pipeline = {pipeline:String} "
        "AND (requested OR NOT {requested_only:Bool}) "
        "ORDER BY decided_at DESC, decision_id LIMIT {limit:UInt32}",
        {"pipeline": pipeline, "requested_only": requested_only, "limit": limit},
    )
    return [
        _as(RetrainingDecision, (*row[:-1], msgspec.json.decode(row[-1])), "decision")
        for row in rows
    ]


def recent_requests(
    client: Client, pipeline: str, *, limit: int = MAX_ROWS
) -> list[RetrainingRequest]:
    """The newest requests for retraining, newest first, each once."""
    rows = client.query(
        _SELECT_REQUESTS + "FROM retraining_requests WHERE pipeline = {pipeline:String} "
        "ORDER BY requested_at DESC, request_id LIMIT {limit:UInt32}",
        {"pipeline": pipeline, "limit": limit},
    )
    return [_as(RetrainingRequest, row, "request") for row in rows]


def newest_event_time(client: Client, pipeline: str, within_s: int) -> int | None:
    """The newest event time (ms) among rows appended in the last `within_s` seconds; None for
    none.
    """
    ((n, newest),) = client.query(
        "SELECT count(), toUnixTimestamp64Milli(max(event_time)) FROM prediction_log "
        "WHERE pipeline = {pipeline:String} AND reason = '' "
        "AND append_time >= now64(3) - toIntervalSecond({within:UInt32})",
        {"pipeline": pipeline, "within": within_s},
    )
    return int(newest) if n else None


def alerts_of(rows: Iterable[Sequence[Any]]) -> list[DriftAlert]:
    """The alerts in rows of `SELECT_ALERTS`."""
    return [_as(DriftAlert, row) for row in rows]


def _metrics(rows: Iterable[Sequence[Any]]) -> list[DriftMetric]:
    names = DriftMetric.__slots__
    return [msgspec.convert(dict(zip(names, row, strict=True)), DriftMetric) for row in rows]


def _window(row: Sequence[Any]) -> DriftWindow:
    fields = dict(zip(DriftWindow.__slots__, row, strict=True))
    kinds = {"counts": np.int64, "psi": np.float64, "p_values": np.float64}
    return DriftWindow(
        **fields | {name: np.array(fields[name], dtype=kind) for name, kind in kinds.items()}
    )


def _as(kind: type[Any], row: Sequence[Any], tag: str | None = None) -> Any:
    """The message whose fields are the values of `row`, in their order."""
    fields = dict(zip(kind.__struct_fields__, row, strict=True))
    return msgspec.convert(fields if tag is None else {"type": tag} | fields, kind)
