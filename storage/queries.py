"""What the command line and the demo ask of the log."""

from dataclasses import dataclass
from datetime import datetime

from storage.client import Client


@dataclass(frozen=True, slots=True)
class Counts:
    """The log's three ways to count; it is exact when the first three agree."""

    n_rows: int
    n_identities: int
    n_rollup: int
    n_dead_letters: int


@dataclass(frozen=True, slots=True)
class Decision:
    """One positive decision."""

    event_id: str
    entity: str
    event_time: datetime
    append_time: datetime
    score: float
    model_version: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the broker's append of the event to its score, over the last seconds."""

    n: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def counts(client: Client, pipeline: str) -> Counts:
    """Count a pipeline's predictions as rows, as identities and by the rollup."""
    ((n_rows, n_identities),) = client.query(
        "SELECT count(), uniqExact(source_topic_id, source_partition, source_offset) "
        "FROM predictions WHERE pipeline = {pipeline:String}",
        {"pipeline": pipeline},
    )
    ((n_rollup,),) = client.query(
        "SELECT sum(n) FROM predictions_per_minute WHERE pipeline = {pipeline:String}",
        {"pipeline": pipeline},
    )
    ((n_dead_letters,),) = client.query(
        "SELECT count() FROM dead_letters WHERE pipeline = {pipeline:String}",
        {"pipeline": pipeline},
    )
    return Counts(n_rows, n_identities, n_rollup, n_dead_letters)


def dead_letters_by_reason(client: Client, pipeline: str) -> dict[str, int]:
    """How many events were dead-lettered, by reason, most first."""
    rows = client.query(
        "SELECT reason, count() AS n FROM dead_letters WHERE pipeline = {pipeline:String} "
        "GROUP BY reason ORDER BY n DESC, reason",
        {"pipeline": pipeline},
    )
    return dict(rows)


def recent_positives(
    client: Client, pipeline: str, limit: int = 10, within_s: int = 3600
) -> list[Decision]:
    """The newest positive decisions among those appended in the log's last `within_s` seconds."""
    rows = client.query(
        "SELECT event_id, entity, event_time, append_time, score, model_version "
        "FROM predictions WHERE pipeline = {pipeline:String} AND decision AND append_time >= "
        "(SELECT max(append_time) FROM prediction_log) - toIntervalSecond({within:UInt32}) "
        "ORDER BY append_time DESC, source_offset DESC LIMIT {limit:UInt32}",
        {"pipeline": pipeline, "within": within_s, "limit": limit},
    )
    return [Decision(*row) for row in rows]


def rate_per_s(client: Client, pipeline: str, over_s: int = 10) -> float:
    """Events scored and logged per second, over the last `over_s` seconds."""
    ((n,),) = client.query(
        "SELECT count() FROM predictions WHERE pipeline = {pipeline:String} "
        "AND scored_at >= now64(3) - toIntervalSecond({over:UInt32})",
        {"pipeline": pipeline, "over": over_s},
    )
    return float(n) / over_s


def latency(client: Client, pipeline: str, over_s: int = 60) -> Latency | None:
    """Percentiles over the events scored in the last `over_s` seconds; None when there are none."""
    ((n, quantiles),) = client.query(
        "SELECT count(), quantiles(0.5, 0.95, 0.99)"
        "(toUnixTimestamp64Milli(scored_at) - toUnixTimestamp64Milli(append_time)) "
        "FROM predictions WHERE pipeline = {pipeline:String} "
        "AND scored_at >= now64(3) - toIntervalSecond({over:UInt32})",
        {"pipeline": pipeline, "over": over_s},
    )
    return Latency(n, *quantiles) if n else None
