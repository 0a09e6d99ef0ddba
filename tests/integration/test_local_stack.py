"""`thalweg up` with its real parts: a broker, a ClickHouse, and the workers of a pipeline."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.children import is_same_process
from deploy.local.stages import DRIFT, SERVING
from deploy.local.state import StackState
from tests.deployment import until
from tests.fixtures.brokers import BrokerKind
from tests.fixtures.kafka import require_broker
from tests.stack import Stack

pytestmark = pytest.mark.every_broker
N_ROWS = 300


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, broker_kind: BrokerKind) -> Iterator[Stack]:
    """A running stack with one pipeline, `people`, made while it ran."""
    require_broker(broker_kind)
    running = Stack(tmp_path_factory.mktemp("stack") / "data", broker_kind)
    try:
        running.up()
        made = running.run("bootstrap", str(labelled_file(running.data_dir)), "--label", "outcome")
        assert made.returncode == 0, made.stderr
        assert "pipeline people is live" in made.stdout
        yield running
    finally:
        running.run("down")


def labelled_file(folder: Path) -> Path:
    """Three features of which the first decides the outcome."""
    rng = random.Random(0)
    rows = [[rng.gauss(0, 1) for _ in range(3)] for _ in range(N_ROWS)]
    lines = [",".join([*map(str, row), str(int(row[0] > 0.5))]) for row in rows]
    path = folder / "people.csv"
    path.write_text("\n".join(["a,b,c,outcome", *lines]) + "\n")
    return path


def test_a_pipeline_made_while_the_stack_runs_scores_a_replayed_file(stack: Stack) -> None:
    before = stack.n_logged("people")
    replayed = stack.run("replay", str(stack.data_dir / "people.csv"))

    assert replayed.returncode == 0, replayed.stderr
    until(lambda: stack.n_logged("people") == before + N_ROWS)
    until(lambda: all(each["lag"] == 0 for each in stack.status()["lag"]))
    status = stack.status()
    ends = {each["name"]: each["end_offset"] for each in status["topics"]}
    assert ends["people.features"] == ends["people.predictions"] == before + N_ROWS
    assert {each["stage"] for each in status["lag"]} == set(SERVING | DRIFT)
    names = {each["name"] for each in status["processes"]}
    assert names == {"broker", "clickhouse"} | {f"{stage}-people" for stage in SERVING | DRIFT}
    assert {each["state"] for each in status["processes"]} == {"running"}


def test_status_says_what_kind_of_broker_it_is_where_its_address_is(
    stack: Stack, broker_kind: BrokerKind
) -> None:
    kinds = {
        "embedded": "development broker: single node, no replication, no TLS",
        "apache": "Apache Kafka out of KAFKA_HOME",
    }

    line = f"Kafka       {stack.state.bootstrap_servers}  ({kinds[broker_kind]})"
    assert line in stack.run("status").stdout.splitlines()
    assert stack.status()["broker"] == kinds[broker_kind]


def test_a_broker_s_files_lie_in_the_folder_of_its_kind(
    stack: Stack, broker_kind: BrokerKind
) -> None:
    folders = {path.name for path in stack.data_dir.iterdir()} & {"broker", "kafka"}

    assert folders == {"broker" if broker_kind == "embedded" else "kafka"}


def test_a_killed_broker_is_started_again_and_nothing_is_lost_or_doubled(stack: Stack) -> None:
    before, broker = stack.n_logged("people"), process(stack.state, "broker")
    os.kill(broker.pid, signal.SIGKILL)
    replayed = stack.run("replay", str(stack.data_dir / "people.csv"))

    assert replayed.returncode == 0, replayed.stderr
    until(lambda: stack.n_logged("people") == before + N_ROWS)
    until(lambda: all(each["lag"] == 0 for each in stack.status()["lag"]))
    assert stack.n_logged("people") == before + N_ROWS
    assert process(stack.state, "broker").restarts == broker.restarts + 1


def test_topics_tail_decodes_json_and_arrow(stack: Stack) -> None:
    stack.run("replay", str(stack.data_dir / "people.csv"))
    until(lambda: stack.n_logged("people") > 0)
    tails = {
        topic: stack.run("topics", "tail", topic, "--pipeline", "people", "-n", "1").stdout
        for topic in ("features", "predictions", "scored-batches")
    }

    assert '"features":{"a":' in tails["features"]
    assert '"score":' in tails["predictions"]
    assert '"covers_from":' in tails["scored-batches"]


def test_bootstrapping_the_same_file_again_changes_nothing(stack: Stack) -> None:
    workers = {each.name: each.pid for each in stack.state.processes}
    again = stack.run("bootstrap", str(stack.data_dir / "people.csv"), "--label", "outcome")

    assert "pipeline people unchanged" in again.stdout
    assert {each.name: each.pid for each in stack.state.processes} == workers


def test_a_file_no_pipeline_fits_names_the_command_that_makes_one(
    stack: Stack, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("x,y\n1,2\n")
    replayed = stack.run("replay", str(other))

    assert replayed.returncode == 2
    assert f"thalweg bootstrap {other} --label COLUMN" in replayed.stderr


def test_a_killed_worker_is_started_again_and_counted(stack: Stack) -> None:
    before = process(stack.state, "score-people")
    os.kill(before.pid, signal.SIGKILL)

    until(lambda: process(stack.state, "score-people").restarts == before.restarts + 1)
    until(lambda: process(stack.state, "score-people").state == "running")
    assert process(stack.state, "score-people").pid != before.pid


def test_a_second_up_on_the_same_directory_says_who_has_it(stack: Stack) -> None:
    second = stack.run("up")

    assert second.returncode == 2
    assert f"in use by the stack of pid {stack.state.pid}" in second.stderr


def test_children_end_with_a_killed_supervisor_and_a_second_up_resumes(stack: Stack) -> None:
    before, n_logged = stack.state, stack.n_logged("people")
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: not any(is_same_process(p.pid, p.started) for p in before.processes))

    stack.up()

    assert stack.state.ports == before.ports
    assert stack.state.bootstrap_servers == before.bootstrap_servers
    assert {each.name for each in stack.state.processes} == {p.name for p in before.processes}
    assert stack.n_logged("people") == n_logged


def test_down_drains_and_stops_everything(stack: Stack) -> None:
    running = stack.state
    done = stack.run("down")

    assert done.returncode == 0, done.stderr
    assert not running.running
    assert not any(is_same_process(each.pid, each.started) for each in running.processes)
    assert stack.run("status").returncode == 1


def process(state: StackState, name: str) -> Any:
    return next(each for each in state.processes if each.name == name)
