"""`thalweg worker join` on a real broker and ClickHouse: labels find predictions, whatever comes
first, and however often anything is killed."""

import random
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from schemas.drift_events import AlertState, DriftAlert, decode_alert
from schemas.events import DeadLetter, Label
from schemas.topics import TopicNames
from storage.client import Client, connect
from storage.drift_queries import QualityMetric, latest_alerts, quality_history
from storage.labels import labelled_counts
from stream_processors.topics import (
    committed_offsets,
    create_shared_topics,
    describe,
    end_offsets,
)
from tests.deployment import Deployment, until
from tests.fixtures.clickhouse import ClickHouseServer

pytestmark = [pytest.mark.kafka]

LABEL_MS = 10**12
"""As event times in `Deployment.send`, which has one event a millisecond."""


class Labels:
    """Labels sent to a deployment, and what the log makes of them."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.names: TopicNames = deployment.names
        self._producer = Producer(deployment.kafka.librdkafka() | {"linger.ms": 2})

    def send(self, index: int, label: int, time_ms: int = LABEL_MS, source: str = "") -> None:
        """Label event number `index` of the deployment."""
        message = Label(event_id=f"e{index}", label=label, label_time_ms=time_ms, source=source)
        self.produce(message.event_id, msgspec.json.encode(message))

    def produce(self, key: str | None, value: bytes | None) -> None:
        self._producer.produce(self.names.labels, value, key)

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    def lag(self) -> int:
        topic = describe(self.deployment.kafka, [self.names.labels])[self.names.labels]
        committed = committed_offsets(self.deployment.kafka, self.names.group("join"), [topic])
        ends = end_offsets(self.deployment.kafka, [topic])
        return sum(end - committed.get(place, 0) for place, end in ends.items())

    def wait(self, timeout_s: float = 90) -> None:
        self.flush()
        until(lambda: self.lag() == 0, timeout_s)

    def joined(self, client: Client) -> dict[str, float]:
        rows = client.query(
            "SELECT event_id, label FROM labelled_predictions WHERE pipeline = {p:String}",
            {"p": self.deployment.name},
        )
        found = dict(rows)
        assert len(found) == len(rows), "an event is joined once"
        return found


@pytest.fixture
def labels(deployment: Deployment) -> Labels:
    create_shared_topics(deployment.kafka)
    return Labels(deployment)


@pytest.fixture
def client(labels: Labels) -> Iterator[Client]:
    with connect(labels.deployment.clickhouse) as client:
        yield client


def truth(index: int) -> int:
    return int(index % 3 == 0)


@pytest.mark.every_broker
def test_labels_join_predictions_that_came_before_and_after_them(
    labels: Labels, client: Client
) -> None:
    deployment = labels.deployment
    for stage in ("score", "log", "join"):
        deployment.start(stage).wait_ready()
    deployment.send(500)
    deployment.wait_for_log()
    for index in range(1500):  # of 500 that are scored and 1000 that are not yet
        labels.send(index, truth(index))
    labels.wait()
    assert labels.joined(client) == {f"e{index}": truth(index) for index in range(500)}
    deployment.send(500)
    deployment.wait_for_log()
    assert labels.joined(client) == {f"e{index}": truth(index) for index in range(1000)}


def test_a_later_label_corrects_an_earlier_one_whichever_comes_first(
    labels: Labels, client: Client
) -> None:
    deployment = labels.deployment
    for stage in ("score", "log", "join"):
        deployment.start(stage).wait_ready()
    deployment.send(400)
    for index in range(400):
        told = [(LABEL_MS, 0), (LABEL_MS + 1, 1), (LABEL_MS + 2, truth(index))]
        random.Random(index).shuffle(told)
        for time_ms, label in [*told, told[0]]:
            labels.send(index, label, time_ms, source=f"at {time_ms}")
    labels.wait()
    deployment.wait_for_log()
    assert labels.joined(client) == {f"e{index}": truth(index) for index in range(400)}
    ((n_sources,),) = client.query("SELECT uniqExact(source) FROM labels")
    assert n_sources == 1, "the latest label's source shows"


def test_what_is_no_label_is_dead_lettered_once_and_holds_nothing_up(
    labels: Labels, client: Client
) -> None:
    deployment = labels.deployment
    deployment.start("join").wait_ready()
    for index in range(30):
        labels.send(index, 1)
        labels.produce(f"bad-{index}", b'{"event_id": "x", "label": 7, "label_time_ms": 1}')
        labels.produce(None, None if index % 2 else b"garbage")
    labels.wait()
    ((n,),) = client.query("SELECT count() FROM labels")
    assert n == 30
    letters = [
        msgspec.json.decode(message.value() or b"", type=DeadLetter)
        for message in deployment.read(deployment.names.dead_letters)
    ]
    assert {letter.source_topic for letter in letters} == {deployment.names.labels}
    places = {(letter.source_partition, letter.source_offset) for letter in letters}
    assert len(places) == len(letters) == 60
    reasons = sorted(letter.reason for letter in letters)
    assert reasons == ["malformed"] * 15 + ["null_value"] * 15 + ["out_of_range"] * 30


def test_workers_that_are_killed_lose_and_double_no_label(labels: Labels, client: Client) -> None:
    deployment = labels.deployment
    workers = [deployment.start("join", f"j{number}") for number in range(2)]
    for worker in workers:
        worker.wait_ready()
    n = 0
    for kill in range(6):
        for index in range(n, n + 3000):
            labels.send(index, truth(index))
        n += 3000
        labels.flush()
        time.sleep(random.Random(kill).uniform(0.1, 0.6))
        workers[kill % 2].kill()
        workers[kill % 2] = deployment.start("join", f"j{kill % 2}")
        workers[kill % 2].wait_ready()
    labels.wait()
    ((rows, events, positives),) = client.query(
        "SELECT count(), uniqExact(event_id), sum(label) FROM labels WHERE pipeline = {p:String}",
        {"p": deployment.name},
    )
    assert (rows, events) == (n, n)
    assert positives == sum(map(truth, range(n)))
    assert [worker.stop() for worker in workers] == [0, 0]


def test_labels_wait_while_clickhouse_is_gone(
    deployment_with_own_clickhouse: Deployment, clickhouse_server: ClickHouseServer
) -> None:
    deployment = deployment_with_own_clickhouse
    create_shared_topics(deployment.kafka)
    labels = Labels(deployment)
    worker = deployment.start("join")
    worker.wait_ready()
    for index in range(2000):
        labels.send(index, truth(index))
    labels.wait()
    clickhouse_server.kill()
    for index in range(2000, 6000):
        labels.send(index, truth(index))
    labels.flush()
    time.sleep(3)
    assert worker.alive
    assert labels.lag() == 4000
    clickhouse_server.start()
    labels.wait()
    with connect(deployment.clickhouse) as client:
        ((rows,),) = client.query("SELECT count() FROM labels")
    assert rows == 6000
    assert worker.stop() == 0


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

    until(measured, 60)


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
    until(lambda: history(client, labels, "roc_auc") != before, 60)
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

    until(resolved, 90)
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

    until(settled, 60)
    by_id: dict[str, list[AlertState]] = {}
    for alert in told(labels):
        by_id.setdefault(alert.alert_id, []).append(alert.state)
    for states in by_id.values():
        assert {AlertState.OPENED, AlertState.RESOLVED} <= set(states)
        assert states[-1] is AlertState.RESOLVED
    logged = {each.alert_id for each in latest_alerts(client, deployment.name)}
    assert logged == set(by_id)
    assert worker.stop() == 0
