"""`thalweg worker join` on a real broker and ClickHouse: labels find predictions, whatever comes
first, and however often anything is killed."""

import random
import time
from collections.abc import Iterator

import msgspec
import pytest

from schemas.events import DeadLetter
from storage.client import Client, connect
from stream_processors.topics import create_shared_topics
from tests.deployment import Deployment
from tests.fixtures.clickhouse import ClickHouseServer
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
