"""`thalweg worker join` on a real broker and ClickHouse: quality of what labels have come for, what
is told of it, and that no death of a worker leaves any of it undone."""

import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from schemas.drift_events import AlertState, DriftAlert, decode_alert
from storage.client import Client, connect
from storage.drift_queries import QualityMetric, latest_alerts, quality_history
from storage.labels import labelled_counts
from stream_processors.topics import create_shared_topics
from tests.deployment import Deployment, until
from tests.labels import LABEL_MS, Labels

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def labels(deployment: Deployment) -> Labels:
    create_shared_topics(deployment.kafka)
    return Labels(deployment)


@pytest.fixture
def client(labels: Labels) -> Iterator[Client]:
    with connect(labels.deployment.clickhouse) as client:
        yield client


FAST = {
    "THALWEG_DRIFT__WINDOW_S": "1",  # 1000 events of a deployment
    "THALWEG_DRIFT__ALLOWED_LATENESS_S": "0",
    "THALWEG_QUALITY__INTERVAL_S": "0.5",
}


def noisy(index: int) -> int:
    """Labels that scores know something of, but not all."""
    features = [(index * 7 + column) % 11 - 5.0 for column in range(5)]
    return int(sum(features) + random.Random(index).gauss(0, 12) > 0)


def wrong(index: int) -> int:
    return 1 - noisy(index)


def history(client: Client, labels: Labels, measure: str) -> list[QualityMetric]:
    return quality_history(client, labels.deployment.name, measure)


def wait_until_measured(
    client: Client, labels: Labels, n_windows: int, maturity: float = 1.0
) -> None:
    def measured() -> bool:
        found = history(client, labels, "brier")
        return len(found) == n_windows and all(each.maturity >= maturity for each in found)

    until(measured)


def start_all(labels: Labels, **settings: str) -> None:
    for stage in ("score", "log", "join"):
        labels.deployment.start(stage, **(FAST | settings)).wait_ready()


def test_realised_quality_is_scikit_learns_on_the_joined_rows(
    labels: Labels, client: Client
) -> None:
    start_all(labels)
    labels.deployment.send(3000)
    for index in range(3000):
        labels.send(index, noisy(index))
    labels.wait()
    wait_until_measured(client, labels, 3)
    rows = client.query(
        "SELECT intDiv(toUnixTimestamp64Milli(event_time), 1000) * 1000, label, score, decision"
        " FROM labelled_predictions WHERE pipeline = {p:String}",
        {"p": labels.deployment.name},
    )
    textbooks = {
        "precision": lambda y, score, flag: precision_score(y, flag),
        "recall": lambda y, score, flag: recall_score(y, flag),
        "roc_auc": lambda y, score, flag: roc_auc_score(y, score),
        "average_precision": lambda y, score, flag: average_precision_score(y, score),
        "brier": lambda y, score, flag: brier_score_loss(y, score),
        "log_loss": lambda y, score, flag: log_loss(y, score),
        "cost_per_row": lambda y, score, flag: np.mean(y != flag),
    }
    for name, textbook in textbooks.items():
        for window in history(client, labels, name):
            own = [row[1:] for row in rows if row[0] == window.window_start_ms]
            y, score, flag = (
                np.array(column, dtype=np.float64) for column in zip(*own, strict=True)
            )
            assert window.realised == pytest.approx(textbook(y, score, flag), rel=1e-6), name
            assert (window.n_scored, window.n_labelled) == (1000, 1000)
            assert window.realised_error is not None
            assert window.estimate is not None
    assert labelled_counts(client, labels.deployment.name, 10**12, 2000) == [
        (10**12, 2000),
        (10**12 + 2000, 1000),
    ]


def test_corrected_labels_change_the_measures_of_their_window_and_of_no_other(
    labels: Labels, client: Client
) -> None:
    start_all(labels)
    labels.deployment.send(2000)
    for index in range(2000):
        labels.send(index, wrong(index))
    labels.wait()
    wait_until_measured(client, labels, 2)
    before = history(client, labels, "roc_auc")
    for index in range(1000):
        labels.send(index, noisy(index), LABEL_MS + 1)
    labels.wait()
    until(lambda: history(client, labels, "roc_auc") != before)
    first, second = history(client, labels, "roc_auc")
    assert first.realised == pytest.approx(1 - (before[0].realised or 0), abs=1e-9)
    assert second == before[1]


