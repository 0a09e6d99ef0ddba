"""The `thalweg` command without a stack: help, errors, settings."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from producers.fraud import Drift, DriftKind
from schemas.errors import ConfigurationError
from schemas.settings import Settings, variable_name, walk
from thalweg.events import parse_drift

COMMANDS = ["up", "down", "status", "demo", "bootstrap", "produce", "replay", "worker", "topics"]
COMMANDS += ["dead-letters", "broker", "settings"]


def thalweg(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    others = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
    return subprocess.run(
        [sys.executable, "-m", "thalweg.main", *arguments],
        env={**others, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command() -> None:
    shown = thalweg("--help").stdout

    listed = {line.split()[0] for line in shown.splitlines() if line.startswith("  ")}
    assert {*COMMANDS, "bench"} <= listed


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, thalweg.main\n"
        "heavy = {'pydantic', 'rich', 'numpy', 'pyarrow', 'confluent_kafka', 'faust', 'torch',"
        " 'onnxruntime', 'clickhouse_connect', 'structlog', 'msgspec', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = thalweg(command, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("produce",), ("topics", "list"), ("dead-letters",), ("replay", "x.csv")]
)
def test_without_a_stack_one_line_says_how_to_get_one(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = thalweg(*arguments, "--data-dir", str(tmp_path))

    assert done.returncode == 2
    assert done.stderr.startswith(f"thalweg: no stack runs on {tmp_path}: `thalweg up --detach`")
    assert len(done.stderr.splitlines()) == 1


def test_up_with_a_kafka_home_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    done = thalweg("up", "--data-dir", str(tmp_path / "data"), KAFKA_HOME=str(tmp_path))

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"KAFKA_HOME={tmp_path} holds no Kafka" in done.stderr


def test_up_against_a_cluster_that_is_not_there_says_so(tmp_path: Path) -> None:
    done = thalweg(
        "up", "--data-dir", str(tmp_path), THALWEG_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"
    )

    assert done.returncode == 2
    assert "no Kafka answers at 127.0.0.1:1" in done.stderr


def test_a_broker_on_a_directory_of_something_else_or_a_taken_port_is_one_sentence(
    tmp_path: Path,
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to a friend").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        taken = thalweg("broker", "--data-dir", str(tmp_path / "new"), "--port", port)
    foreign = thalweg("broker", "--data-dir", str(tmp_path / "letters"))

    assert (taken.returncode, foreign.returncode) == (2, 2)
    assert taken.stderr.startswith(f"thalweg: port {port} for the broker is taken")
    assert foreign.stderr.startswith(f"thalweg: {tmp_path / 'letters'} holds files that are no")
    assert len(taken.stderr.splitlines()) == len(foreign.stderr.splitlines()) == 1


def test_a_misspelt_setting_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    done = thalweg("status", "--data-dir", str(tmp_path), THALWEG_KAKFA__PARTITIONS="3")

    assert done.returncode == 2
    assert "did you mean THALWEG_KAFKA__PARTITIONS?" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_and_status_without_a_stack_say_so(tmp_path: Path) -> None:
    down = thalweg("down", "--data-dir", str(tmp_path))
    status = thalweg("status", "--data-dir", str(tmp_path))

    assert (down.returncode, status.returncode) == (0, 1)
    assert f"no stack runs on {tmp_path}" in down.stdout
    assert f"no stack runs on {tmp_path}" in status.stdout


def test_the_settings_reference_has_every_setting_and_hides_no_default() -> None:
    shown = thalweg("settings").stdout

    for path, _, _ in walk(Settings):
        assert f"{variable_name(path)}=" in shown
    assert "THALWEG_KAFKA__PARTITIONS=4" in shown


def test_settings_as_markdown_are_the_page_in_docs() -> None:
    page = Path(__file__).parents[3] / "docs" / "settings.md"

    assert thalweg("settings", "--markdown").stdout == page.read_text()


@pytest.mark.parametrize(
    ("text", "drift"),
    [
        ("concept@5000", Drift(DriftKind.CONCEPT, 5000)),
        ("prior@0:2.5", Drift(DriftKind.PRIOR, 0, 2.5)),
    ],
)
def test_a_drift_is_written_as_kind_at_event(text: str, drift: Drift) -> None:
    assert parse_drift(text) == drift


@pytest.mark.parametrize("text", ["concept", "concept@x", "wind@5", "concept@5:much", "prior@1:-1"])
def test_a_drift_that_is_not_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_drift(text)


def test_bootstrap_of_a_file_asks_for_its_label_column(tmp_path: Path) -> None:
    done = thalweg("bootstrap", "x.csv", "--data-dir", str(tmp_path))

    assert done.returncode == 2
    assert "--label COLUMN" in done.stderr
