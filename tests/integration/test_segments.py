"""Segments on real parts: what moves in one of them is told of it, and quality is by segment."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from sklearn.metrics import brier_score_loss

from schemas.drift_events import AlertState
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.kafka_settings import KafkaSettings
from schemas.pipeline import Pipeline, write_pipeline
from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.drift_queries import QualityMetric, closed_windows, metric_history, quality_history
from storage.model_store import ModelStore
from stream_processors.topics import create_shared_topics
from tests.deployment import PATIENCE_S, Deployment, until
from tests.integration.test_detect_worker import EPOCH, FAST, WINDOW_S, alerts, wait_for_windows
from training.bootstrap import train_first_model

pytestmark = [pytest.mark.kafka]

ROWS = 600
"""Rows of a window; a quarter are by web."""
CHANNELS = ("shop", "web")
SCHEMA = FeatureSchema(
    (
        *(Feature(name=f"f{i}") for i in range(3)),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=CHANNELS),
    )
)


def features(rng: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    """float32[n, 4]; f1 is larger by `shift` where the channel is web."""
    web = rng.random(n) < 0.25
    rows = rng.normal(size=(n, 3))
    rows[:, 1] += shift * web
    return np.column_stack([rows, web]).astype(np.float32)


@pytest.fixture
def segmented(
    pipeline_name: str, kafka: KafkaSettings, database: ClickHouseSettings, tmp_path: Path
) -> Iterator[Deployment]:
    """A pipeline whose model was made with the channels as segments."""
    rng = np.random.default_rng(7)
    rows = features(rng, 8000)
    labels = (rows[:, 0] + rng.normal(size=len(rows)) > 1).astype(np.int8)
    made = train_first_model(
        rows, labels, SCHEMA, pipeline="test", seed=7, epochs=2, segments=["channel"]
    )
    store = tmp_path / "store"
    model = ModelStore(store).put(made)
    deployment = Deployment(pipeline_name, kafka, database, store, model, tmp_path, SCHEMA)
    write_pipeline(
        store, Pipeline(name=pipeline_name, schema=SCHEMA, model=model, segments=("channel",))
    )
    create_shared_topics(kafka)
    yield deployment
    deployment.close()


def send(deployment: Deployment, windows: range, shift: float = 0.0) -> None:
    for number in windows:
        start = EPOCH + number * WINDOW_S * 1000
        rng = np.random.default_rng(number)
        for index, row in enumerate(features(rng, ROWS, shift).tolist()):
            values: dict[str, float | str] = {f"f{i}": row[i] for i in range(3)}
            values["channel"] = CHANNELS[int(row[3])]
            event = {
                "event_id": f"w{number}-{index}",
                "features": values,
                "event_time_ms": start + index * WINDOW_S * 1000 // ROWS,
            }
            deployment.produce(f"c{index}", json.dumps(event).encode())
        deployment.flush()


def test_what_moves_in_one_segment_is_named_with_it(segmented: Deployment) -> None:
    for stage in ("score", "sketch", "detect"):
        segmented.start(stage, **FAST).wait_ready()
    send(segmented, range(5))
    wait_for_windows(segmented, 4)
    # Chance may notice something, at the stated rate: permutations go by the topic's id.
    assert not [each for each in alerts(segmented) if each.level == "alert"], "nothing moved"
    send(segmented, range(5, 8), shift=1.5)
    send(segmented, range(8, 16))  # e-SR and ADWIN forget what was more slowly than windows do
    wait_for_windows(segmented, 15)

    told = [each for each in alerts(segmented) if each.segment]
    assert {each.segment for each in told if each.level == "alert"} == {"channel=web"}
    of_f1 = [each for each in told if (each.name, each.segment) == ("f1", "channel=web")]
    opened = of_f1[0]
    assert (opened.state, opened.level) == (AlertState.OPENED, "alert")
    assert opened.window_start_ms == opened.change_point_ms == EPOCH + 5 * WINDOW_S * 1000
    assert "feature f1 in segment channel=web" in opened.sentence
    with connect(segmented.clickhouse) as client:
        whole = closed_windows(client, segmented.name)
        parts = Counter[int]()
        for name in CHANNELS:
            for each in closed_windows(client, segmented.name, segment=f"channel={name}"):
                parts[each.window_start_ms] += each.n_rows
        answers = metric_history(client, segmented.name, "f1", segment="channel=web")
    assert [each.n_rows for each in whole] == [ROWS] * len(whole)
    of_whole = [parts[each.window_start_ms] for each in whole]
    assert of_whole == [ROWS] * len(whole), "every row is in one segment, once"
    by_window = [(each.window_start_ms - EPOCH, each.detector) for each in answers if each.noticed]
    assert of_f1[-1].state is AlertState.RESOLVED, by_window
    noticed = {each.window_start_ms for each in answers if each.noticed}
    assert {EPOCH + number * WINDOW_S * 1000 for number in (5, 6, 7)} <= noticed


def test_quality_is_measured_by_segment_too(segmented: Deployment) -> None:
    fast = FAST | {"THALWEG_QUALITY__INTERVAL_S": "0.5"}
    for stage in ("score", "log", "join"):
        segmented.start(stage, **fast).wait_ready()
    send(segmented, range(2))
    segmented.wait_for_log(2 * ROWS)
    producer = Producer(segmented.kafka.librdkafka())
    for number in range(2):
        for index in range(ROWS):
            name = f"w{number}-{index}"
            label = {"event_id": name, "label": index % 2, "label_time_ms": EPOCH}
            producer.produce(segmented.names.labels, json.dumps(label).encode(), name)
    assert producer.flush(PATIENCE_S) == 0

    def brier(client: Client, segment: str) -> list[QualityMetric]:
        found = quality_history(client, segmented.name, "brier", segment=segment)
        return [each for each in found if each.maturity == 1]

    with connect(segmented.clickhouse) as client:
        segments = ("", *(f"channel={name}" for name in CHANNELS))
        until(lambda: all(len(brier(client, each)) == 2 for each in segments))
        rows = np.array(
            client.query(
                "SELECT toUnixTimestamp64Milli(event_time), features[4], label, score"
                " FROM labelled_predictions WHERE pipeline = {p:String}",
                {"p": segmented.name},
            )
        )
        for code, name in enumerate(CHANNELS):
            for window in brier(client, f"channel={name}"):
                inside = (rows[:, 0] >= window.window_start_ms) & (
                    rows[:, 0] < window.window_end_ms
                )
                own = rows[inside & (rows[:, 1] == code)]
                assert (window.n_scored, window.n_labelled) == (len(own), len(own))
                expected = brier_score_loss(own[:, 2], own[:, 3])
                assert window.realised == pytest.approx(expected, rel=1e-6)
                assert window.estimate is not None
        assert [each.n_scored for each in brier(client, "")] == [ROWS, ROWS]