def test_windows_fill_as_labels_come_and_the_estimate_is_there_before_them(
    labels: Labels, client: Client
) -> None:
    start_all(labels)
    labels.deployment.send(1000)
    wait_until_measured(client, labels, 1, maturity=0)
    (window,) = history(client, labels, "roc_auc")
    assert (window.realised, window.n_labelled, window.maturity) == (None, 0, 0)
    assert window.estimate is not None
    assert 0.5 < window.estimate <= 1
    for index in range(0, 1000, 2):
        labels.send(index, noisy(index))
    labels.wait()
    wait_until_measured(client, labels, 1, maturity=0.5)
    (half,) = history(client, labels, "roc_auc")
    assert (half.n_labelled, half.n_scored) == (500, 1000)
    assert half.estimate == window.estimate


def told(labels: Labels) -> list[DriftAlert]:
    deployment = labels.deployment
    return [
        decode_alert(message.value() or b"")
        for message in deployment.read(deployment.names.drift_alerts)
        if message.key() == deployment.name.encode()
    ]


def test_a_model_that_goes_wrong_is_told_once_and_again_when_it_is_right(
    labels: Labels, client: Client
) -> None:
    deployment = labels.deployment
    start_all(labels)
    deployment.send(16_000)
    for index in range(16_000):
        labels.send(index, wrong(index) if 3000 <= index < 8000 else right(index))
    labels.wait()
    deployment.wait_for_log()

    def resolved() -> bool:
        latest = latest_alerts(client, deployment.name)
        return bool(latest) and all(each.state is AlertState.RESOLVED for each in latest)

    until(resolved)
    alerts = told(labels)
    assert {"precision", "error_rate"} <= {each.name for each in alerts}
    for alert_id in {each.alert_id for each in alerts}:
        own = [each for each in alerts if each.alert_id == alert_id]
        states = [each.state for each in own]
        assert states[0] is AlertState.OPENED
        assert states[-1] is AlertState.RESOLVED
        assert states.count(AlertState.OPENED) == states.count(AlertState.RESOLVED) == 1
    opened = [
        each for each in alerts if each.state is AlertState.OPENED and each.name == "precision"
    ]
    assert [each.window_start_ms for each in opened] == [10**12 + 3000]


def right(index: int) -> int:
    """As the model learned it: the sum of the features decides."""
    return int(sum((index * 7 + column) % 11 - 5.0 for column in range(5)) > 0)


def test_killed_workers_leave_every_alert_opened_and_resolved_and_every_window_measured(
    labels: Labels, client: Client
) -> None:
    """Messages may be told again, under the same ids; none is left open by a death."""
    deployment = labels.deployment
    for stage in ("score", "log"):
        deployment.start(stage, **FAST).wait_ready()
    deployment.send(20_000)
    deployment.wait_for_log()
    worker = deployment.start("join", **FAST)
    worker.wait_ready()
    chance = random.Random(4)
    for part in range(10):
        for index in range(2000 * part, 2000 * (part + 1)):
            labels.send(index, wrong(index) if part in (3, 4, 5) else right(index))
        labels.flush()
        time.sleep(chance.uniform(0, 1.5))
        worker.kill()
        worker = deployment.start("join", **FAST)
        worker.wait_ready()
    labels.wait()
    wait_until_measured(client, labels, 20)

    def settled() -> bool:
        # the last window is not closed: no event has passed its end
        latest = latest_alerts(client, deployment.name)
        return bool(latest) and all(each.state is AlertState.RESOLVED for each in latest)

    until(settled)
    by_id: dict[str, list[AlertState]] = {}
    for alert in told(labels):
        by_id.setdefault(alert.alert_id, []).append(alert.state)
    for states in by_id.values():
        assert {AlertState.OPENED, AlertState.RESOLVED} <= set(states)
        assert states[-1] is AlertState.RESOLVED
    logged = {each.alert_id for each in latest_alerts(client, deployment.name)}
    assert logged == set(by_id)
    assert worker.stop() == 0
