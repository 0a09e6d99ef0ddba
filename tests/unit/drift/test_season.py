"""Windows held against the hours that they cover: rates, power, and what goes by the clock."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from drift.alert_book import Window
from drift.columns import ColumnSpec
from drift.families import StatedRate
from drift.live import VersionWatch, WatchOptions
from drift.monitor import WindowMonitor, WindowVerdict
from drift.nulls import Nulls
from drift.piece_streams import PieceStreams
from drift.reference import Reference, make_reference
from drift.rows import Rows, ScanOptions
from drift.sample_test import SampleTest
from drift.scan import scan
from drift.season import HOUR_MS, WEEK_MS, make_season
from drift.season_scatter import scatter_of
from drift.season_test import NO_HOURS
from drift.sketch import Sketch, SketchKey

MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC
WEEKS, HOURS, PER_HOUR = 3, 3, 100
WINDOW_ROWS = PER_HOUR * HOURS
ARL0 = 50.0
NULLS = Nulls(seed=0, n_draws=100_000)
NAMES = ("day", "flat", "day_ar", "count", "hour", "weekday", "score")
SPECS = tuple(ColumnSpec(name) for name in NAMES)
CALENDAR = ("hour", "weekday")

Matrix = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def stream(seed: int, weeks: int, first_week: int = 0) -> tuple[Matrix, Ints]:
    """Rows with a level, a traffic and a share of missing values that follow the day."""
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * 168)
    n = rng.poisson(PER_HOUR * (1 + 0.7 * np.sin(2 * np.pi * hours / 24)))
    at = np.sort(np.repeat(hours, n) + rng.random(int(n.sum())))
    day = np.sin(2 * np.pi * at / 24)
    noise = rng.normal(size=len(at))
    matrix = np.stack(
        [
            rng.normal(size=len(at)) + day,
            rng.normal(size=len(at)),
            lfilter([np.sqrt(1 - 0.9**2)], [1, -0.9], noise) + day,
            rng.poisson(1.8 + 0.8 * day).clip(0, 7),
            np.floor(at % 24),
            np.floor(at / 24 % 7),
            0.5 + 0.1 * rng.normal(size=len(at)) + 0.1 * day,
        ],
        axis=1,
    ).astype(np.float32)
    matrix[rng.random(len(at)) < 0.05 * (1 + day), 3] = np.nan
    return matrix, MONDAY + first_week * WEEK_MS + (at * HOUR_MS).astype(np.int64)


@lru_cache
def reference(
    seed: int = 1, season_hours: int | None = 1, calendar: tuple[str, ...] = CALENDAR
) -> Reference:
    matrix, times = stream(seed, WEEKS)
    return make_reference(
        matrix,
        SPECS,
        rng=np.random.default_rng(0),
        event_times=times,
        season_slot_hours=season_hours,
        calendar=calendar,
    )


def monitor(of: Reference) -> WindowMonitor:
    return WindowMonitor(of, WINDOW_ROWS, rate=StatedRate(ARL0, 1), nulls=NULLS)


def windows(matrix: Matrix, times: Ints) -> list[tuple[tuple[int, int], Matrix]]:
    """Of three hours each, and their spans."""
    starts = np.arange(times[0] // HOUR_MS * HOUR_MS, times[-1], HOURS * HOUR_MS)
    cuts = np.searchsorted(times, np.append(starts, times[-1] + 1))
    return [
        ((int(start), int(start) + HOURS * HOUR_MS), matrix[a:b])
        for start, a, b in zip(starts, cuts[:-1], cuts[1:], strict=True)
    ]


def verdicts(of: WindowMonitor, matrix: Matrix, times: Ints) -> list[WindowVerdict]:
    count = of.reference.columns.count
    return [of.check(count(rows), span_ms=span) for span, rows in windows(matrix, times)]


def noticed(of: WindowVerdict) -> set[str]:
    return {NAMES[each.column] for each in of.noticed}


def test_days_and_nights_keep_the_stated_rate_against_the_season() -> None:
    told = []
    for seed in range(3):
        told += verdicts(monitor(reference(seed)), *stream(100 + seed, 6, WEEKS))
    n_noticed = sum(bool(each.noticed) for each in told)
    assert len(told) == 3 * 6 * 56
    assert stats.poisson.sf(n_noticed - 1, len(told) / ARL0) > 0.001, n_noticed
    for name, tests, least in (("day", "g_test", 1 / 1.5), ("day_ar", "season_scale", 0)):
        column = NAMES.index(name)
        p = [
            each.result.p_value
            for verdict in told
            for each in verdict.tested
            if each.column == column and each.result.detector == tests
        ]
        assert len(p) >= len(told) * 2 / 3  # one reference in a hundred is taken for the other kind
        n_small, expected = int((np.array(p) < 0.05).sum()), 0.05 * len(p)
        assert stats.poisson.sf(n_small - 1, 1.5 * expected) > 0.001, (name, n_small, expected)
        assert stats.poisson.cdf(n_small, least * expected) > 0.001, (name, n_small, expected)


def test_half_a_sigma_at_night_is_seen_against_the_season_and_not_without_it() -> None:
    seasonal, plain = monitor(reference()), monitor(reference(season_hours=None, calendar=()))
    matrix, times = stream(7, 1, WEEKS)
    night = np.sin(2 * np.pi * (times - MONDAY) / HOUR_MS / 24) < 0
    matrix[night, 0] += 0.5
    with_season = ["day" in noticed(each) for each in verdicts(seasonal, matrix, times)]
    without = ["day" in noticed(each) for each in verdicts(plain, matrix, times)]

    assert plain.detector_of(0) == "window_scale"  # days make its windows vary: it is blind
    assert sum(without) == 0
    nights = np.arange(56) % 8 >= 4
    assert np.mean(np.array(with_season)[nights]) > 0.5
    assert np.mean(np.array(with_season)[~nights]) < 0.1


def test_a_moved_window_is_measured_against_its_own_hours() -> None:
    live = monitor(reference())
    matrix, times = stream(8, 1, WEEKS)
    still = np.array([each.psi[0] for each in verdicts(live, matrix, times)])
    matrix[:, 0] += 1.0
    moved = np.array([each.psi[0] for each in verdicts(live, matrix, times)])
    assert still.mean() < 0.03
    assert 0.5 < moved.mean() < 2.0


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), shift=st.sampled_from([0.0, 0.3, 1.0]))
def test_a_season_of_one_slot_gives_the_answers_of_none(seed: int, shift: float) -> None:
    one, none = (reference(seed, hours, calendar=()) for hours in (168, None))
    matrix, times = stream(seed + 1, 1, WEEKS)
    matrix[:, 1] += shift
    some = slice(0, len(matrix) // 7)
    for ours, plain in zip(
        verdicts(monitor(one), matrix[some], times[some]),
        verdicts(monitor(none), matrix[some], times[some]),
        strict=True,
    ):
        assert ours.tested == plain.tested
        assert ours.evidence == plain.evidence
        assert ours.psi.tolist() == plain.psi.tolist()


def test_columns_alike_at_all_hours_are_tested_as_without_a_season() -> None:
    made = reference()
    assert {NAMES[i] for i in made.seasonal} == set(NAMES) - {"flat"}
    matrix, times = stream(9, 1, WEEKS)
    matrix[:, 1] += 0.3
    plain = monitor(reference(season_hours=None, calendar=()))
    for ours, theirs in zip(
        verdicts(monitor(made), matrix, times), verdicts(plain, matrix, times), strict=True
    ):
        assert ours.psi[1] == theirs.psi[1]
        assert [e.result for e in ours.tested if e.column == 1] == [
            e.result for e in theirs.tested if e.column == 1
        ]


def test_columns_of_the_calendar_are_not_tested_without_a_season_and_the_warnings_name_them() -> (
    None
):
    made = reference(season_hours=None)
    live = monitor(made)
    matrix, times = stream(3, 1, WEEKS)
    told = verdicts(live, matrix, times)
    by_the_clock = {NAMES.index(name) for name in CALENDAR}
    assert all(each.column not in by_the_clock for verdict in told for each in verdict.tested)
    assert all((verdict.psi[sorted(by_the_clock)] == 0).all() for verdict in told)
    assert any("not tested" in said and "hour, weekday" in said for said in made.warnings(100))
    watched = monitor(reference(season_hours=None, calendar=()))
    first = verdicts(watched, matrix, times)[0]
    assert first.psi[NAMES.index("hour")] > 1


def test_a_season_of_under_two_weeks_is_not_used_and_the_warnings_say_so() -> None:
    matrix, times = stream(1, 1)
    made = make_reference(
        matrix,
        SPECS,
        rng=np.random.default_rng(0),
        event_times=times,
        season_slot_hours=1,
        calendar=CALENDAR,
    )
    assert made.seasonal == ()
    assert {NAMES[i] for i in made.untested} == set(CALENDAR)
    assert any("1.0 weeks, under 2, and is not used" in said for said in made.warnings(100))


def test_a_window_of_unknown_or_empty_hours_says_what_it_cannot_be_held_against() -> None:
    live = monitor(reference())
    matrix, times = stream(5, 1, WEEKS)
    span, rows = windows(matrix, times)[0]
    counts = live.reference.columns.count(rows)
    told = live.check(counts)
    assert told.warnings == (NO_HOURS,)
    assert {NAMES[each.column] for each in told.tested} == {"flat"}
    season = live.reference.season
    assert season is not None
    cut = season.repeats.copy(), season.repeat_rows.copy()
    for each in cut:
        each[:, :24] = 0
    mondays_gone = replace(season, repeats=cut[0], repeat_rows=cut[1])
    there = monitor(replace(live.reference, season=mondays_gone))
    assert there.check(counts, span_ms=span).warnings == (NO_HOURS,)
    assert any("24 of the season's 168 slots" in w for w in there.reference.warnings(100))
    assert live.check(counts, span_ms=span).warnings == ()


def test_weeks_of_independent_rows_differ_by_chance_and_dependent_ones_by_more() -> None:
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(20):
        share = rng.dirichlet(np.ones(6), size=56)
        counts = np.stack([[rng.multinomial(200, p) for p in share] for _ in range(3)])
        scatter = scatter_of(counts, per_day=8)
        assert scatter is not None
        ratios.append(scatter.dispersion)
        assert scatter_of(counts * 5, per_day=8).independent is False  # type: ignore[union-attr]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


def test_the_weeks_of_a_season_add_up_to_the_reference() -> None:
    made = reference()
    assert made.season is not None
    assert made.season.repeats.shape[:2] == (WEEKS, 168)
    assert made.season.counts.sum(axis=0).tolist() == made.counts.tolist()
    matrix, times = stream(1, 1)
    many = make_season(made.columns, matrix, MONDAY + (times - MONDAY) * 20, slot_hours=12)
    assert many.repeats.shape[:2] == (8, 14)
    assert many.rows.sum() == len(matrix)


def sketches(of: Reference, matrix: Matrix, times: Ints) -> list[tuple[Window, Sketch]]:
    made = []
    for (start, end), rows in windows(matrix, times):
        key = SketchKey("fraud", "v1", start, end, "", of.columns.fingerprint)
        made.append(
            (Window(start, end, end), Sketch.empty(of.columns, key).update(of.columns, rows))
        )
    return made


def test_the_live_detector_holds_windows_against_their_hours() -> None:
    made = reference()
    watch = VersionWatch("fraud", "v1", made, WatchOptions(arl0=500.0), nulls=NULLS)
    matrix, times = stream(11, 3, WEEKS)
    changed = MONDAY + (WEEKS + 2) * WEEK_MS
    matrix[times >= changed, 0] += 1.5
    alerts = []
    for window, sketch in sketches(made, matrix, times):
        checked = watch.close(window, sketch)
        alerts += [(window.start_ms, alert) for alert in checked.alerts]
        assert checked.verdict is not None
        assert checked.verdict.warnings == ()
        assert "day" in {NAMES[each.column] for each in checked.verdict.tested}
    early = [alert for at, alert in alerts if at < changed]
    assert early == []
    first = alerts[0]
    assert first[1].name == "day"
    assert changed <= first[0] <= changed + 4 * HOURS * HOUR_MS
    later = [a for _, a in alerts if a.name == "day" and a.change_point_ms is not None]
    assert later


def test_a_scan_with_a_season_is_quiet_where_nothing_moves_and_finds_what_does() -> None:
    matrix, times = stream(12, 5)
    n = int(np.searchsorted(times, MONDAY + WEEKS * WEEK_MS))
    changed = int(np.searchsorted(times, MONDAY + 4 * WEEK_MS))
    matrix[changed:, 0] += 1.0
    options = ScanOptions(
        n_reference=n, window_rows=500, arl0=500.0, season_hours=1, calendar=CALENDAR
    )
    report = scan(Rows(SPECS[:-1], matrix[:, :-1], times_ms=times), options)
    alerts = {alert.name: alert for alert in report.alerts}
    assert set(alerts) == {"day"}
    assert report.alerts[0].row > changed
    row = alerts["day"].change_point_row
    assert row is not None
    assert abs(row - changed) < 500
    assert {c.name: c.test for c in report.columns}["hour"] == "season_scale"


def test_what_goes_by_the_clock_takes_no_part_in_evidence_streams_and_samples() -> None:
    made = reference()
    rate = StatedRate(ARL0, 4)
    streams = PieceStreams(made, rate=rate, window_rows=WINDOW_ROWS)
    assert "flat" not in streams.restless
    assert streams.restless["day"] == "it follows the season"
    assert streams.restless["hour"] == "it follows the calendar"
    matrix, times = stream(4, 1, WEEKS)
    sample = SampleTest.of_sample(made.sample, rate, without=made.by_the_clock | {6})
    assert sample is None  # one column is left
    two = SampleTest.of_sample(made.sample, rate, without=made.by_the_clock - {0})
    assert two is not None
    assert two.columns.tolist() == [0, 1]
    live = WindowMonitor(made, WINDOW_ROWS, rate=rate, nulls=NULLS)
    matrix[:, 0] += 3.0
    told = verdicts(live, matrix, times)
    assert all("day" in noticed(each) for each in told)
    assert not any(
        each.evidence is not None and each.evidence.result.exceeded for each in told[:40]
    )
