"""SIGKILL and SIGSTOP at random moments under load: nothing is lost, nothing doubled, order holds.

`CHAOS_KILLS` sets how many kills (default 20; `make chaos` takes 100).
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deployment import PATIENCE_S, Deployment, until

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.every_broker]

N_KILLS = int(os.environ.get("CHAOS_KILLS", "20"))


@contextmanager
def load(deployment: Deployment, events_per_s: int) -> Iterator[None]:
    """Produce steadily until the block ends."""
    ending = threading.Event()

    def produce() -> None:
        while not ending.wait(0.1):
            deployment.send(events_per_s // 10)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.mark.timeout(600 + 60 * N_KILLS)
def test_kills_of_scorer_and_logger_lose_and_double_nothing(deployment: Deployment) -> None:
    chance = random.Random(11)
    workers = {stage: deployment.start(stage, f"{stage}-1") for stage in ("score", "log")}
    for worker in workers.values():
        worker.wait_ready()
    with load(deployment, 2000):
        for _ in range(N_KILLS):
            stage = chance.choice(["score", "log"])
            workers[stage].kill()
            workers[stage] = deployment.start(stage, f"{stage}-1")
            if chance.random() < 0.7:
                workers[stage].wait_ready()
            time.sleep(chance.uniform(0, 1.5))
    deployment.wait_for_log()
    deployment.assert_logged_exactly_once()
    deployment.assert_order_per_key()


@pytest.mark.parametrize("stage", ["score", "log"])
def test_one_joins_one_leaves_one_is_killed_one_is_frozen(
    deployment: Deployment, stage: str
) -> None:
    other = "log" if stage == "score" else "score"
    deployment.start(other).wait_ready()
    first = deployment.start(stage, "first")
    first.wait_ready()
    with load(deployment, 1000):
        second = deployment.start(stage, "second")
        second.wait_ready()
        time.sleep(1)
        assert first.stop() == 0
        third = deployment.start(stage, "third")
        third.wait_ready()
        time.sleep(1)
        third.kill()
        fourth = deployment.start(stage, "fourth")
        fourth.wait_ready()
        time.sleep(1)
        fourth.freeze()
        time.sleep(9)  # past its session of 6 s: the group goes on without it
        fourth.thaw()
        time.sleep(3)
    if not (second.alive or fourth.alive):
        deployment.start(stage, "fifth")
    deployment.wait_for_log()
    deployment.assert_logged_exactly_once()
    deployment.assert_order_per_key()


def test_clickhouse_down_stops_only_the_log(
    deployment_with_own_clickhouse: Deployment, clickhouse_server: object
) -> None:
    import psutil

    from tests.fixtures.clickhouse import ClickHouseServer

    deployment = deployment_with_own_clickhouse
    assert isinstance(clickhouse_server, ClickHouseServer)
    deployment.start("score").wait_ready()
    logger = deployment.start("log", THALWEG_LOG__MAX_BUFFERED_BYTES=str(2**20))
    logger.wait_ready()
    deployment.send(1000)
    deployment.wait_for_log()
    before = psutil.Process(logger.process.pid).memory_info().rss
    clickhouse_server.kill()
    for _ in range(10):
        deployment.send(5000)
    until(lambda: deployment.lag("score") == 0)
    assert deployment.lag("log") > 0
    grown = psutil.Process(logger.process.pid).memory_info().rss - before
    assert grown < 150 * 2**20
    clickhouse_server.start()
    deployment.wait_for_log()
    assert logger.alive
    deployment.assert_logged_exactly_once()


def test_a_broker_restart_is_survived_by_itself(
    deployment_with_own_kafka: Deployment, kafka_server: object
) -> None:
    from tests.fixtures.kafka import KafkaServer

    deployment = deployment_with_own_kafka
    assert isinstance(kafka_server, KafkaServer)
    scorer, logger = deployment.start("score"), deployment.start("log")
    scorer.wait_ready()
    logger.wait_ready()
    deployment.send(2000)
    kafka_server.restart()
    deployment.send(2000)
    kafka_server.kill()
    time.sleep(3)
    kafka_server.start()
    deployment.send(2000)
    deployment.wait_for_log()
    assert scorer.alive
    assert logger.alive
    deployment.assert_logged_exactly_once()
    deployment.assert_order_per_key()
