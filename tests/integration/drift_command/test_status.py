"""`thalweg drift status` as a process, on a log in a real ClickHouse."""

import json
import re
from pathlib import Path

import pytest

from schemas.pipeline import Pipeline, write_pipeline
from schemas.settings import ClickHouseSettings
from storage.client import Client
from storage.drift_tables import DriftLog
from storage.model_store import ModelStore
from tests.integration.drift_command.command import Command
from tests.integration.drift_command.conftest import N_WINDOWS
from tests.live_drift import (
    SCHEMA,
    START_MS,
    WINDOW_MS,
    LiveLog,
)


def test_the_status_reads_well_on_a_terminal(
    thalweg: Command, client: Client, log: LiveLog, store: tuple[Path, str]
) -> None:
    log.insert(DriftLog(client))

    done = thalweg("status")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(done.stdout.split())
    assert f"champion {store[1]}" in text
    assert "reference 8,000 rows, 9 columns" in text
    assert "one false notice in 1,000 windows of 5 minutes, 0.288 a day" in text
    assert "2026-03-01 04:55 to 05:00 UTC, 400 rows" in text
    assert "open alerts 2" in text
    assert "alert: feature amount: moved, PSI" in text
    assert "from labels, 80% of those of the window to 2026-03-01 04:10" in text
    assert "estimated for the window to 2026-03-01 05:00" in text
    assert re.search(r"precision 0\.\d+ ± 0\.030 0\.\d+ ± 0\.015 ", text)
    assert "retraining not requested" in text
    assert "cool-down is 6 hours" in text


def test_the_status_for_programs_holds_the_same(
    thalweg: Command, client: Client, log: LiveLog
) -> None:
    log.insert(DriftLog(client))
    found = json.loads(thalweg("status", "--json").stdout)
    assert found["last_window"]["end_ms"] == START_MS + N_WINDOWS * WINDOW_MS
    assert {alert["name"] for alert in found["open_alerts"]} == {"amount", "channel"}
    assert found["last_decision"]["requested"] is False
    assert found["false_notices_per_day"] == pytest.approx(0.288)
    measured = {each["measure"]: each for each in found["quality"]}
    assert measured["precision"]["realised_end_ms"] < measured["precision"]["estimate_end_ms"]


def test_without_anything_running_the_status_says_what_to_do(
    thalweg: Command, store: tuple[Path, str]
) -> None:
    thalweg.environment = {"THALWEG_DATA_DIR": str(store[0])}
    done = thalweg("status")
    assert done.returncode == 0
    assert store[1] in done.stdout
    assert "`thalweg up --detach` starts one" in " ".join(done.stdout.split())
    assert done.stderr == ""


def test_the_status_of_a_watch_without_windows_and_labels_says_what_it_waits_for(
    thalweg: Command,
) -> None:
    done = thalweg("status")
    text = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert "last window none has closed yet; windows of 3,600 s" in text
    assert "open alerts none" in text
    assert "retraining nothing decided yet" in text


def test_a_model_without_a_reference_is_said_to_be_unwatched(
    store: tuple[Path, str], database: ClickHouseSettings, client: Client, tmp_path: Path
) -> None:
    (sha256,) = ModelStore(store[0] / "models").sha256s()
    source = ModelStore(store[0] / "models").path(sha256)
    target = tmp_path / "models" / "models" / sha256
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.name not in ("reference.bin", "quality.json"):
            (target / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((target / "manifest.json").read_text())
    manifest |= {"reference_sha256": "", "reference_version": "", "quality_sha256": ""}
    (target / "manifest.json").write_text(json.dumps(manifest))
    write_pipeline(tmp_path / "models", Pipeline(name="fraud", schema=SCHEMA, model=sha256))

    done = Command(tmp_path, database)("status")

    assert done.returncode == 0, done.stderr
    assert "it serves, but drift needs one" in " ".join(done.stdout.split())
