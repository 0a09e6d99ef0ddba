"""Closed windows on a real ClickHouse: as they were, each once, whatever is inserted again."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.drift_queries import closed_windows
from storage.drift_tables import DriftLog, DriftWindow
from storage.migrate import migrate

START_MS = 1_380_000_000_000
WINDOW_MS = 300_000


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


def window(number: int = 0, **fields: Any) -> DriftWindow:
    start = START_MS + number * WINDOW_MS
    made = DriftWindow(
        pipeline="fraud",
        model_version="v1",
        window_start_ms=start,
        window_end_ms=start + WINDOW_MS,
        segment="",
        columns="c0ffee",
        n_rows=2_000 + number,
        counts=np.array([1_000, 900, 100, 2_000, 0], dtype=np.int64),
        psi=np.array([0.0, 0.125]),
        p_values=np.array([1.0, 1e-300]),
        e_value=12.5,
        arl0=10_000.0,
        n_noticed=1,
    )
    return replace(made, **fields)


def values(window: DriftWindow) -> list[Any]:
    found = [getattr(window, field.name) for field in fields(window)]
    return [each.tolist() if isinstance(each, np.ndarray) else each for each in found]


def test_windows_come_back_as_they_were_in_order_of_time(client: Client) -> None:
    bare = window(1, counts=np.array([2**60] * 5), e_value=None, n_noticed=0)
    DriftLog(client).insert_windows([bare, window(0)])

    found = closed_windows(client, "fraud")

    assert [values(each) for each in found] == [values(window(0)), values(bare)]
    assert found[0].counts.dtype == np.int64
    assert found[0].psi.dtype == found[0].p_values.dtype == np.float64


def test_what_has_no_number_stays_so(client: Client) -> None:
    DriftLog(client).insert_windows(
        [window(psi=np.array([math.nan, 0.5]), p_values=np.array([0.5, math.nan]))]
    )
    (found,) = closed_windows(client, "fraud")
    assert np.isnan(found.psi).tolist() == [True, False]
    assert np.isnan(found.p_values).tolist() == [False, True]


def test_of_a_window_told_again_the_first_shows(client: Client) -> None:
    log = DriftLog(client)
    log.insert_windows([window(number) for number in range(5)])
    for _ in range(2):
        log.insert_windows([window(number, n_rows=7, arl0=1.0) for number in range(5)])
    client.command("OPTIMIZE TABLE drift_window_log FINAL")
    found = closed_windows(client, "fraud")
    assert [each.n_rows for each in found] == [2_000, 2_001, 2_002, 2_003, 2_004]
    assert {each.arl0 for each in found} == {10_000.0}


def test_the_newest_windows_of_one_version_and_segment_are_asked_for(client: Client) -> None:
    DriftLog(client).insert_windows(
        [
            *(window(number) for number in range(4)),
            window(9, model_version="v2"),
            window(9, segment="country=DE"),
            window(9, pipeline="churn"),
        ]
    )

    def starts(**options: Any) -> list[float]:
        found = closed_windows(client, "fraud", **options)
        return [(each.window_start_ms - START_MS) / WINDOW_MS for each in found]

    assert starts(model_version="v1") == [0, 1, 2, 3]
    assert starts(model_version="v1", limit=2) == [2, 3]
    assert starts(segment="country=DE") == [9]
    assert starts() == [0, 1, 2, 3, 9]
    assert starts(model_version="v3") == []


def test_windows_expire_by_when_they_were_inserted_and_lie_in_one_partition(
    client: Client,
) -> None:
    DriftLog(client).insert_windows([window()])
    client.command(
        "INSERT INTO drift_window_log (pipeline, n_rows, inserted_at) "
        "VALUES ('fraud', 1, now64(3) - INTERVAL 401 DAY)"
    )
    client.command("OPTIMIZE TABLE drift_window_log FINAL")
    assert [each.n_rows for each in closed_windows(client, "fraud")] == [2_000]
    assert client.query(
        "SELECT partition_key FROM system.tables "
        "WHERE database = currentDatabase() AND name = 'drift_window_log'"
    ) == [("",)]


def test_no_windows_is_no_statement(client: Client) -> None:
    DriftLog(client).insert_windows([])
    assert closed_windows(client, "fraud") == []
