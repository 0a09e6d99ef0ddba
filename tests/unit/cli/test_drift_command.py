"""`thalweg drift`, as somebody at a terminal or in a CI job has it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from drift.report import read_json
from schemas.errors import ConfigurationError
from thalweg.main import app

N = 3_000


def history(path: Path, *, shift: float = 0.0) -> Path:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 3))
    x[2_000:, 1] += shift
    rows = "\n".join(",".join(f"{value:.5f}" for value in row) for row in x)
    path.write_text(f"age,amount,hour\n{rows}\n")
    return path


def thalweg(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["drift", *map(str, arguments)])


def test_a_shift_is_said_written_and_fails_the_job(tmp_path: Path) -> None:
    file = history(tmp_path / "h.csv", shift=1.0)
    json, html = tmp_path / "o.json", tmp_path / "o.html"

    result = thalweg("scan", file, "--json", json, "--html", html, "--fail-on", "alert")

    assert result.exit_code == 1
    assert "feature amount: moved, PSI" in result.stdout
    document = read_json(json.read_bytes())
    assert document.rows == N
    assert {alert.name for alert in document.alerts} == {"amount"}
    assert abs((document.alerts[0].change_point_row or 0) - 2_000) < 60
    assert "amount" in html.read_text()


def test_a_stable_file_is_quiet_and_passes(tmp_path: Path) -> None:
    result = thalweg("scan", history(tmp_path / "h.csv"), "--fail-on", "alert")

    assert result.exit_code == 0
    assert " 0 of them alerts" in result.stdout


def test_calibrate_holds_the_stated_rate_against_the_realised_one(tmp_path: Path) -> None:
    result = thalweg("calibrate", history(tmp_path / "h.csv"), "--arl0", "20", "--window", "100")

    assert result.exit_code == 0
    assert "stated is one in 20" in result.stdout
    assert "which agrees" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--label", "fraud"), "no column 'fraud'"),
        (("--score", "age", "--model", "m"), "not both"),
        (("--reference", "2999"), "do not fit"),
        (("--calendar", "weekday"), "calendar columns that do not exist: weekday"),
        (("--season-hours", "1"), "name their --time column"),
        (("--season-hours", "5", "--time", "age"), "5 hours do not divide a week"),
        (("--json", "/no/such/folder/o.json"), "cannot write"),
        (("--model", "none"), "model directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = thalweg("scan", history(tmp_path / "h.csv"), *arguments)

    assert result.exit_code != 0
    assert says in str(result.exception)


def test_what_follows_the_season_is_held_against_its_hours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hours = np.arange(5 * 168 * 20) / 20
    lines = [
        f"{hour * 3600:.0f},{rng.normal() + np.sin(2 * np.pi * hour / 24):.4f},{int(hour % 24)}"
        for hour in hours
    ]
    file = tmp_path / "h.csv"
    file.write_text("at,amount,hour\n" + "\n".join(lines) + "\n")
    json = tmp_path / "o.json"
    given = ("--time", "at", "--reference", str(3 * 168 * 20), "--window", "60", "--json", json)

    seasonal = thalweg("scan", file, *given, "--season-hours", "1", "--calendar", "hour")
    assert seasonal.exit_code == 0
    assert " 0 of them alerts" in seasonal.stdout
    told = thalweg("scan", file, *given, "--calendar", "hour")
    assert "every window drifts in them: hour" in told.stderr
    assert {each.name for each in read_json(json.read_bytes()).alerts} <= {"amount"}


def test_a_file_of_few_rows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "h.csv"
    file.write_text("a\n" + "1\n" * 50)

    result = thalweg("scan", file)

    assert isinstance(result.exception, ConfigurationError)
    assert "a scan needs 200" in str(result.exception)
