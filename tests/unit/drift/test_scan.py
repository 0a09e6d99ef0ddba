"""What a scan says of histories whose truth is known."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import poisson

from drift.columns import ColumnSpec
from drift.findings import Level, ScanReport, Subject
from drift.rows import Rows, ScanOptions
from drift.scan import scan

N, N_REFERENCE, WINDOW = 12_000, 4_000, 400
CHANGE = 8_000


def stream(seed: int, n: int = N, f: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, f)).astype(np.float32)


def run(matrix: np.ndarray, *, arl0: float = 1_000.0, **columns: Any) -> ScanReport:
    specs = tuple(ColumnSpec(f"x{i}") for i in range(matrix.shape[1]))
    rows = Rows(columns.pop("specs", specs), matrix, **columns)
    return scan(rows, ScanOptions(n_reference=N_REFERENCE, window_rows=WINDOW, arl0=arl0))


def found(report: ScanReport, subject: Subject, level: Level | None = None) -> set[str]:
    return {
        each.name
        for each in report.findings
        if each.subject is subject and level in (None, each.level)
    }


def test_a_stable_stream_keeps_the_stated_rate_and_raises_no_alert() -> None:
    arl0, windows, noticed = 50.0, 0, 0
    for seed in range(8):
        report = run(stream(seed), arl0=arl0)
        windows += report.n_windows
        noticed += len({finding.row for finding in report.findings})
        assert not report.alerts

    assert noticed <= poisson.ppf(0.999, windows / arl0)


@pytest.mark.parametrize(("sigma", "level"), [(0.25, Level.NOTICE), (0.8, Level.ALERT)])
def test_a_shift_is_named_sized_and_dated(sigma: float, level: Level) -> None:
    matrix = stream(1)
    matrix[CHANGE:, 2] += sigma

    report = run(matrix)

    first = next(each for each in report.findings if each.result.p_value < 1)
    assert (first.subject, first.name) == (Subject.FEATURE, "x2")
    assert CHANGE < first.row <= CHANGE + 3 * WINDOW
    assert first.change_point_row is not None
    assert abs(first.change_point_row - CHANGE) <= WINDOW
    assert found(report, Subject.FEATURE, Level.ALERT) == (
        {"x2"} if level is Level.ALERT else set()
    )


def test_missing_values_are_named_as_that() -> None:
    matrix = stream(2)
    gone = np.random.default_rng(0).random(N - CHANGE) < 0.1
    matrix[CHANGE:, 0][gone] = np.nan

    report = run(matrix)

    (alert,) = [each for each in report.alerts if each.name == "x0"]
    assert alert.result.detector == "null_rate"
    assert alert.row == CHANGE + WINDOW
    assert 0.05 < alert.result.effect < 0.15


def test_a_category_never_seen_is_named_as_that() -> None:
    matrix = stream(3)
    rng = np.random.default_rng(1)
    matrix[:, 5] = rng.choice([0, 1, 2], N)
    matrix[CHANGE:, 5][rng.random(N - CHANGE) < 0.2] = 3
    specs = (*(ColumnSpec(f"x{i}") for i in range(5)), ColumnSpec("kind", ("a", "b", "c", "d")))

    report = run(matrix, specs=specs)

    alerts = {each.result.detector for each in report.alerts if each.name == "kind"}
    assert "unseen_rate" in alerts or "g_test" in alerts
    assert found(report, Subject.FEATURE, Level.ALERT) == {"kind"}


def test_a_lost_correlation_that_no_column_shows_is_seen_by_the_classifier() -> None:
    matrix = stream(4)
    matrix[:CHANGE, 1] = 0.9 * matrix[:CHANGE, 0] + np.sqrt(0.19) * matrix[:CHANGE, 1]

    report = run(matrix)

    assert found(report, Subject.MULTIVARIATE) == {"all features"}
    assert min(each.row for each in report.findings) > CHANGE


def test_errors_that_double_are_an_alert_about_quality() -> None:
    rng = np.random.default_rng(5)
    matrix, labels = stream(5), (rng.random(N) < 0.3).astype(np.int8)
    scores = np.where(labels == 1, 0.9, 0.1).astype(np.float32)
    wrong = rng.random(N) < np.where(np.arange(N) < CHANGE, 0.05, 0.15)
    scores[wrong] = 1 - scores[wrong]

    report = run(matrix, labels=labels, scores=scores)

    (alert,) = [each for each in report.alerts if each.subject is Subject.QUALITY]
    assert alert.name == "error_rate"
    assert CHANGE < alert.row < CHANGE + 1_000
    assert alert.change_point_row is not None
    assert abs(alert.change_point_row - CHANGE) < 200
    f1 = next(each for each in report.quality if each.name == "f1")
    assert f1.values[:10].mean() > f1.values[-9:].mean() + 0.05
    assert f1.estimates is not None


def test_fewer_positives_are_a_finding_about_the_label() -> None:
    rng = np.random.default_rng(6)
    rate = np.where(np.arange(N) < CHANGE, 0.3, 0.1)

    report = run(stream(6), labels=(rng.random(N) < rate).astype(np.int8))

    assert found(report, Subject.LABEL, Level.ALERT) == {"label"}


def test_customers_that_differ_are_no_drift() -> None:
    """Each customer has a level of its own, and windows have few customers each."""
    rng = np.random.default_rng(7)
    entities = rng.integers(0, 60, N)
    matrix = (stream(7) + rng.normal(size=(60, 6))[entities]).astype(np.float32)

    report = run(matrix, entities=entities.astype(np.int64))

    assert not report.alerts
    assert {column.test for column in report.columns} <= {"customer_covariance", "window_scale"}


def test_dependent_rows_raise_no_alert() -> None:
    rng = np.random.default_rng(8)
    matrix = np.zeros((N, 4), dtype=np.float32)
    noise = rng.normal(size=(N, 4))
    for i in range(1, N):
        matrix[i] = 0.9 * matrix[i - 1] + noise[i]

    report = run(matrix)

    assert not report.alerts
    assert all(column.test != "g_test" for column in report.columns)


def test_a_change_is_told_once_and_again_when_it_becomes_an_alert() -> None:
    matrix = stream(9)
    matrix[5_000:, 1] += 0.3
    matrix[9_000:, 1] += 0.7

    report = run(matrix)

    told = [
        each.level
        for each in report.findings
        if each.name == "x1" and each.result.detector == "g_test"
    ]
    assert told == [Level.NOTICE, Level.ALERT]


def test_the_same_rows_give_the_same_report() -> None:
    matrix = stream(10)
    matrix[CHANGE:, 0] *= 2

    one, two = run(matrix), run(matrix)

    assert one.findings == two.findings
    assert one.findings


@pytest.mark.parametrize(("n_reference", "window"), [(N, 100), (1, 100), (11_900, 200)])
def test_sizes_that_do_not_fit_are_refused(n_reference: int, window: int) -> None:
    rows = Rows((ColumnSpec("x"),), stream(0, f=1))

    with pytest.raises(ValueError, match="rows"):
        scan(rows, ScanOptions(n_reference=n_reference, window_rows=window))


def test_a_feature_with_moods_of_its_own_is_not_watched_row_by_row() -> None:
    """Days, campaigns: its mean moves in the reference too, so no row-wise rate could be kept."""
    matrix = stream(11)
    matrix[:, 3] += np.sin(np.arange(N) / 230)

    report = run(matrix)

    assert not [each for each in report.findings if each.result.detector == "adwin"]
    assert not report.alerts


def test_the_mean_of_an_ordinary_feature_is_watched_row_by_row() -> None:
    matrix = stream(12)
    matrix[CHANGE:, 3] += 0.7

    report = run(matrix)

    (first,) = [each for each in report.findings if each.result.detector == "adwin"][:1]
    assert first.name == "x3"
    assert CHANGE < first.row < CHANGE + 150
    assert first.level is Level.NOTICE
