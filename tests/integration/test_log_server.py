"""The ClickHouse server out of the chdb-core wheel: a private entry point, hence started here."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.clickhouse import command, healthy
from storage.client import connect
from tests.deployment import PATIENCE_S
from tests.fixtures.clickhouse import ClickHouseServer
from tests.fixtures.ports import reserved_port

pytest.importorskip("chdb", reason="the local ClickHouse needs chdb-core")


def run_to_its_end(path: Path, http_port: int, tcp_port: int) -> tuple[int, str]:
    done = subprocess.run(
        command(path, http_port, tcp_port, 512),
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_a_restart_finds_the_data(
    clickhouse_server: ClickHouseServer, number: signal.Signals
) -> None:
    with connect(clickhouse_server.settings) as client:
        client.command("CREATE TABLE kept (a Int32) ENGINE = MergeTree ORDER BY a")
        client.command("INSERT INTO kept VALUES (1)")
    clickhouse_server.process.send_signal(number)
    assert clickhouse_server.process.wait(PATIENCE_S) == 0
    assert not healthy(clickhouse_server.settings.url)
    clickhouse_server.start()
    with connect(clickhouse_server.settings) as client:
        assert client.query("SELECT a FROM kept") == [(1,)]


@pytest.mark.parametrize("after_s", [0.1, 0.6, 1.0])
def test_a_signal_while_it_starts_stops_it_too(tmp_path: Path, after_s: float) -> None:
    process = subprocess.Popen(command(tmp_path, reserved_port(), reserved_port(), 512))
    time.sleep(after_s)
    process.terminate()
    assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM)


def test_its_memory_is_limited(clickhouse_server: ClickHouseServer) -> None:
    with connect(clickhouse_server.settings) as client:
        ((limit,),) = client.query(
            "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"
        )
    assert int(limit) == 1024 * 2**20


def test_a_directory_in_use_is_refused_with_the_owner(clickhouse_server: ClickHouseServer) -> None:
    status, message = run_to_its_end(clickhouse_server.path, reserved_port(), reserved_port())
    assert status == 1
    assert f"in use by another ClickHouse (pid {clickhouse_server.process.pid})" in message
    assert healthy(clickhouse_server.settings.url), "the owner goes on"


def test_a_taken_port_is_refused_with_its_number(tmp_path: Path, taken_port: int) -> None:
    for ports in ((taken_port, reserved_port()), (reserved_port(), taken_port)):
        status, message = run_to_its_end(tmp_path, *ports)
        assert status == 1
        assert f"port {taken_port} of 127.0.0.1 is taken" in message


def test_nothing_that_listens_is_not_healthy(taken_port: int) -> None:
    assert not healthy(f"http://127.0.0.1:{reserved_port()}")
    assert not healthy(f"http://127.0.0.1:{taken_port}")
