"""What the demo shows: events on their way, latency, the last frauds, what drifts and what is
decided then; from Kafka and the log.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy.local.stages import stages_of
from deploy.local.status import stage_lag, topic_status
from schemas.settings import Settings
from schemas.topics import TopicNames

if TYPE_CHECKING:
    from producers.fraud import Drift
    from schemas.drift_events import DriftAlert, RetrainingDecision, RetrainingRequest
    from storage.client import Client
    from storage.drift_tables import DriftWindow
    from storage.queries import Decision, Latency

RATE_WINDOW_S = 5
N_FRAUDS = 8
N_RECENT = 20

LABEL_DELAY = 0.01
"""Of the stream's own delays (frauds are reported after days, the others count as genuine after
30): a demo does not last that long."""

DEMO_ENVIRONMENT = {
    "THALWEG_DRIFT__WINDOW_S": "10800",
    "THALWEG_DRIFT__ALLOWED_LATENESS_S": "600",
    "THALWEG_DRIFT__IDLE_TIMEOUT_S": "10",
    "THALWEG_DRIFT__FLUSH_INTERVAL_S": "1",
    "THALWEG_QUALITY__INTERVAL_S": "2",
    "THALWEG_RETRAINING__PERSISTENCE_S": "10",
    "THALWEG_RETRAINING__DECIDE_INTERVAL_S": "2",
    "THALWEG_RETRAINING__COOL_DOWN_S": "600",
    "THALWEG_RETRAINING__MIN_LABELLED_ROWS": "1000",
    "THALWEG_RETRAINING__HARM": "none",
}
"""Settings of a stack that the demo starts. Its stream lives a day in less than a minute: windows
of three hours close every few seconds, and a policy that waits for hours would be no sight."""


def demo_drift(at_event: int) -> "Drift":
    """What the demo breaks: one feature carries 0 in half of the events."""
    from producers.fraud import Drift, DriftKind

    return Drift(DriftKind.BROKEN_FEATURE, at_event, strength=0.5)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a pipeline. `latency` is from the broker's append to the score, in ms.

    The newest come last in `windows`, first in `alerts`, `decisions` and `requests`.
    """

    n_features: int
    n_logged: int
    n_dead_letters: int
    logged_per_s: float
    latency: "Latency | None"
    frauds: "list[Decision]"
    lag: dict[str, int]
    windows: "list[DriftWindow]"
    alerts: "list[DriftAlert]"
    decisions: "list[RetrainingDecision]"
    requests: "list[RetrainingRequest]"


def take_snapshot(settings: Settings, client: "Client") -> Snapshot:
    """Look once; raises TransientError when a server does not answer."""
    from storage import drift_queries, queries

    name = settings.pipeline
    topics = topic_status(settings.kafka, [name])
    lag = stage_lag(settings.kafka, [name], stages_of(settings))
    features = TopicNames(name, settings.kafka.topic_prefix).features
    counts = queries.counts(client, name)
    return Snapshot(
        n_features=sum(each.end_offset for each in topics if each.name == features),
        n_logged=counts.n_identities,
        n_dead_letters=counts.n_dead_letters,
        logged_per_s=queries.rate_per_s(client, name, over_s=RATE_WINDOW_S),
        latency=queries.latency(client, name, over_s=RATE_WINDOW_S),
        frauds=queries.recent_positives(client, name, limit=N_FRAUDS),
        lag={each.stage: each.lag for each in lag},
        windows=drift_queries.closed_windows(client, name, limit=N_RECENT),
        alerts=drift_queries.latest_alerts(client, name, limit=N_RECENT),
        decisions=drift_queries.recent_decisions(client, name, limit=N_RECENT),
        requests=drift_queries.recent_requests(client, name, limit=N_RECENT),
    )


@dataclass(slots=True)
class News:
    """What is new in a snapshot since the last one, in sentences, oldest first."""

    _seen: set[str] = field(default_factory=set)

    def of(self, snapshot: Snapshot) -> list[str]:
        """The sentences; those of the first snapshot are old news."""
        found: dict[str, str] = {}
        for alert in reversed(snapshot.alerts):
            key = f"{alert.alert_id} {alert.state} {alert.level}"
            # An update is news where the level rose, not for each new size.
            found[key] = f"{alert.level} {alert.state}: {alert.sentence}"
        for request in reversed(snapshot.requests):
            since = datetime.fromtimestamp(request.training_from_ms / 1000, UTC)
            found[request.request_id] = (
                f"RETRAINING REQUESTED: {request.reason}; train on rows since"
                f" {since:%Y-%m-%d %H:%M} ({request.n_labelled_since:,} labelled)"
            )
        for decision in reversed(snapshot.decisions):
            if not decision.requested:
                missing = [each for each in decision.reasons if "(not met)" in each]
                words = "; ".join(each.replace(" (not met)", "") for each in missing)
                found[f"refused {words}"] = f"no retraining yet: {words}"
        first, before = not self._seen, self._seen
        self._seen = before | set(found) | {""}
        return [] if first else [words for key, words in found.items() if key not in before]


def query_to_try(settings: Settings) -> str:
    """A command to paste: the last decisions out of ClickHouse."""
    user = settings.clickhouse.username
    login = "" if user == "default" else f" --user {user}"
    columns = "append_time, event_id, entity, round(score, 3) AS score, decision, model_version"
    which = f"pipeline = '{settings.pipeline}' ORDER BY append_time DESC LIMIT 5"
    sql = f"SELECT {columns} FROM predictions WHERE {which} FORMAT PrettyCompact"  # noqa: S608
    address = f"{settings.clickhouse.url}/?database={settings.clickhouse.database}"
    return f"curl{login} '{address}' --data-binary \"{sql}\""
