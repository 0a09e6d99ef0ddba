"""`thalweg broker`: the development broker in the foreground, as a user has it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.probe import answers
from tests.fixtures.ports import reserved_port

PATIENCE_S = 120
NOTICE = "development broker: single node, no replication, no TLS"


@contextmanager
def running(data_dir: Path, port: int, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A broker that answers."""
    command = [sys.executable, "-m", "thalweg.main", "broker", "--data-dir", str(data_dir)]
    process = subprocess.Popen(
        [*command, "--port", str(port), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not answers("127.0.0.1", port):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_and_what_it_is_and_ends_cleanly(
    tmp_path: Path, number: signal.Signals
) -> None:
    port = reserved_port()
    with running(tmp_path / "data", port) as broker:
        os.kill(broker.pid, number)
        output, errors = broker.communicate(timeout=PATIENCE_S)

    assert broker.returncode == 0
    assert f"127.0.0.1:{port} ({NOTICE})" in output
    assert str(tmp_path / "data") in output
    assert errors.splitlines()[-1] == "stopped; the data is kept"
    assert "Traceback" not in errors


def test_a_killed_one_is_started_again_on_the_same_directory(tmp_path: Path) -> None:
    ports = reserved_port(), reserved_port()
    for port in ports:
        with running(tmp_path, port) as broker:
            os.kill(broker.pid, signal.SIGKILL)
            output, _ = broker.communicate(timeout=PATIENCE_S)
        assert broker.returncode == -signal.SIGKILL
        assert f"127.0.0.1:{port} " in output


def test_a_second_one_on_the_same_directory_names_the_first(tmp_path: Path) -> None:
    with running(tmp_path, reserved_port()) as first:
        command = [sys.executable, "-m", "thalweg.main", "broker", "--data-dir", str(tmp_path)]
        second = subprocess.run(
            [*command, "--port", str(reserved_port())],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert second.returncode == 2
    assert second.stderr.startswith(
        f"thalweg: {tmp_path} is in use by the broker of pid {first.pid}"
    )


def test_an_address_that_others_reach_is_warned_of(tmp_path: Path) -> None:
    with running(tmp_path, reserved_port(), "--host", "0.0.0.0") as broker:
        os.kill(broker.pid, signal.SIGINT)
        output, errors = broker.communicate(timeout=PATIENCE_S)

    assert "WARNING: 0.0.0.0 is reachable from other machines" in errors
    assert "read, write and delete" in errors
    assert NOTICE in output


def test_the_broker_process_imports_nothing_slow() -> None:
    code = (
        "import sys, deploy.local.broker.__main__\n"
        "slow = {'pydantic', 'typer', 'numpy', 'pyarrow', 'confluent_kafka', 'faust',"
        " 'mode', 'torch', 'onnxruntime', 'clickhouse_connect', 'msgspec'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
