"""Segments in the report: the few that moved are chosen to be drawn, on the windows of all rows."""

import math

import msgspec
import numpy as np
import pytest

from deploy.live_report.build import build_report
from deploy.live_report.model import WatchedModel
from deploy.live_report.rows import LiveRows
from deploy.live_report.segments import chosen
from drift.findings import ScanReport
from drift.reference import Reference
from drift.report.selection import MAX_OF_SEGMENTS, MAX_STEADY
from schemas.drift_events import AlertKind, AlertLevel, DriftAlert
from storage.drift_report_queries import SegmentColumn, SegmentTotals
from tests.golden.messages import ALERT
from tests.live_drift import LiveLog, live_log, reference_of_rows

VERSION = "fraud-1"
ONLINE = "channel=online"
DRIFT_AT = 40


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of_rows(segments=["channel"])


@pytest.fixture(scope="module")
def log(reference: Reference) -> LiveLog:
    return live_log(reference, VERSION, drift_at=DRIFT_AT, moving=ONLINE)


def totals(segment: str, *effects: float) -> SegmentTotals:
    return SegmentTotals(segment, 60, 6000, np.array(effects), np.full(len(effects), 0.5))


def alert(segment: str, name: str, level: AlertLevel = AlertLevel.ALERT) -> DriftAlert:
    return msgspec.structs.replace(
        ALERT, alert_id=segment + name, segment=segment, name=name, level=level
    )


def test_what_has_an_alert_is_chosen_then_notices_then_nothing() -> None:
    found = [totals("s=a", 0.5, 0.1), totals("s=b", 0.2, 0.3)]
    told = [alert("s=b", "y"), alert("s=a", "x", AlertLevel.NOTICE), alert("s=b", "x")]
    assert chosen(found, told, ("x", "y")) == [("s=b", 1), ("s=b", 0), ("s=a", 0)]


def test_where_nothing_moved_the_largest_effects_are_chosen() -> None:
    found = [totals("s=a", 0.01, -math.inf), totals("s=b", 0.03, 0.02)]
    assert chosen(found, [], ("x", "y")) == [("s=b", 0), ("s=b", 1), ("s=a", 0)]
    many = [totals(f"s={i}", 0.1) for i in range(20)]
    assert len(chosen(many, [], ("x",))) == MAX_STEADY


def test_no_more_are_chosen_than_a_page_can_hold() -> None:
    many = [totals(f"s={i}", i / 10) for i in range(20)]
    told = [alert(f"s={i}", "x") for i in range(20)]
    found = chosen(many, told, ("x",))
    assert found == [(f"s={i}", 0) for i in range(19, 19 - MAX_OF_SEGMENTS, -1)]


def test_alerts_of_all_rows_of_several_columns_and_of_segments_without_windows_choose_nothing() -> (
    None
):
    found = [totals("s=a", 0.5)]
    told = [alert("", "x"), alert("s=gone", "x"), alert("s=a", "all features")]
    together = msgspec.structs.replace(told[2], kind=AlertKind.MULTIVARIATE)
    assert chosen(found, [told[0], told[1], together], ("x",)) == [("s=a", 0)], "as if none moved"


def rows_of(log: LiveLog, reference: Reference) -> LiveRows:
    """As ClickHouse would give them, of one chosen column."""
    windows = [each for record in log.records for each in record.windows]
    own = [each for each in windows if each.segment == ONLINE]
    columns = reference.columns
    series = SegmentColumn(
        ONLINE,
        0,
        ends_ms=np.array([each.window_end_ms for each in own]),
        counts=np.stack([columns.of(each.counts, 0) for each in own]).astype(np.int64),
        psi=np.array([each.psi[0] for each in own]),
        p_values=np.array([each.p_values[0] for each in own]),
    )
    psi = np.stack([each.psi for each in own]).max(axis=0)
    p_values = np.stack([each.p_values for each in own]).min(axis=0)
    n_rows = sum(each.n_rows for each in own)
    return LiveRows(
        windows=[each for each in windows if not each.segment],
        answers=[
            each
            for record in log.records
            for each in record.metrics
            if each.window_end_ms == windows[-1].window_end_ms
        ],
        told=log.alerts,
        segments=[SegmentTotals(ONLINE, len(own), n_rows, psi, p_values)],
        segment_columns=[series],
    )


def built(reference: Reference, rows: LiveRows) -> ScanReport:
    return build_report("fraud", WatchedModel(VERSION, True, reference, None), rows)


def test_a_segment_s_column_lies_on_the_windows_of_all_rows(
    reference: Reference, log: LiveLog
) -> None:
    rows = rows_of(log, reference)
    (column,) = built(reference, rows).segment_columns
    own = reference.of_segment(ONLINE)
    assert own is not None
    assert column.name == "amount (channel=online)"
    assert column.reference.tolist() == reference.columns.of(own.counts, 0).tolist()
    assert column.windows.shape == (60, len(column.labels))
    tested = np.isfinite(column.effects)
    assert tested.sum() == len(rows.segment_columns[0].ends_ms)
    assert not column.windows[~tested].any()
    assert column.effects[DRIFT_AT:][tested[DRIFT_AT:]].min() > 0.2
    assert np.nanmax(column.effects[:DRIFT_AT]) < 0.2
    assert column.test != "not tested in the last window"


def test_every_segment_is_summed_up_with_its_reference_and_largest_effect(
    reference: Reference, log: LiveLog
) -> None:
    rows = rows_of(log, reference)
    report = built(reference, rows)
    (found,) = report.segments
    own = reference.of_segment(ONLINE)
    assert own is not None
    assert (found.name, found.n_reference, found.column) == (ONLINE, own.n, "amount")
    assert (found.n_windows, found.n_rows) == (rows.segments[0].n_windows, rows.segments[0].n_rows)
    assert found.effect == pytest.approx(np.nanmax(rows.segment_columns[0].psi))
    assert {each.segment for each in report.findings if each.name == "amount (channel=online)"} == {
        ONLINE
    }


def test_a_segment_that_the_reference_does_not_have_is_left_out(
    reference: Reference, log: LiveLog
) -> None:
    rows = rows_of(log, reference)
    without = reference_of_rows()
    report = built(without, rows)
    assert (report.segments, report.segment_columns) == ((), ())
