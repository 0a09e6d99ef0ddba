"""What the report of a live system asks of a stretch of event time."""

from schemas.drift_events import DriftAlert
from storage.client import Client
from storage.drift_queries import SELECT_ALERTS, QualityMetric, alerts_of

MAX_TOLD = 10_000
MAX_MEASURED = 100_000


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
