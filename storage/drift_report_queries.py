"""What the report of a live system asks of a stretch of event time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.drift_events import DriftAlert
from storage.client import Client
from storage.drift_queries import SELECT_ALERTS, QualityMetric, alerts_of

MAX_TOLD = 10_000
MAX_MEASURED = 100_000
MAX_SEGMENTS = 1000
MAX_WINDOWS = 10_000

_TOLD = """
FROM drift_alerts
WHERE pipeline = {pipeline:String} AND model_version = {version:String}
  AND alert_id IN (
    SELECT alert_id FROM latest_drift_alerts
    WHERE pipeline = {pipeline:String} AND model_version = {version:String}
      AND (state != 'resolved' OR window_end >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')))
ORDER BY window_end DESC, window_start DESC,
         indexOf(['opened', 'updated', 'resolved'], state) DESC, alert_id DESC
LIMIT {limit:UInt32}
"""

_OF_SEGMENTS = """
FROM drift_windows
WHERE pipeline = {pipeline:String} AND model_version = {version:String}
  AND columns = {columns:String}
  AND toUnixTimestamp64Milli(window_end) BETWEEN {from:Int64} AND {to:Int64}
"""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTotals:
    """A segment through a stretch: its windows and their rows, and of each column the largest
    effect and the smallest p-value, float64[n_columns], infinite for none."""

    segment: str
    n_windows: int
    n_rows: int
    psi: NDArray[np.float64]
    p_values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SegmentColumn:
    """Column number `column` in the windows of a segment, in order of time: their ends int64[W],
    counts int64[W, B], effects and p-values float64[W]."""

    segment: str
    column: int
    ends_ms: NDArray[np.int64]
    counts: NDArray[np.int64]
    psi: NDArray[np.float64]
    p_values: NDArray[np.float64]


def told_alerts(
    client: Client, pipeline: str, *, model_version: str, from_ms: int, limit: int = MAX_TOLD
) -> list[DriftAlert]:
    """All that was told of alerts that are open, or were at `from_ms` or later, in event time; in
    order of windows, of very much the newest `limit` states.
    """
    rows = client.query(
        SELECT_ALERTS + _TOLD,
        {"pipeline": pipeline, "version": model_version, "from": from_ms, "limit": limit},
    )
    return alerts_of(rows)[::-1]


def quality_between(
    client: Client, pipeline: str, *, model_version: str, from_ms: int, to_ms: int
) -> list[QualityMetric]:
    """Every measure of all rows in the windows that end in `from_ms`..`to_ms`, in order of time."""
    rows = client.query(
        "SELECT model_version, toUnixTimestamp64Milli(window_start), "
        "toUnixTimestamp64Milli(window_end) AS end_ms, segment, measure, realised, realised_error, "
        "estimate, estimate_error, n_scored, n_labelled, maturity FROM quality_metrics "
        "WHERE pipeline = {pipeline:String} AND model_version = {version:String} AND segment = '' "
        "AND end_ms BETWEEN {from:Int64} AND {to:Int64} "
        "ORDER BY window_end DESC, window_start DESC, measure LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "version": model_version,
            "from": from_ms,
            "to": to_ms,
            "limit": MAX_MEASURED,
        },
    )
    return [QualityMetric(*row) for row in rows][::-1]


def segment_totals(
    client: Client, pipeline: str, *, model_version: str, columns: str, from_ms: int, to_ms: int
) -> list[SegmentTotals]:
    """Of every segment with windows that end in `from_ms`..`to_ms` and were counted over `columns`
    (a fingerprint), by name.
    """
    rows = client.query(
        "SELECT segment, count(), sum(n_rows), "
        "maxForEach(arrayMap(x -> if(isNaN(x), -inf, x), psi)), "
        "minForEach(arrayMap(x -> if(isNaN(x), inf, x), p_value)) "
        + _OF_SEGMENTS
        + "AND segment != '' GROUP BY segment ORDER BY segment LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "version": model_version,
            "columns": columns,
            "from": from_ms,
            "to": to_ms,
            "limit": MAX_SEGMENTS,
        },
    )
    return [
        SegmentTotals(name, int(n), int(n_rows), np.array(psi), np.array(p_values))
        for name, n, n_rows, psi, p_values in rows
    ]


def segment_column(
    client: Client,
    pipeline: str,
    *,
    model_version: str,
    columns: str,
    segment: str,
    column: int,
    bins: range,
    from_ms: int,
    to_ms: int,
) -> SegmentColumn:
    """One column, whose counts are in the places `bins`, in the windows as in `segment_totals`."""
    rows = client.query(
        "SELECT toUnixTimestamp64Milli(window_end) AS end_ms, "
        "arraySlice(counts, {first:UInt32}, {bins:UInt32}), psi[{column:UInt32}], "
        "p_value[{column:UInt32}] "
        + _OF_SEGMENTS
        + "AND segment = {segment:String} ORDER BY end_ms DESC LIMIT {limit:UInt32}",
        {
            "pipeline": pipeline,
            "version": model_version,
            "columns": columns,
            "segment": segment,
            "first": bins.start + 1,
            "bins": len(bins),
            "column": column + 1,
            "from": from_ms,
            "to": to_ms,
            "limit": MAX_WINDOWS,
        },
    )[::-1]
    return SegmentColumn(
        segment,
        column,
        ends_ms=np.array([row[0] for row in rows], dtype=np.int64),
        counts=np.array([row[1] for row in rows], dtype=np.int64).reshape(len(rows), len(bins)),
        psi=np.array([row[2] for row in rows], dtype=np.float64),
        p_values=np.array([row[3] for row in rows], dtype=np.float64),
    )
