"""The log on a real ClickHouse: migrations, errors, retention, reads, coverage."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import ConfigurationError, ThalwegError, TransientError
from schemas.features import FeatureSchema
from schemas.frames import Frame
from schemas.settings import ClickHouseSettings
from storage import queries
from storage.client import Client, connect
from storage.migrate import EXPIRING, migrate, migrations
from storage.prediction_log import PredictionLog
from storage.reconcile import Interval, SourcePartition, compact_coverage, read_coverage
from tests.deployment import until
from tests.fixtures.clickhouse import ClickHouseServer
from tests.fixtures.frames import START_MS, make_frame
from tests.fixtures.ports import reserved_port

YEAR_MS = 365 * 86_400_000
ALL_VERSIONS = [migration.version for migration in migrations()]


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


def test_migrations_are_applied_once(database: ClickHouseSettings) -> None:
    with connect(database) as client:
        assert migrate(client, database) == ALL_VERSIONS
        assert migrate(client, database) == []


def test_processes_that_migrate_at_once_all_succeed(database: ClickHouseSettings) -> None:
    barrier = threading.Barrier(6)
    failures: list[BaseException] = []

    def one() -> None:
        try:
            with connect(database) as client:
                barrier.wait()
                migrate(client, database)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with connect(database) as client:
        done = client.query("SELECT version FROM schema_migrations FINAL ORDER BY version")
    assert [version for (version,) in done] == ALL_VERSIONS


@pytest.mark.parametrize("table", EXPIRING)
def test_retention_follows_the_setting(
    client: Client, database: ClickHouseSettings, table: str
) -> None:
    def ttl() -> bool:
        definition = client.query(f"SHOW CREATE TABLE {table}")[0][0]
        return "TTL toDateTime(append_time) + toIntervalDay(" in definition

    assert not ttl()
    for days in (30, 7):
        migrate(client, database.model_copy(update={"retention_days": days}))
        assert ttl()
    migrate(client, database)
    assert not ttl()


def test_retention_goes_by_append_time_so_that_history_stays(
    client: Client, database: ClickHouseSettings
) -> None:
    ((now_s,),) = client.query("SELECT toUnixTimestamp(now())")
    step_ms = (int(now_s) * 1000 - START_MS) // 10
    history = make_frame(range(8, 11), append_step_ms=step_ms)
    position = history.rows.schema.get_field_index("event_time")
    field = history.rows.schema.field(position)
    long_ago = pa.array([START_MS - 12 * YEAR_MS] * 3, pa.int64()).cast(field.type)
    migrate(client, database.model_copy(update={"retention_days": 1}))
    PredictionLog(client).insert(
        [Frame(history.header, history.rows.set_column(position, field, long_ago))]
    )
    client.command("OPTIMIZE TABLE prediction_log FINAL")
    assert client.query("SELECT source_offset FROM predictions") == [(10,)]


def test_a_block_of_ten_years_of_days_is_accepted(client: Client) -> None:
    frame = make_frame(range(365), append_step_ms=10 * 86_400_000)
    assert PredictionLog(client).insert([frame]) == 365
    assert queries.counts(client, "fraud").n_rows == 365


def test_features_are_logged_as_the_float32_they_were_and_found_by_name(client: Client) -> None:
    schema = FeatureSchema.of_floats(["V1", "V2", "Amount"])
    frame = make_frame(range(50), schema_hash=schema.hash, noise=np.random.default_rng(7))
    log = PredictionLog(client)
    log.describe(schema)
    log.describe(schema)
    log.insert([frame])
    rows = client.query("SELECT features FROM predictions ORDER BY source_offset")
    expected = frame.rows.column("features").to_pylist()
    assert [list(row[0]) for row in rows] == expected
    named = client.query("SELECT feature['Amount'] FROM predictions_by_name ORDER BY source_offset")
    assert [value for (value,) in named] == [features[2] for features in expected]


def test_the_first_columns_of_predictions_are_the_documented_ones(client: Client) -> None:
    columns = [row[0] for row in client.query("DESCRIBE TABLE predictions")]
    assert (
        columns[:12]
        == """pipeline source_topic source_partition source_offset event_id entity event_time
        append_time score decision model_version features""".split()  # noqa: SIM905
    )
    assert columns[-1] == "source_topic_id"


def test_reads_for_the_command_line_agree_with_what_was_logged(client: Client) -> None:
    ((now_ms,),) = client.query("SELECT toUnixTimestamp64Milli(now64(3))")
    n_rows = 200
    frame = make_frame(
        range(n_rows),
        rejected=[n_rows],
        scored_at_ms=int(now_ms),
        append_step_ms=(int(now_ms) - START_MS) // n_rows,
    )
    PredictionLog(client).insert([frame])
    assert queries.counts(client, "fraud") == queries.Counts(n_rows, n_rows, n_rows, 1)
    assert queries.dead_letters_by_reason(client, "fraud") == {"not_finite": 1}
    assert queries.rate_per_s(client, "fraud", over_s=60) == pytest.approx(n_rows / 60)
    positives = queries.recent_positives(client, "fraud", limit=3, within_s=10 * YEAR_MS // 1000)
    decided = [row["event_id"] for row in frame.rows.to_pylist() if row["decision"]]
    assert [positive.event_id for positive in positives] == decided[::-1][:3]
    latency = queries.latency(client, "fraud", over_s=600)
    assert latency is not None
    assert (latency.n, latency.p50_ms <= latency.p99_ms) == (n_rows, True)
    assert queries.latency(client, "another") is None


def test_compacted_coverage_is_the_same_coverage_in_fewer_rows(client: Client) -> None:
    log = PredictionLog(client)
    for start in (0, 10, 20, 50, 55, 12):
        log.insert([make_frame(range(start, start + 10))])
    log.insert([make_frame(range(5), pipeline="other")])
    before = read_coverage(client, "fraud")
    source = SourcePartition("fraud.features", "topic-1", 0)
    assert before == {source: [Interval(0, 30), Interval(50, 65)]}
    compact_coverage(client, "fraud", older_than_s=0)
    assert read_coverage(client, "fraud") == before
    assert client.query("SELECT pipeline, count() FROM coverage_log GROUP BY ALL ORDER BY ALL") == [
        ("fraud", 2),
        ("other", 1),
    ]


def test_coverage_waits_for_its_rows(client: Client) -> None:
    client.command("RENAME TABLE prediction_log TO prediction_log_away")
    with pytest.raises(ConfigurationError, match="run the migrations"):
        PredictionLog(client).insert([make_frame(range(5))])
    assert read_coverage(client, "fraud") == {}


def test_an_unknown_database_names_the_setting(clickhouse: ClickHouseSettings) -> None:
    with pytest.raises(ConfigurationError, match="THALWEG_CLICKHOUSE__DATABASE"):
        connect(clickhouse.model_copy(update={"database": "nowhere"}))


def test_a_wrong_user_names_the_setting(clickhouse: ClickHouseSettings) -> None:
    with pytest.raises(ConfigurationError, match="THALWEG_CLICKHOUSE__USERNAME"):
        connect(clickhouse.model_copy(update={"username": "nobody", "password": "x"}))


def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with pytest.raises(TransientError, match="ClickHouse at http"):
        connect(ClickHouseSettings(url=f"http://127.0.0.1:{reserved_port()}"))


def test_a_wrong_statement_is_neither_retried_nor_blamed_on_a_setting(client: Client) -> None:
    with pytest.raises(ThalwegError) as raised:
        client.query("SELEC 1")
    assert not isinstance(raised.value, ConfigurationError | TransientError)


def test_running_out_of_memory_is_worth_another_try(client: Client) -> None:
    with pytest.raises(TransientError):
        client.query("SELECT groupArray(number) FROM numbers(1e9) SETTINGS max_memory_usage = 1e6")


def connect_at_last(settings: ClickHouseSettings) -> Client:
    """A client whose time-out may be too short for a busy machine to answer in."""
    clients: list[Client] = []

    def connects() -> bool:
        with suppress(TransientError):
            clients.append(connect(settings))
        return bool(clients)

    until(connects)
    return clients[0]


def test_a_frozen_server_times_out_as_transient_and_a_killed_one_comes_back_with_its_rows(
    clickhouse_server: ClickHouseServer,
) -> None:
    settings = clickhouse_server.settings
    hasty = settings.model_copy(update={"timeout_s": 5.0})
    with connect(settings) as client, connect_at_last(hasty) as one_of_haste:
        migrate(client, settings)
        log = PredictionLog(client)
        log.insert([make_frame(range(10))])
        clickhouse_server.freeze()
        with pytest.raises(TransientError):
            PredictionLog(one_of_haste).insert([make_frame(range(10, 20))])
        clickhouse_server.resume()
        clickhouse_server.kill()
        with pytest.raises(TransientError):
            log.insert([make_frame(range(10, 20))])
        clickhouse_server.start()
        log.insert([make_frame(range(10, 20))])
        counts = queries.counts(client, "fraud")
        assert (counts.n_rows, counts.n_identities, counts.n_rollup) == (20, 20, 20)
        source = SourcePartition("fraud.features", "topic-1", 0)
        assert read_coverage(client, "fraud") == {source: [Interval(0, 20)]}
