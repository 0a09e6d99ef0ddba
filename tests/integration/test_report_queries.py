"""What the live report asks ClickHouse: alerts, quality and segments of a stretch of event time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from drift.reference import Reference
from schemas.drift_events import AlertState
from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.drift_report_queries import (
    quality_between,
    segment_column,
    segment_totals,
    told_alerts,
)
from storage.drift_tables import DriftLog
from storage.migrate import migrate
from tests.golden.messages import ALERT
from tests.live_drift import START_MS, WINDOW_MS, LiveLog, live_log, reference_of_rows

VERSION = "fraud-1"
N_WINDOWS = 12


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of_rows(segments=["channel"])


@pytest.fixture(scope="module")
def log(reference: Reference) -> LiveLog:
    return live_log(reference, VERSION, n_windows=N_WINDOWS, drift_at=None)


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


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


def test_quality_of_a_stretch_is_of_one_version_and_all_rows(client: Client, log: LiveLog) -> None:
    log.insert(DriftLog(client))
    at = START_MS + 2 * WINDOW_MS
    found = quality_between(client, "fraud", model_version=VERSION, from_ms=at, to_ms=at)
    assert [each.measure for each in found] == ["recall", "precision", "cost_per_row"]
    assert {each.window_end_ms for each in found} == {at}
    assert quality_between(client, "fraud", model_version="v0", from_ms=0, to_ms=at) == []


def stretch(reference: Reference, first: int, last: int) -> dict[str, Any]:
    """The windows number `first` to `last`."""
    return {
        "model_version": VERSION,
        "columns": reference.columns.fingerprint,
        "from_ms": START_MS + (first + 1) * WINDOW_MS,
        "to_ms": START_MS + (last + 1) * WINDOW_MS,
    }


def test_segments_of_a_stretch_are_summed_up(
    client: Client, log: LiveLog, reference: Reference
) -> None:
    log.insert(DriftLog(client))
    log.insert(DriftLog(client))  # of a replay nothing shows
    windows = [each for record in log.records for each in record.windows]
    inside = [each for each in windows if each.segment and each.window_start_ms >= START_MS]
    inside = [each for each in inside if 2 <= (each.window_start_ms - START_MS) // WINDOW_MS <= 7]
    found = segment_totals(client, "fraud", **stretch(reference, 2, 7))
    assert [each.segment for each in found] == sorted({each.segment for each in inside})
    for each in found:
        own = [window for window in inside if window.segment == each.segment]
        assert (each.n_windows, each.n_rows) == (len(own), sum(window.n_rows for window in own))
        assert np.array_equal(each.psi, np.nanmax([window.psi for window in own], axis=0))
        assert np.array_equal(each.p_values, np.nanmin([window.p_values for window in own], axis=0))
    other = stretch(reference, 2, 7) | {"columns": "other"}
    assert segment_totals(client, "fraud", **other) == []


def test_a_column_that_was_never_tested_has_no_effect(
    client: Client, log: LiveLog, reference: Reference
) -> None:
    (window,) = [each for each in log.records[1].windows if each.segment]
    untested = np.array([np.nan, *window.psi[1:]])
    DriftLog(client).insert_windows([replace(window, psi=untested, p_values=untested)])
    (found,) = segment_totals(client, "fraud", **stretch(reference, 0, N_WINDOWS))
    assert (found.psi[0], found.p_values[0]) == (-np.inf, np.inf)


def test_a_column_of_a_segment_is_its_counts_effects_and_p_values_window_by_window(
    client: Client, log: LiveLog, reference: Reference
) -> None:
    log.insert(DriftLog(client))
    columns, name = reference.columns, "channel=chip"
    windows = [each for record in log.records for each in record.windows if each.segment == name]
    own = [each for each in windows if each.window_start_ms >= START_MS + 3 * WINDOW_MS]
    for place in (0, 3, len(columns) - 1):
        found = segment_column(
            client,
            "fraud",
            segment=name,
            column=place,
            bins=range(int(columns.offsets[place]), int(columns.offsets[place + 1])),
            **stretch(reference, 3, N_WINDOWS),
        )
        assert (found.segment, found.column) == (name, place)
        assert found.ends_ms.tolist() == [each.window_end_ms for each in own]
        assert np.array_equal(found.counts, [columns.of(each.counts, place) for each in own])
        assert np.array_equal(found.psi, [each.psi[place] for each in own])
        assert np.array_equal(found.p_values, [each.p_values[place] for each in own])
