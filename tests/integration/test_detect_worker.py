"""`thalweg worker detect` on real parts: what moved is told, once, over any crash."""

import json
import random
import time
from pathlib import Path

import numpy as np
import pytest

from schemas.drift_events import AlertState, DriftAlert, decode_alert
from storage.client import connect
from storage.drift_queries import closed_windows, latest_alerts, window_metrics
from stream_processors.topics import create_shared_topics
from tests.deployment import PATIENCE_S, Deployment, until

pytestmark = [pytest.mark.kafka]

WINDOW_S = 10
ROWS = 300
"""Rows of a window."""
FAST = {
    "THALWEG_DRIFT__WINDOW_S": str(WINDOW_S),
    "THALWEG_DRIFT__FLUSH_INTERVAL_S": "0.2",
    "THALWEG_DRIFT__ALLOWED_LATENESS_S": "0",
    "THALWEG_DRIFT__IDLE_TIMEOUT_S": "2",
    "THALWEG_DRIFT__QUIET_WINDOWS": "2",
}
EPOCH = 10**12


class Stream:
    """Windows of rows like those the model was trained on, with one feature moved or not."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._random = np.random.default_rng(3)
        self.n_windows = 0

    def send(self, n_windows: int, shift: float = 0.0) -> None:
        """Whole windows; `shift` is added to f1."""
        for _ in range(n_windows):
            rows = self._random.normal(size=(ROWS, 5))
            rows[:, 1] += shift
            start = EPOCH + self.n_windows * WINDOW_S * 1000
            for index, row in enumerate(rows):
                event = {
                    "event_id": f"w{self.n_windows}-{index}",
                    "features": {f"f{i}": float(value) for i, value in enumerate(row)},
                    "event_time_ms": start + index * WINDOW_S * 1000 // ROWS,
                }
                self._deployment.produce(f"c{index}", json.dumps(event).encode())
            self.n_windows += 1
            self._deployment.n_sent += ROWS
            self._deployment.flush()


def alerts(deployment: Deployment) -> list[DriftAlert]:
    return [
        decode_alert(message.value() or b"")
        for message in deployment.read(deployment.names.drift_alerts)
        if message.key() == deployment.name.encode()
    ]


def wait_for_windows(deployment: Deployment, n: int) -> None:
    """Until ClickHouse has `n` closed windows."""
    with connect(deployment.clickhouse) as client:
        until(lambda: len(closed_windows(client, deployment.name)) >= n)


@pytest.fixture
def watched(deployment: Deployment) -> Deployment:
    create_shared_topics(deployment.kafka)
    return deployment


@pytest.mark.every_broker
def test_a_feature_that_moves_is_named_and_one_that_comes_back_is_resolved(
    watched: Deployment,
) -> None:
    for stage in ("score", "sketch", "detect"):
        watched.start(stage, **FAST).wait_ready()
    stream = Stream(watched)
    stream.send(6)
    wait_for_windows(watched, 5)
    assert alerts(watched) == [], "nothing moved"
    stream.send(3, shift=1.5)
    stream.send(4)
    wait_for_windows(watched, 12)

    told = [each for each in alerts(watched) if each.name == "f1"]
    assert [each.state for each in told if each.state != AlertState.UPDATED] == [
        AlertState.OPENED,
        AlertState.RESOLVED,
    ]
    opened = told[0]
    assert opened.level == "alert"
    assert opened.window_start_ms == EPOCH + 6 * WINDOW_S * 1000
    assert opened.change_point_ms == EPOCH + 6 * WINDOW_S * 1000
    assert opened.n_window == ROWS
    assert "feature f1" in opened.sentence
    with connect(watched.clickhouse) as client:
        logged = latest_alerts(client, watched.name)
        metrics = window_metrics(client, watched.name, n_windows=12)
        windows = closed_windows(client, watched.name)
    assert {each.alert_id for each in logged} == {each.alert_id for each in alerts(watched)}
    assert all(each.n_rows == ROWS for each in windows)
    noticed = {(m.window_start_ms, m.name) for m in metrics if m.noticed and m.name == "f1"}
    assert len(noticed) == 3


def test_kills_lose_and_double_nothing(watched: Deployment) -> None:
    chance = random.Random(4)
    for stage in ("score", "sketch"):
        watched.start(stage, **FAST).wait_ready()
    worker = watched.start("detect", "d", **FAST)
    worker.wait_ready()
    stream = Stream(watched)
    for shift in (0.0, 0.0, 1.5, 1.5, 0.0, 1.5):
        stream.send(2, shift=shift)
        time.sleep(chance.uniform(0.0, 1.5))
        worker.kill()
        worker = watched.start("detect", "d", **FAST)
        worker.wait_ready()
    stream.send(1)
    wait_for_windows(watched, 12)

    with connect(watched.clickhouse) as client:
        windows = closed_windows(client, watched.name)
    assert [each.window_start_ms for each in windows] == [
        EPOCH + number * WINDOW_S * 1000 for number in range(12)
    ]
    assert all(each.n_rows == ROWS for each in windows)
    once = {(each.alert_id, each.state, each.window_end_ms): each for each in alerts(watched)}
    told = [each.state for each in once.values() if each.name == "f1"]
    assert told.count(AlertState.OPENED) == len(
        {each.alert_id for each in once.values() if each.name == "f1"}
    )
    assert told[0] == AlertState.OPENED


def test_without_clickhouse_alerts_are_told_all_the_same(watched: Deployment) -> None:
    for stage in ("score", "sketch"):
        watched.start(stage, **FAST).wait_ready()
    gone = {"THALWEG_CLICKHOUSE__URL": "http://127.0.0.1:9"}
    worker = watched.start("detect", **FAST, **gone)
    worker.wait_ready()
    stream = Stream(watched)
    stream.send(2)
    stream.send(3, shift=1.5)
    until(lambda: any(each.name == "f1" for each in alerts(watched)))
    assert worker.stop() == 0
    watched.start("detect", **FAST).wait_ready()
    wait_for_windows(watched, 4)
    with connect(watched.clickhouse) as client:
        assert {a.name for a in latest_alerts(client, watched.name)} >= {"f1"}


def test_without_the_shared_topics_it_says_so(deployment: Deployment, tmp_path: Path) -> None:
    prefix = {"THALWEG_KAFKA__TOPIC_PREFIX": f"{deployment.name}-"}
    worker = deployment.start("detect", **prefix)
    assert worker.process.wait(PATIENCE_S) == 2
    assert f"{deployment.name}-drift-state" in worker.log_path.read_text()
