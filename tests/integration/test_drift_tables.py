"""The log of drift on a real ClickHouse: what shows, however often and in whatever order."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.drift_events import AlertKind, AlertLevel, AlertState, DriftAlert
from schemas.settings import ClickHouseSettings
from storage import drift_queries
from storage.client import Client, connect
from storage.drift_tables import DriftLog, DriftMetric, QualityMeasurement, QualitySource
from storage.migrate import migrate
from tests.golden.messages import ALERT, DECISION, REQUEST, REQUEST_ID

START_MS = 1_380_000_000_000
WINDOW_MS = 300_000

METRIC = DriftMetric(
    pipeline="fraud",
    model_version="v1",
    window_start_ms=START_MS,
    window_end_ms=START_MS + WINDOW_MS,
    segment="",
    kind=AlertKind.FEATURE,
    name="amount",
    detector="g_test",
    statistic=12.5,
    threshold=41.25,
    p_value=0.25,
    effect=0.01,
    n_reference=20_000,
    n_window=2_000,
    noticed=False,
)

MEASUREMENT = QualityMeasurement(
    pipeline="fraud",
    model_version="v1",
    window_start_ms=START_MS,
    window_end_ms=START_MS + WINDOW_MS,
    segment="",
    measure="precision",
    source=QualitySource.REALISED,
    value=0.5,
    standard_error=0.125,
    n_scored=1000,
    n_labelled=250,
    measured_at_ms=START_MS + 10 * WINDOW_MS,
)


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


def metric(window: int = 0, **fields: Any) -> DriftMetric:
    start = START_MS + window * WINDOW_MS
    return replace(
        METRIC, **{"window_start_ms": start, "window_end_ms": start + WINDOW_MS, **fields}
    )


def alert(state: AlertState, window: int = 0, **fields: Any) -> DriftAlert:
    start = START_MS + window * WINDOW_MS
    times = {"window_start_ms": start, "window_end_ms": start + WINDOW_MS}
    return msgspec.structs.replace(ALERT, **{"state": state, **times, **fields})


def test_metrics_come_back_as_they_were(client: Client) -> None:
    quiet = metric()
    loud = metric(1, statistic=math.inf, p_value=0.0, noticed=True, level=AlertLevel.ALERT)
    DriftLog(client).insert_metrics([loud, quiet])

    found = drift_queries.metric_history(client, "fraud", "amount")

    assert found == [quiet, replace(loud, statistic=None)]


def test_a_replay_in_other_blocks_changes_nothing_that_shows(client: Client) -> None:
    log, random = DriftLog(client), np.random.default_rng(5)
    metrics = [metric(w, name=f"f{i}") for w in range(20) for i in range(10)]
    log.insert_metrics(metrics[:120])
    before = client.query("SELECT * FROM drift_metrics ORDER BY ALL")
    for _ in range(3):
        block = [metrics[i] for i in random.integers(0, len(metrics), 150)]
        log.insert_metrics([replace(each, statistic=random.normal()) for each in block])
    log.insert_metrics(metrics)

    ((n_rows,),) = client.query("SELECT count() FROM drift_metrics")
    after = set(client.query("SELECT * FROM drift_metrics"))
    assert n_rows == 200
    assert set(before) <= after

    client.command("OPTIMIZE TABLE drift_metric_log FINAL")
    assert set(client.query("SELECT * FROM drift_metrics")) == after


@pytest.mark.parametrize(
    "fields",
    [
        {"pipeline": "churn"},
        {"model_version": "v2"},
        {"segment": "country=DE"},
        {"kind": AlertKind.SCORE},
        {"name": "n_last_day"},
        {"detector": "null_rate"},
        {"window_start_ms": START_MS - 1},
        {"window_end_ms": START_MS + 2 * WINDOW_MS},
    ],
    ids=str,
)
def test_what_differs_in_any_part_of_its_identity_is_another_row(
    client: Client, fields: dict[str, Any]
) -> None:
    DriftLog(client).insert_metrics([METRIC, replace(METRIC, **fields)])
    client.command("OPTIMIZE TABLE drift_metric_log FINAL")
    assert client.query("SELECT count() FROM drift_metrics") == [(2,)]


def test_metrics_of_replayed_history_do_not_expire_at_once(client: Client) -> None:
    DriftLog(client).insert_metrics([metric(w * 12 * 24 * 30) for w in range(120)])
    client.command("OPTIMIZE TABLE drift_metric_log FINAL")
    assert client.query("SELECT count() FROM drift_metrics") == [(120,)]


@pytest.mark.parametrize(
    "table",
    [
        "drift_metric_log",
        "drift_alert_log",
        "quality_log",
        "retraining_decision_log",
        "retraining_request_log",
    ],
)
def test_rows_expire_by_when_they_were_inserted_and_lie_in_one_partition(
    client: Client, table: str
) -> None:
    ((engine, partition_key),) = client.query(
        "SELECT engine_full, partition_key FROM system.tables "
        "WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    assert "TTL toDateTime(inserted_at) + toIntervalDay(" in engine
    assert partition_key == ""


def test_a_row_is_gone_when_its_time_is_over(client: Client) -> None:
    DriftLog(client).insert_metrics([metric(0), metric(1)])
    client.command(
        "INSERT INTO drift_metric_log (pipeline, name, inserted_at) "
        "VALUES ('fraud', 'old', now64(3) - INTERVAL 401 DAY)"
    )
    client.command("OPTIMIZE TABLE drift_metric_log FINAL")
    assert client.query("SELECT DISTINCT name FROM drift_metrics") == [("amount",)]


def test_history_is_of_one_column_and_what_is_asked_of_it(client: Client) -> None:
    DriftLog(client).insert_metrics(
        [
            *(metric(w) for w in range(5)),
            metric(1, detector="null_rate"),
            metric(2, model_version="v2"),
            metric(3, segment="country=DE"),
            metric(4, kind=AlertKind.SCORE),
            metric(4, name="other"),
            metric(4, pipeline="churn"),
        ]
    )

    def ask(**options: Any) -> list[DriftMetric]:
        return drift_queries.metric_history(client, "fraud", "amount", **options)

    assert len(ask()) == 8
    only = {"kind": "feature", "detector": "g_test", "model_version": "v1"}
    assert ask(**only) == [metric(w) for w in range(5)]
    assert ask(**only, limit=2) == [metric(3), metric(4)]
    assert ask(segment="country=DE") == [metric(3, segment="country=DE")]
    newest = drift_queries.window_metrics(client, "fraud", model_version="v1")
    assert {(each.name, each.kind) for each in newest} == {
        ("amount", AlertKind.FEATURE),
        ("amount", AlertKind.SCORE),
        ("other", AlertKind.FEATURE),
    }


def test_an_alert_comes_back_as_it_was_told(client: Client) -> None:
    bare = msgspec.structs.replace(
        ALERT,
        alert_id="other",
        p_value=None,
        change_point_ms=None,
        contributions=(("a", None),),
        sentence="it's 100% {moved}",
    )
    DriftLog(client).insert_alerts([ALERT, bare])
    found = drift_queries.latest_alerts(client, "fraud")
    assert sorted(found, key=lambda each: each.alert_id) == [ALERT, bare]


def life() -> list[DriftAlert]:
    return [
        alert(AlertState.OPENED, level=AlertLevel.NOTICE, n_windows=1),
        alert(AlertState.UPDATED, 1, n_windows=2),
        alert(AlertState.UPDATED, 5, n_windows=4),
        alert(AlertState.RESOLVED, 5, n_windows=4),
    ]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1, 1, 0]])
def test_the_latest_state_is_the_last_of_its_life_whatever_the_order_of_inserts(
    client: Client, order: Sequence[int]
) -> None:
    states, log = life(), DriftLog(client)
    for index in order:
        log.insert_alerts([states[index]])

    assert drift_queries.latest_alerts(client, "fraud") == [states[-1]]
    assert drift_queries.latest_alerts(client, "fraud", open_only=True) == []
    assert drift_queries.alert_history(client, "fraud", ALERT.alert_id) == states


def test_a_state_told_again_by_a_replay_keeps_the_time_it_was_first_told(client: Client) -> None:
    log, states = DriftLog(client), life()[:2]
    log.insert_alerts(states)
    log.insert_alerts(
        [
            msgspec.structs.replace(each, updated_at_ms=each.updated_at_ms + 60_000)
            for each in states
        ]
    )
    client.command("OPTIMIZE TABLE drift_alert_log FINAL")
    assert drift_queries.alert_history(client, "fraud", ALERT.alert_id) == states


def test_alerts_of_the_latest_windows_come_first_and_pipelines_are_apart(client: Client) -> None:
    alerts = [alert(AlertState.OPENED, w, alert_id=f"a{w}") for w in range(5)]
    foreign = alert(AlertState.OPENED, 9, alert_id="a4", pipeline="churn")
    DriftLog(client).insert_alerts([*alerts, foreign])
    found = drift_queries.latest_alerts(client, "fraud", open_only=True, limit=3)
    assert [each.alert_id for each in found] == ["a4", "a3", "a2"]
    assert drift_queries.latest_alerts(client, "churn") == [foreign]


def test_an_estimate_and_what_was_realised_stand_side_by_side(client: Client) -> None:
    log = DriftLog(client)
    estimate = replace(
        MEASUREMENT,
        source=QualitySource.ESTIMATED,
        value=0.75,
        standard_error=0.0625,
        n_labelled=0,
        measured_at_ms=START_MS + WINDOW_MS,
    )
    log.insert_quality([estimate])
    (young,) = drift_queries.quality_history(client, "fraud", "precision")
    assert (young.realised, young.estimate, young.maturity) == (None, 0.75, 0.0)

    log.insert_quality([MEASUREMENT])
    (mature,) = drift_queries.quality_history(client, "fraud", "precision")
    assert (mature.realised, mature.realised_error) == (0.5, 0.125)
    assert (mature.estimate, mature.estimate_error) == (0.75, 0.0625)
    assert (mature.n_scored, mature.n_labelled, mature.maturity) == (1000, 250, 0.25)


def test_of_measurements_the_latest_shows_in_whatever_order_they_come(client: Client) -> None:
    log = DriftLog(client)
    later = replace(
        MEASUREMENT, value=0.25, n_labelled=900, measured_at_ms=MEASUREMENT.measured_at_ms + 1
    )
    for each in (MEASUREMENT, later, MEASUREMENT):
        log.insert_quality([each])
        client.command("OPTIMIZE TABLE quality_log FINAL")
    (found,) = drift_queries.quality_history(client, "fraud", "precision")
    assert (found.realised, found.n_labelled, found.maturity) == (0.25, 900, 0.9)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_measurements_of_one_millisecond_the_one_with_most_labels_shows(
    client: Client, order: Sequence[int]
) -> None:
    two = [MEASUREMENT, replace(MEASUREMENT, value=0.25, n_labelled=251)]
    for index in order:
        DriftLog(client).insert_quality([two[index]])
    (found,) = drift_queries.quality_history(client, "fraud", "precision")
    assert (found.realised, found.n_labelled) == (0.25, 251)


def test_a_measure_without_an_answer_is_null(client: Client) -> None:
    log = DriftLog(client)
    log.insert_quality([replace(MEASUREMENT, value=math.nan, standard_error=math.nan)])
    (found,) = drift_queries.quality_history(client, "fraud", "precision")
    assert (found.realised, found.realised_error, found.n_labelled) == (None, None, 250)


def test_quality_is_by_window_segment_and_version(client: Client) -> None:
    windows = [
        replace(
            MEASUREMENT,
            window_start_ms=START_MS + w * WINDOW_MS,
            window_end_ms=START_MS + (w + 1) * WINDOW_MS,
            value=w / 8,
        )
        for w in range(4)
    ]
    other = [replace(windows[0], segment="country=DE"), replace(windows[0], model_version="v2")]
    other += [replace(windows[0], measure="recall"), replace(windows[0], pipeline="churn")]
    DriftLog(client).insert_quality([*windows, *other])

    found = drift_queries.quality_history(client, "fraud", "precision", model_version="v1", limit=3)
    assert [each.realised for each in found] == [1 / 8, 2 / 8, 3 / 8]
    assert len(drift_queries.quality_history(client, "fraud", "precision")) == 5
    assert len(drift_queries.quality_history(client, "fraud", "recall")) == 1


def test_decisions_come_back_newest_first_each_once(client: Client) -> None:
    asked = msgspec.structs.replace(
        DECISION,
        decision_id="d-2",
        decided_at_ms=DECISION.decided_at_ms + 1,
        requested=True,
        request_id=REQUEST_ID,
    )
    log = DriftLog(client)
    for _ in range(2):
        log.insert_decisions([DECISION, asked])
    assert drift_queries.recent_decisions(client, "fraud") == [asked, DECISION]
    assert drift_queries.recent_decisions(client, "fraud", limit=1) == [asked]
    assert drift_queries.recent_decisions(client, "fraud", requested_only=True) == [asked]
    assert drift_queries.recent_decisions(client, "churn") == []


def test_requests_come_back_newest_first_each_as_it_was_told_first(client: Client) -> None:
    later = msgspec.structs.replace(
        REQUEST, request_id="r-2", requested_at_ms=REQUEST.requested_at_ms + 1, alert_ids=()
    )
    log = DriftLog(client)
    log.insert_requests([REQUEST, later])
    log.insert_requests([msgspec.structs.replace(REQUEST, reason="told again by a replay")])
    assert drift_queries.recent_requests(client, "fraud") == [later, REQUEST]
    assert drift_queries.recent_requests(client, "fraud", limit=1) == [later]
    assert drift_queries.recent_requests(client, "churn") == []


def test_a_request_leads_to_the_alerts_that_asked_for_it(client: Client) -> None:
    log = DriftLog(client)
    log.insert_alerts([ALERT])
    log.insert_requests([REQUEST])
    page = (Path(__file__).parents[2] / "docs" / "retraining.md").read_text()
    query = page.split("```sql\n")[1].split("```")[0]
    ((request_id, champion, *_, name, _, sentence),) = client.query(query)
    assert (request_id, champion) == (REQUEST.request_id, REQUEST.champion_version)
    assert (name, sentence) == (ALERT.name, ALERT.sentence)


def test_newest_event_time_is_none_where_nothing_was_scored(client: Client) -> None:
    assert drift_queries.newest_event_time(client, "fraud", 600) is None


def test_nothing_to_insert_is_no_statement(client: Client) -> None:
    log = DriftLog(client)
    log.insert_metrics([])
    log.insert_alerts([])
    log.insert_quality([])
    log.insert_decisions([])
    log.insert_requests([])
    assert drift_queries.latest_alerts(client, "fraud") == []
