"""`thalweg drift status` and `report` as processes, on a log in a real ClickHouse."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.drift_events import AlertState
from schemas.pipeline import Pipeline, write_pipeline
from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.drift_report_queries import quality_between, told_alerts
from storage.drift_tables import DriftLog
from storage.migrate import migrate
from storage.model_store import ModelStore
from tests.golden.messages import ALERT
from tests.live_drift import (
    REQUEST_ID,
    SCHEMA,
    START_MS,
    WINDOW_MS,
    LiveLog,
    live_log,
    reference_of,
    store_pipeline,
)

N_WINDOWS = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data directory with a pipeline, and its champion's version."""
    folder = tmp_path_factory.mktemp("live")
    return folder, store_pipeline(folder / "models")


@pytest.fixture(scope="module")
def log(store: tuple[Path, str]) -> LiveLog:
    return live_log(reference_of(store[0] / "models"), store[1], n_windows=N_WINDOWS)


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


class Command:
    """`thalweg drift` of one deployment."""

    def __init__(self, folder: Path, database: ClickHouseSettings) -> None:
        self.environment = {
            "THALWEG_DATA_DIR": str(folder),
            "THALWEG_CLICKHOUSE__URL": database.url,
            "THALWEG_CLICKHOUSE__DATABASE": database.database,
        }

    def __call__(self, *arguments: str | Path, **environment: str) -> Any:
        own = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
        return subprocess.run(
            [sys.executable, "-m", "thalweg.main", "drift", *map(str, arguments)],
            env={**own, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def thalweg(store: tuple[Path, str], database: ClickHouseSettings, client: Client) -> Command:
    return Command(store[0], database)


def page_of(html: str) -> str:
    """What is read on the page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.split("</style>")[1]).split())


def test_the_report_says_what_moved_when_and_what_was_decided(
    thalweg: Command, client: Client, log: LiveLog, tmp_path: Path
) -> None:
    log.insert(DriftLog(client))

    done = thalweg("report", tmp_path / "out.html")

    assert done.returncode == 0, done.stderr
    assert "60 windows" in done.stdout
    html = (tmp_path / "out.html").read_text()
    page = page_of(html)
    assert "amount moved first" in page
    assert "known at 2026-03-01 03:25" in page
    assert "60 windows of 5 minutes, about 400 rows each" in page
    assert "Notices and alerts by event time (UTC)" in page
    assert "cannot see concept drift" in page
    assert "Labels have come for 67% of the rows shown, for 0% of the last window." in page
    assert f"requested {REQUEST_ID}" in page
    assert "on 2026-03-01 03:20 to 2026-03-01 04:50, 5,120 labelled rows by then" in page
    assert "cool-down is 6 hours" in page
    assert "one false notice in 1,000 windows, 0.288 a day; 0.06 expected" in page
    assert re.search(r"of 60 windows had a new notice: one in [\d.]+ to [\d.,]+ \(95%", page)
    assert "row 0" not in page
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!#)', html)


def test_the_newest_windows_are_shown_where_so_many_are_asked_for(
    thalweg: Command, client: Client, log: LiveLog, tmp_path: Path
) -> None:
    log.insert(DriftLog(client))
    assert thalweg("report", tmp_path / "o.html", "--windows", "10").returncode == 0
    page = page_of((tmp_path / "o.html").read_text())
    assert "10 windows of 5 minutes" in page
    assert "; open still" in page, "what opened before and is open is told"
    assert "0 of 10 windows had a new notice" in page


def test_a_model_is_named_by_its_version_or_the_end_of_it(
    thalweg: Command, client: Client, log: LiveLog, store: tuple[Path, str], tmp_path: Path
) -> None:
    log.insert(DriftLog(client))
    for version in (store[1], store[1][-8:]):
        assert thalweg("report", tmp_path / "o.html", "--model", version).returncode == 0
    done = thalweg("report", tmp_path / "o.html", "--model", "nobody")
    assert done.returncode == 2
    assert f"no model of version 'nobody' (there: {store[1]})" in done.stderr


def test_before_a_window_has_closed_it_says_when_one_can(thalweg: Command, tmp_path: Path) -> None:
    done = thalweg("report", tmp_path / "o.html", THALWEG_DRIFT__WINDOW_S="600")
    assert done.returncode == 2
    assert "no window of model fraud-" in done.stderr
    assert re.search(r"for events of now in \d+ (minutes|seconds) at the earliest", done.stderr)
    assert not (tmp_path / "o.html").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["o.html", "--pipeline", "churn"], {}, "no pipeline 'churn'"),
        (["no/such/folder/o.html"], {}, "cannot write no/such/folder/o.html: No such file"),
        (["o.html"], {"THALWEG_CLICKHOUSE__URL": "http://127.0.0.1:1"}, "does not answer"),
    ],
    ids=["pipeline", "path", "clickhouse"],
)
def test_what_cannot_be_done_is_one_sentence(
    thalweg: Command,
    client: Client,
    log: LiveLog,
    *,
    arguments: list[str],
    environment: dict[str, str],
    says: str,
) -> None:
    DriftLog(client).insert_windows(log.records[0].windows)
    done = thalweg("report", *arguments, **environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


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


def test_alerts_of_a_stretch_are_those_open_in_it(client: Client) -> None:
    def told(alert_id: str, state: AlertState, window: int) -> Any:
        start = START_MS + window * WINDOW_MS
        times = {"window_start_ms": start, "window_end_ms": start + WINDOW_MS}
        return msgspec.structs.replace(ALERT, alert_id=alert_id, state=state, **times)

    early = [told("early", AlertState.OPENED, 0), told("early", AlertState.RESOLVED, 3)]
    lasting = [told("lasting", AlertState.OPENED, 1)]
    over = [told("over", AlertState.OPENED, 2), told("over", AlertState.RESOLVED, 8)]
    DriftLog(client).insert_alerts([*over, *lasting, *early])

    def ask(window: int, **options: Any) -> list[Any]:
        at = START_MS + window * WINDOW_MS
        version = ALERT.model_version
        return told_alerts(client, "fraud", model_version=version, from_ms=at, **options)

    assert ask(0) == [early[0], lasting[0], over[0], early[1], over[1]]
    assert ask(5) == [lasting[0], *over]
    assert ask(20) == lasting
    assert ask(0, limit=1) == [over[1]]


def test_quality_of_a_stretch_is_of_one_version_and_all_rows(
    client: Client, log: LiveLog, store: tuple[Path, str]
) -> None:
    log.insert(DriftLog(client))
    at = START_MS + 2 * WINDOW_MS
    found = quality_between(client, "fraud", model_version=store[1], from_ms=at, to_ms=at)
    assert [each.measure for each in found] == ["recall", "precision", "cost_per_row"]
    assert {each.window_end_ms for each in found} == {at}
    assert quality_between(client, "fraud", model_version="v0", from_ms=0, to_ms=at) == []
