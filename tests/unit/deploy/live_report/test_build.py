"""The rows of the log become a report: times, alerts as findings, quality beside its estimate."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from deploy.live_report.build import build_report
from deploy.live_report.findings import findings_of
from deploy.live_report.model import WatchedModel
from deploy.live_report.rows import LiveRows
from drift.findings import Level, ScanReport, Subject
from drift.reference import Reference
from schemas.drift_events import AlertLevel, AlertState, DriftAlert
from schemas.quality import ErrorLevel, Measured, QualityBaseline
from storage.drift_queries import QualityMetric
from tests.golden.messages import ALERT
from tests.live_drift import ROWS, START_MS, WINDOW_MS, LiveLog, live_log, reference_of_rows

VERSION = "fraud-1"
DRIFT_AT = 40
BASELINE = QualityBaseline(
    threshold=0.5,
    n_rows=1000,
    n_positive=100,
    errors=ErrorLevel(rate=0.1, block=32, block_std=2.0, skewness=0.1, n_rows=1000),
    measures={"precision": Measured(0.81, 0.01), "recall": Measured(None, None)},
)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of_rows()


@pytest.fixture(scope="module")
def log(reference: Reference) -> LiveLog:
    return live_log(reference, VERSION, drift_at=DRIFT_AT)


def rows_of(log: LiveLog, quality: tuple[QualityMetric, ...] = ()) -> LiveRows:
    return LiveRows(
        windows=[window for record in log.records for window in record.windows],
        answers=log.records[-1].metrics,
        told=log.alerts,
        quality=quality,
        decisions=log.decisions[::-1],
        requests=log.requests,
    )


def built(reference: Reference, rows: LiveRows) -> ScanReport:
    return build_report("fraud", WatchedModel(VERSION, True, reference, BASELINE), rows)


def metric(window: int, **fields: object) -> QualityMetric:
    start = START_MS + window * WINDOW_MS
    made = QualityMetric(
        model_version=VERSION,
        window_start_ms=start,
        window_end_ms=start + WINDOW_MS,
        segment="",
        measure="precision",
        realised=None,
        realised_error=None,
        estimate=None,
        estimate_error=None,
        n_scored=400,
        n_labelled=0,
        maturity=0.0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def told(state: AlertState, window: int, level: AlertLevel, alert_id: str = "a") -> DriftAlert:
    start = START_MS + window * WINDOW_MS
    return msgspec.structs.replace(
        ALERT,
        alert_id=alert_id,
        state=state,
        level=level,
        window_start_ms=start,
        window_end_ms=start + WINDOW_MS,
    )


def test_positions_are_event_times(reference: Reference, log: LiveLog) -> None:
    report = built(reference, rows_of(log))

    assert report.bounds[0].tolist() == [START_MS, START_MS + WINDOW_MS]
    assert report.n_windows == 60
    assert report.n_rows == 60 * ROWS
    assert report.window_rows == ROWS
    assert report.live is not None
    assert report.live.window_ms == WINDOW_MS
    first = min(finding.row for finding in report.findings)
    assert first == START_MS + (DRIFT_AT + 1) * WINDOW_MS


def test_every_column_has_its_counts_effects_and_the_reference_beside_them(
    reference: Reference, log: LiveLog
) -> None:
    report = built(reference, rows_of(log))
    tests = {
        each.name: each.detector
        for each in log.records[-1].metrics
        if "rate" not in each.detector and each.detector != "e_sr"
    }

    assert [column.name for column in report.columns] == list(reference.columns.names)
    assert [column.subject for column in report.columns][-1] is Subject.SCORE
    for i, column in enumerate(report.columns):
        assert column.reference.tolist() == reference.columns.of(reference.counts, i).tolist()
        assert column.windows.shape == (60, len(column.labels))
        assert (column.windows.sum(axis=1) == ROWS).all()
        assert column.test == tests[column.name]
    amount = report.columns[0].effects
    assert amount[DRIFT_AT:].min() > 0.2 > amount[:DRIFT_AT].max()


def test_what_moved_is_found_once_however_long_it_lasts(reference: Reference, log: LiveLog) -> None:
    report = built(reference, rows_of(log))

    assert {finding.name for finding in report.alerts} == {"amount", "channel"}
    assert report.noticed.sum() <= 3
    assert report.live is not None
    assert report.live.n_significant == 60 - DRIFT_AT


def test_a_stable_stretch_has_no_finding_and_keeps_the_stated_rate(reference: Reference) -> None:
    report = built(reference, rows_of(live_log(reference, VERSION, drift_at=None)))
    assert report.findings == ()
    assert not report.noticed.any()
    assert report.stated_false_notices == pytest.approx(60 / 1000)


def test_windows_over_other_columns_are_left_out_and_counted(
    reference: Reference, log: LiveLog
) -> None:
    rows = rows_of(log)
    strange = [replace(each, columns="other") for each in rows.windows[:5]]
    report = built(reference, replace(rows, windows=[*strange, *rows.windows[5:]]))

    assert report.n_windows == 55
    assert any("5 of 60 windows are left out" in warning for warning in report.warnings)
    with pytest.raises(ValueError, match="counted over other columns"):
        built(reference, replace(rows, windows=strange))


def test_the_stated_rate_is_the_last_one_in_force_and_a_change_is_said(
    reference: Reference, log: LiveLog
) -> None:
    rows = rows_of(log)
    before = [replace(each, arl0=500.0) for each in rows.windows[:5]]
    report = built(reference, replace(rows, windows=[*before, *rows.windows[5:]]))

    assert report.arl0 == 1000.0
    assert any("500, then 1,000 windows" in warning for warning in report.warnings)


def test_gaps_between_windows_are_counted(reference: Reference, log: LiveLog) -> None:
    rows = rows_of(log)
    windows = [*rows.windows[:5], *rows.windows[9:20], *rows.windows[21:]]
    assert built(reference, replace(rows, windows=windows)).details["gaps"].startswith("2 ")


def test_an_alert_is_found_where_it_opened_and_where_it_grew() -> None:
    opened = told(AlertState.OPENED, 3, AlertLevel.NOTICE)
    grew = told(AlertState.UPDATED, 5, AlertLevel.ALERT)
    later = told(AlertState.UPDATED, 9, AlertLevel.ALERT)
    over = told(AlertState.RESOLVED, 12, AlertLevel.ALERT)

    notice, alert = findings_of([opened, grew, later, over])

    assert (notice.level, notice.row) == (Level.NOTICE, opened.window_end_ms)
    assert (alert.level, alert.row) == (Level.ALERT, grew.window_end_ms)
    assert notice.sentence == opened.sentence
    assert alert.sentence.endswith("; over at 2026-03-01 01:05")


def test_an_alert_that_opened_before_what_was_read_is_found_where_it_is_known_from() -> None:
    (found,) = findings_of([told(AlertState.RESOLVED, 12, AlertLevel.ALERT)])
    assert found.level is Level.ALERT
    (found,) = findings_of([told(AlertState.UPDATED, 9, AlertLevel.ALERT)])
    assert found.sentence.endswith("; open still")


def test_a_segment_is_named_and_what_has_no_number_is_none() -> None:
    alert = msgspec.structs.replace(ALERT, segment="country=DE", p_value=None, statistic=None)
    (found,) = findings_of([alert])
    assert found.name == "amount (country=DE)"
    assert math.isnan(found.result.p_value)
    assert math.isnan(found.result.statistic)


def test_realised_quality_stands_beside_its_estimate_and_the_value_at_release(
    reference: Reference, log: LiveLog
) -> None:
    quality = (
        metric(0, realised=0.5, realised_error=0.02, estimate=0.75, n_labelled=400, maturity=1.0),
        metric(1, estimate=0.7, estimate_error=0.01),
        metric(1, measure="cost_per_row", realised=2.0, n_labelled=100, maturity=0.25),
        metric(1, measure="recall"),
    )
    precision, recall, cost = built(reference, rows_of(log, quality)).quality

    assert (precision.name, recall.name, cost.name) == ("precision", "recall", "cost_per_row")
    assert precision.reference == 0.81
    assert math.isnan(recall.reference)
    assert np.isnan(precision.values).tolist() == [False, True]
    assert precision.estimates is not None
    assert precision.estimates.tolist() == [0.75, 0.7]
    assert "50% of the rows shown, for 0% of the last window" in precision.note
    assert cost.estimates is None
    assert cost.ends is not None
    assert cost.ends.tolist() == [START_MS + 2 * WINDOW_MS]
