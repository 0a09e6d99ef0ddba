"""docker-compose.yml: valid by the specification, and its services run as it says, natively."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.fraud import HISTORY_EVENTS
from deploy.local.children import spawn
from deploy.local.kafka import find_java, find_kafka_home
from deploy.local.probe import answers
from deploy.local.stages import DRIFT, SERVING
from schemas.settings import ClickHouseSettings, refuse_unknown_names
from storage import queries
from storage.client import connect
from tests.fixtures.kafka import require_kafka
from tests.fixtures.ports import reserved_port

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
PATIENCE_S = 180.0


def compose() -> dict[str, Any]:
    """The file as Compose reads it: variables at their defaults, merges done."""
    text = VARIABLE.sub(r"\2", (ROOT / "docker-compose.yml").read_text())
    return dict(yaml.safe_load(text))


COMPOSE = compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("thalweg-")]


def test_it_is_valid_by_the_compose_specification() -> None:
    path = resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    schema = json.loads(path.read_text())

    validator = jsonschema.Draft7Validator(schema)
    validator.validate(COMPOSE)
    broken = {"services": {"kafka": {"imagee": "x"}}}
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_and_not_root(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]

    assert re.fullmatch(r"\d+(\.\d+)+", tag), f"{service['image']} is not pinned to a version"
    assert not service["user"].startswith("0")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_long_running_service_but_the_producer_has_a_healthcheck() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}

    assert without == {"init", "producer"}


@pytest.mark.parametrize("name", OURS)
def test_the_environment_of_our_services_names_only_settings(name: str) -> None:
    environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}

    refuse_unknown_names(environment)
    assert "THALWEG_KAFKA__BOOTSTRAP_SERVERS" in environment


def test_every_worker_has_an_id_of_its_own() -> None:
    workers = [SERVICES[name] for name in OURS if SERVICES[name]["command"][0] == "worker"]

    assert len({each["environment"]["THALWEG_WORKER_ID"] for each in workers}) == len(workers)


def test_every_stage_has_a_worker() -> None:
    commands = [SERVICES[name]["command"] for name in OURS]

    assert [each[1] for each in commands if each[0] == "worker"] == list(SERVING | DRIFT)


def test_the_image_copies_every_package_of_ours() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}

    assert {line.split()[1] for line in dockerfile.splitlines() if line.startswith("COPY ")} > (
        packages
    )


def test_its_producer_goes_on_after_what_the_first_model_was_trained_on() -> None:
    command = SERVICES["producer"]["command"]

    assert int(command[command.index("--skip") + 1]) == HISTORY_EVENTS


@pytest.fixture
def compose_kafka(tmp_path: Path) -> Iterator[str]:
    """A native Kafka with the `kafka` service's environment; hosts, ports and folders are local."""
    require_kafka()
    ports = {port: reserved_port() for port in ("19092", "9092", "9093")}
    environment = dict(SERVICES["kafka"]["environment"])
    lines = []
    for variable, value in environment.items():
        text = re.sub(r":(\d+)", lambda match: f":{ports.get(match[1], match[1])}", str(value))
        text = text.replace("kafka:", "127.0.0.1:").replace("://:", "://127.0.0.1:")
        text = text.replace("/var/lib/kafka/data", str(tmp_path / "data"))
        # As the image does it: KAFKA_LOG_DIRS is log.dirs.
        lines.append(f"{variable.removeprefix('KAFKA_').lower().replace('_', '.')}={text}\n")
    properties = tmp_path / "server.properties"
    properties.write_text("".join(lines))
    java = [find_java(), "-Xmx384m", "-cp", f"{find_kafka_home() / 'libs'}/*"]
    storage = [*java, "kafka.tools.StorageTool", "format", "-c", str(properties)]
    subprocess.run([*storage, "-t", "5L6g3nShT-eMCtK--X86sw"], check=True, capture_output=True)
    process = spawn([*java, "kafka.Kafka", str(properties)], log_file=tmp_path / "kafka.log")
    try:
        wait_until(lambda: answers("127.0.0.1", ports["9092"]), process)
        yield f"127.0.0.1:{ports['19092']}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.kafka
def test_its_commands_and_environments_score_and_log_events_when_run_natively(
    compose_kafka: str, database: ClickHouseSettings, tmp_path: Path
) -> None:
    local = {
        "THALWEG_KAFKA__BOOTSTRAP_SERVERS": compose_kafka,
        "THALWEG_CLICKHOUSE__URL": database.url,
        "THALWEG_CLICKHOUSE__DATABASE": database.database,
        "THALWEG_CLICKHOUSE__USERNAME": database.username,
        "THALWEG_CLICKHOUSE__PASSWORD": database.password,
        "THALWEG_DATA_DIR": str(tmp_path / "data"),
        "THALWEG_MODEL_STORE": str(tmp_path / "models"),
    }
    running = []
    try:
        init = start("init", local, tmp_path)
        assert init.wait(PATIENCE_S * 2) == 0, (tmp_path / "init.log").read_text()
        for name in SERVING | DRIFT:
            ready = tmp_path / f"{name}.ready"
            worker = start(name, {**local, "THALWEG_READY_FILE": str(ready)}, tmp_path)
            running.append(worker)
            assert SERVICES[name]["healthcheck"]["test"][-1] == "/tmp/ready"
            wait_until(ready.exists, worker)
        producer = start("producer", local, tmp_path)
        running.append(producer)
        with connect(database) as client:
            wait_until(lambda: queries.counts(client, "fraud").n_rows >= 200, producer)
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(PATIENCE_S) for process in running[:-1]] == [0] * 6
    finally:
        for process in running:
            process.kill()
            process.wait()


def start(name: str, local: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    """Run a service's command with its environment; `local` replaces addresses and folders."""
    service = SERVICES[name]
    wanted = {key: str(value) for key, value in service["environment"].items()} | local
    others = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
    command = [sys.executable, "-m", "thalweg.main", *map(str, service["command"])]
    return spawn(command, log_file=folder / f"{name}.log", environment=others | wanted)


def wait_until(condition: Any, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)
