"""`thalweg drift report` as a process, on a log in a real ClickHouse."""

import re
from pathlib import Path

import pytest

from schemas.settings import ClickHouseSettings
from storage.client import Client
from storage.drift_tables import DriftLog
from tests.integration.drift_command.command import Command
from tests.live_drift import REQUEST_ID, LiveLog, live_log, reference_of, store_pipeline


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


def test_what_moved_in_a_segment_is_drawn_and_all_segments_are_listed(
    database: ClickHouseSettings, client: Client, tmp_path: Path
) -> None:
    version = store_pipeline(tmp_path / "models", segments=["channel"])
    moving = live_log(reference_of(tmp_path / "models"), version, moving="channel=online")
    moving.insert(DriftLog(client))

    done = Command(tmp_path, database)("report", tmp_path / "out.html")

    assert done.returncode == 0, done.stderr
    html = (tmp_path / "out.html").read_text()
    section = html[html.index('id="segments-title"') : html.index('id="quality-title"')]
    (card, *others) = section.split("<article")[1:]
    assert "amount (channel=online)" in card
    assert "feature amount in segment channel=online: moved" in card
    assert "Effect over time (PSI" in card
    assert "Shares by bin, window of 2026-03-01" in card
    listed = section[section.index("<table") :]
    assert listed.index("channel=online") < listed.index("channel=chip")
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!#)', html)
    assert all("channel=online" in each for each in others)
