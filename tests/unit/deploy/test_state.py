"""What a data directory remembers, and who holds it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from deploy.local.children import started_at
from deploy.local.embedded import EmbeddedBroker
from deploy.local.kafka import ApacheKafka
from deploy.local.lock import hold, holder
from deploy.local.parts import Worker, choose_broker, choose_ports, uses_own_clickhouse
from deploy.local.stack import end_leftovers
from deploy.local.state import (
    Ports,
    ProcessInfo,
    ProcessState,
    StackState,
    read_state,
    state_path,
    write_state,
)
from schemas.errors import ConfigurationError
from schemas.settings import load_settings

PORTS = Ports(kafka=1001, kafka_controller=1002, clickhouse_http=1003, clickhouse_tcp=1004)
STATE = StackState(ports=PORTS, bootstrap_servers="127.0.0.1:1001", clickhouse_url="http://x")


def test_a_written_state_reads_back_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)

    assert read_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]


def test_a_directory_without_a_stack_has_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None


def test_a_broken_state_says_which_file_to_remove(tmp_path: Path) -> None:
    state_path(tmp_path).write_text("{")

    with pytest.raises(ConfigurationError, match=r"stack\.json is unreadable"):
        read_state(tmp_path)


def test_a_pid_that_was_given_to_another_process_is_not_a_running_stack() -> None:
    mine = msgspec.structs.replace(STATE, pid=os.getpid(), started=started_at(os.getpid()))

    assert mine.running
    assert not msgspec.structs.replace(mine, started=mine.started + 1).running
    assert not STATE.running


def test_a_held_directory_names_its_holder_and_is_free_afterwards(tmp_path: Path) -> None:
    held_by_me = pytest.raises(ConfigurationError, match=f"stack of pid {os.getpid()}")
    with hold(tmp_path), held_by_me, hold(tmp_path):
        pass
    with hold(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_the_holder_of_a_directory_is_known_while_it_holds_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with hold(tmp_path):
        assert holder(tmp_path) == str(os.getpid())
    assert holder(tmp_path) is None


def test_ports_are_kept_and_settings_win(tmp_path: Path) -> None:
    plain = load_settings({}, data_dir=tmp_path)
    chosen = load_settings({"THALWEG_LOCAL__KAFKA_PORT": "2001"}, data_dir=tmp_path)

    assert choose_ports(plain, STATE) == PORTS
    assert choose_ports(chosen, STATE).kafka == 2001
    assert len(set(msgspec.structs.astuple(choose_ports(plain, None)))) == 4


def test_given_addresses_mean_that_somebody_else_runs_it(tmp_path: Path) -> None:
    given = load_settings(
        {
            "THALWEG_KAFKA__BOOTSTRAP_SERVERS": "broker:9092",
            "THALWEG_CLICKHOUSE__URL": "http://clickhouse:8123",
        },
        data_dir=tmp_path,
    )

    assert choose_broker(given, PORTS).command() == []
    assert choose_broker(given, PORTS).bootstrap_servers == "broker:9092"
    assert not uses_own_clickhouse(given)
    assert uses_own_clickhouse(load_settings({}, data_dir=tmp_path))


def test_with_nothing_given_the_embedded_broker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)

    assert choose_broker(load_settings({}, data_dir=tmp_path), PORTS) == EmbeddedBroker(
        tmp_path / "broker", PORTS.kafka
    )


def test_bootstrap_servers_win_over_kafka_home_and_kafka_home_over_the_embedded_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, java = tmp_path / "kafka-4", tmp_path / "jdk" / "bin" / "java"
    (home / "libs").mkdir(parents=True)
    (home / "libs" / "kafka_2.13-4.3.1.jar").touch()
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("KAFKA_HOME", str(home))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    given = load_settings({"THALWEG_KAFKA__BOOTSTRAP_SERVERS": "a:9092"}, data_dir=tmp_path)

    chosen = choose_broker(load_settings({}, data_dir=tmp_path), PORTS)

    assert isinstance(chosen, ApacheKafka)
    assert (chosen.home, chosen.directory) == (home, tmp_path / "kafka")
    assert choose_broker(given, PORTS).bootstrap_servers == "a:9092"


def test_a_kafka_home_that_holds_none_is_not_silently_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match="holds no Kafka"):
        choose_broker(load_settings({}, data_dir=tmp_path), PORTS)


def test_a_state_of_before_brokers_had_names_still_reads(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    old = state_path(tmp_path).read_text().replace('"broker": "",', "")
    state_path(tmp_path).write_text(old)

    assert '"broker"' not in old
    assert read_state(tmp_path) == STATE


def test_a_worker_gets_exactly_the_settings_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("thalweg_pipeline", "other")
    monkeypatch.setenv("HOME_OF_SOMETHING", "kept")
    settings = load_settings({"THALWEG_SCORING__LINGER_MS": "7"}, data_dir=tmp_path)
    worker = Worker(settings, "score", "fraud")
    environment = worker.environment()
    read = load_settings({k: v for k, v in environment.items() if k.startswith("THALWEG_")})

    assert environment["HOME_OF_SOMETHING"] == "kept"
    assert "thalweg_pipeline" not in environment
    assert (read.pipeline, read.worker_id) == ("fraud", "local-score-fraud")
    assert read.scoring == settings.scoring
    assert read.ready_file == worker.ready


def test_a_stale_ready_file_does_not_make_a_new_worker_ready(tmp_path: Path) -> None:
    worker = Worker(load_settings({}, data_dir=tmp_path), "log", "fraud")
    service = worker.service()
    service.prepare()
    worker.ready.touch()
    assert service.healthy()

    service.prepare()

    assert not service.healthy()


def test_leftovers_of_a_dead_supervisor_are_killed_and_strangers_are_not() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left, stranger = (subprocess.Popen(sleep, start_new_session=True) for _ in range(2))
    wrong_start = started_at(stranger.pid) + 1
    processes = tuple(
        ProcessInfo(name=name, pid=pid, started=start, state=ProcessState.RUNNING, restarts=0)
        for name, pid, start in (
            ("left", left.pid, started_at(left.pid)),
            ("stranger", stranger.pid, wrong_start),
        )
    )

    end_leftovers(msgspec.structs.replace(STATE, processes=processes))

    assert left.wait(60) == -9
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
