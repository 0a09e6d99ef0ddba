"""`thalweg worker sketch` on a real broker: what the detector will merge is what was scored."""

import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from faust.types import TP

from drift.coverage import Source
from drift.merging import merge_once
from drift.reference import Reference
from drift.reference_bytes import decode_reference
from drift.sketch import Sketch, decode_sketch
from schemas.frames import decode_frame, encode_frame
from storage.model_store import ModelStore, read_reference
from stream_processors.sketch_drift.gatherer import Gatherer, Shape, Watched
from stream_processors.sketch_drift.reached import reached_before
from stream_processors.topics import create_shared_topics
from tests.deployment import PATIENCE_S, Deployment, until
from tests.fixtures.frames import make_frame
from tests.fixtures.ports import reserved_port

pytestmark = [pytest.mark.kafka]

Windows = dict[tuple[str, int], Sketch]

WINDOW_S = 3600
FAST = {"THALWEG_DRIFT__FLUSH_INTERVAL_S": "0.2", "THALWEG_DRIFT__MAX_ROWS_PER_PIECE": "300"}
PATIENT = {"THALWEG_DRIFT__FLUSH_INTERVAL_S": "600"}
"""It publishes when it is stopped, and not before."""


@pytest.fixture
def reference(model: tuple[Path, str]) -> Reference:
    store, sha256 = model
    return decode_reference(read_reference(ModelStore(store).path(sha256)))


@pytest.fixture
def sketched(deployment: Deployment) -> Deployment:
    """A pipeline with the topics that pipelines share."""
    create_shared_topics(deployment.kafka)
    return deployment


def published(deployment: Deployment, reference: Reference) -> list[Sketch]:
    """The pieces of this pipeline, as the detector reads them."""
    own = [
        message
        for message in deployment.read(deployment.names.drift_sketches)
        if message.key() == deployment.name.encode()
    ]
    assert len({message.partition() for message in own}) <= 1, "in one partition, in order"
    return [decode_sketch(message.value() or b"", reference.columns) for message in own]


def merged(pieces: list[Sketch]) -> Windows:
    found: dict[tuple[str, int], list[Sketch]] = defaultdict(list)
    for piece in pieces:
        assert piece.coverage.only_range is not None
        found[piece.key.model_version, piece.key.window_start_ms].append(piece)
    return {key: merge_once(own).sketch for key, own in found.items()}


def expected(deployment: Deployment, reference: Reference, window_s: int) -> Windows:
    """The windows of the frames on `scored-batches`, cut by one gatherer in one go."""
    shape = Shape(deployment.name, window_s * 1000, 60_000, 2048, 200)
    watched = Watched(reference.columns, reference.customers is not None)
    frames = [
        decode_frame(message.value() or b"")
        for message in deployment.read(deployment.names.scored_batches)
    ]
    return merged(list(Gatherer(shape, lambda _: watched).cut(frames)))


