"""Real card payments through the whole system: what lies in the log is what the file says."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.deployment import until
from tests.fixtures.brokers import default_kind
from tests.fixtures.kafka import require_broker
from tests.stack import Stack

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "ulb_creditcard_sample_1722.csv"
PIPELINE = "ulb-creditcard-sample-1722"
ORIGIN, ORIGIN_MS = "2013-09-01T00:00:00Z", 1_377_993_600_000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A running stack without a pipeline."""
    if not FILE.exists():
        pytest.skip(f"the sample of real card payments is not there: {FILE}")
    require_broker(default_kind())
    running = Stack(tmp_path / "data")
    try:
        running.up()
        yield running
    finally:
        running.run("down")


def test_every_payment_is_logged_once_with_the_features_and_time_of_its_row(stack: Stack) -> None:
    columns = ["--label", "Class", "--time", "Time", "--time-origin", ORIGIN, "--time-is-feature"]
    made = stack.run("bootstrap", str(FILE), *columns)
    assert made.returncode == 0, made.stderr
    assert "30 features" in made.stdout
    with FILE.open() as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("", "Class")]

    replayed = stack.run("replay", str(FILE))

    assert replayed.returncode == 0, replayed.stderr
    until(lambda: stack.n_logged(PIPELINE) == len(rows))
    with stack.clickhouse() as client:
        logged = client.query(
            "SELECT event_id, toUnixTimestamp64Milli(event_time), features FROM predictions"
        )
    assert len(logged) == len(rows)
    features = {event_id: np.array(row, np.float32) for event_id, _, row in logged}
    times = {event_id: time_ms for event_id, time_ms, _ in logged}
    for number, row in enumerate(rows):
        event_id = f"{FILE.stem}-{number}"
        expected = np.array([float(row[name]) for name in names]).astype(np.float32)
        np.testing.assert_array_equal(features[event_id], expected, err_msg=event_id)
        assert times[event_id] == ORIGIN_MS + round(float(row["Time"]) * 1000)
