"""What the demo shows: events on their way, latency, the last frauds; from Kafka and the log."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.local.stages import stages_of
from deploy.local.status import stage_lag, topic_status
from schemas.settings import Settings
from schemas.topics import TopicNames

if TYPE_CHECKING:
    from storage.client import Client
    from storage.queries import Decision, Latency

RATE_WINDOW_S = 5
N_FRAUDS = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a pipeline. `latency` is from the broker's append to the score, in ms."""

    n_features: int
    n_logged: int
    n_dead_letters: int
    logged_per_s: float
    latency: "Latency | None"
    frauds: "list[Decision]"
    lag: dict[str, int]


def take_snapshot(settings: Settings, client: "Client") -> Snapshot:
    """Look once; raises TransientError when a server does not answer."""
    from storage import queries

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
    )


def query_to_try(settings: Settings) -> str:
    """A command to paste: the last decisions out of ClickHouse."""
    user = settings.clickhouse.username
    login = "" if user == "default" else f" --user {user}"
    columns = "append_time, event_id, entity, round(score, 3) AS score, decision, model_version"
    which = f"pipeline = '{settings.pipeline}' ORDER BY append_time DESC LIMIT 5"
    sql = f"SELECT {columns} FROM predictions WHERE {which} FORMAT PrettyCompact"  # noqa: S608
    address = f"{settings.clickhouse.url}/?database={settings.clickhouse.database}"
    return f"curl{login} '{address}' --data-binary \"{sql}\""