def assert_same(found: Windows, whole: Windows, n_rows: int) -> None:
    assert set(found) == set(whole)
    assert sum(sketch.n for sketch in found.values()) == n_rows
    for key, one in found.items():
        a, b = one.summary, whole[key].summary
        for name in ("counts", "n_finite", "minimum", "maximum", "n_out_of_range"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
        np.testing.assert_allclose(a.shift, b.shift, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.m2, b.m2, rtol=1e-9)
        assert one.sample is not None
        assert whole[key].sample is not None
        assert one.sample.rows.tobytes() == whole[key].sample.rows.tobytes()


def wait_until_sketched(deployment: Deployment) -> None:
    until(lambda: deployment.lag("score") == 0 and deployment.lag("sketch") == 0)


@pytest.mark.every_broker
def test_every_scored_row_is_in_the_sketch_of_its_window(
    sketched: Deployment, reference: Reference
) -> None:
    for stage in ("score", "sketch"):
        sketched.start(stage, THALWEG_DRIFT__WINDOW_S="1", **FAST).wait_ready()
    for _ in range(3):
        sketched.send(1200)
        time.sleep(0.5)
    wait_until_sketched(sketched)
    found = merged(published(sketched, reference))
    assert sorted({start for _, start in found}) == [
        10**12 + each for each in (0, 1000, 2000, 3000)
    ]
    assert_same(found, expected(sketched, reference, 1), 3600)


def test_workers_that_come_and_go_give_the_same_windows(
    sketched: Deployment, reference: Reference
) -> None:
    sketched.start("score").wait_ready()
    first = sketched.start("sketch", "first", **FAST)
    first.wait_ready()
    sketched.send(1000)
    sketched.start("sketch", "second", **FAST).wait_ready()
    sketched.send(1000)
    assert first.stop() == 0
    sketched.send(1000)
    wait_until_sketched(sketched)
    whole = expected(sketched, reference, WINDOW_S)
    assert_same(merged(published(sketched, reference)), whole, 3000)


def test_a_worker_that_is_stopped_publishes_what_it_has_gathered(
    sketched: Deployment, reference: Reference
) -> None:
    sketched.start("score").wait_ready()
    worker = sketched.start("sketch", THALWEG_METRICS_PORT=str(reserved_port()), **PATIENT)
    worker.wait_ready()
    sketched.send(500)
    until(lambda: worker.metric("thalweg_drift_rows_waiting") == 500)
    assert published(sketched, reference) == []
    assert worker.stop() == 0
    if "drain_timed_out" in worker.log_path.read_text():  # a stop waits five seconds, no more
        sketched.start("sketch", **FAST)
        wait_until_sketched(sketched)
    whole = expected(sketched, reference, WINDOW_S)
    assert_same(merged(published(sketched, reference)), whole, 500)
    assert sketched.lag("sketch") == 0


def test_what_a_stopped_worker_had_not_gathered_its_successor_publishes(
    sketched: Deployment, reference: Reference
) -> None:
    """It is stopped at once: what it gathered of the rows is chance, and all of them are there."""
    sketched.start("score").wait_ready()
    worker = sketched.start("sketch", **PATIENT)
    worker.wait_ready()
    sketched.send(500)
    assert worker.stop() == 0
    sketched.send(500)
    sketched.start("sketch", **FAST).wait_ready()
    wait_until_sketched(sketched)
    whole = expected(sketched, reference, WINDOW_S)
    assert_same(merged(published(sketched, reference)), whole, 1000)


def test_kills_lose_and_double_nothing(sketched: Deployment, reference: Reference) -> None:
    """Replays of every kind are simulated in tests/property/test_sketch_pieces.py; whether a kill
    here falls between publishing and committing is chance."""
    chance = random.Random(5)
    workers = {stage: sketched.start(stage, f"{stage}-1", **FAST) for stage in ("score", "sketch")}
    for worker in workers.values():
        worker.wait_ready()
    for kill in range(6):
        for _ in range(4):
            sketched.send(150)
            time.sleep(0.2)
        time.sleep(chance.uniform(0, 0.3))
        stage = "score" if kill == 3 else "sketch"
        workers[stage].kill()
        sketched.send(100)
        workers[stage] = sketched.start(stage, f"{stage}-1", **FAST)
        workers[stage].wait_ready()
    wait_until_sketched(sketched)

    pieces = published(sketched, reference)
    assert_same(merged(pieces), expected(sketched, reference, WINDOW_S), sketched.n_sent)


def test_without_the_shared_topic_it_says_so(deployment: Deployment) -> None:
    prefix = {"THALWEG_KAFKA__TOPIC_PREFIX": f"{deployment.name}-"}
    worker = deployment.start("sketch", **prefix)
    assert worker.process.wait(PATIENCE_S) == 2
    assert f"topic {deployment.name}-drift-sketches is missing" in worker.log_path.read_text()


@pytest.mark.every_broker
def test_looking_back_finds_how_far_the_frames_before_a_place_reach(
    deployment: Deployment,
) -> None:
    ranges = [(0, 100), (100, 200), (150, 160), (160, 170), (170, 260)]
    frames = [encode_frame(make_frame(range(begin, end))) for begin, end in ranges]
    other = encode_frame(make_frame(range(7), topic_id="recreated"))
    producer = Producer(deployment.kafka.librdkafka() | {"enable.idempotence": True})
    for value in (*frames[:4], b"garbage", other, frames[4]):
        producer.produce(deployment.names.scored_batches, value, partition=1)
    assert producer.flush(PATIENCE_S) == 0

    def look_back(offset: int) -> dict[Source, int]:
        return reached_before(deployment.kafka, TP(deployment.names.scored_batches, 1), offset)

    source = ("topic-1", 0)
    assert look_back(0) == {}
    assert look_back(1) == {source: 100}
    assert look_back(4) == {source: 200}, "what was repeated does not hide what came before"
    assert look_back(6) == {source: 200, ("recreated", 0): 7}
