"""When an alert is opened, updated and resolved."""

from typing import Any

import numpy as np
import pytest

from drift.alert_book import AlertBook, AlertRules, Window
from drift.alert_signals import Signal, signals_of
from drift.columns import ColumnSpec
from drift.families import StatedRate
from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.monitor import Evidence, WindowMonitor, WindowVerdict
from drift.monitor import Tested as ColumnTested  # pytest takes Test* for a suite
from drift.nulls import Nulls
from drift.reference import make_reference
from drift.result import Result
from schemas.drift_events import AlertKind, AlertLevel, AlertState

MINUTE = 60_000


def window(number: int) -> Window:
    start = number * MINUTE
    return Window(start, start + MINUTE, start + MINUTE + 5_000)


def result(**changed: Any) -> Result:
    given: dict[str, Any] = {
        "detector": "g_test",
        "statistic": 50.0,
        "threshold": 30.0,
        "p_value": 1e-6,
        "effect": 0.12,
        "n_reference": 10_000,
        "n_window": 1_000,
    }
    return Result(**(given | changed))


def signal(name: str = "amount", level: Level = Level.NOTICE, **changed: Any) -> Signal:
    change = changed.pop("change_point_ms", None)
    return Signal(
        Subject.FEATURE,
        name,
        level,
        result(**changed),
        sentence="feature amount moved",
        change_point_ms=change,
    )


def book(**rules: Any) -> AlertBook:
    return AlertBook("fraud", "v1", AlertRules(**rules))


def test_the_first_significant_window_opens_an_alert_with_its_numbers() -> None:
    (opened,) = book().close(window(7), [signal(change_point_ms=6 * MINUTE)], segment="NO")

    assert opened.state is AlertState.OPENED
    assert (opened.level, opened.kind) == (AlertLevel.NOTICE, AlertKind.FEATURE)
    assert (opened.pipeline, opened.model_version) == ("fraud", "v1")
    assert (opened.name, opened.segment) == ("amount", "NO")
    assert (opened.detector, opened.effect, opened.effect_unit) == ("g_test", 0.12, "psi")
    assert (opened.p_value, opened.n_reference, opened.n_window) == (1e-6, 10_000, 1_000)
    assert (opened.window_start_ms, opened.window_end_ms) == (7 * MINUTE, 8 * MINUTE)
    assert opened.opened_at_ms == opened.updated_at_ms == 8 * MINUTE + 5_000
    assert (opened.change_point_ms, opened.n_windows) == (6 * MINUTE, 1)
    assert opened.sentence == "feature amount moved"


def test_what_goes_on_as_it_was_is_not_told_again() -> None:
    alerts = book()
    alerts.close(window(0), [signal()])
    assert [alerts.close(window(i), [signal(effect=0.13)]) for i in range(1, 30)] == [()] * 29
    assert alerts.open_alerts[0].n_windows == 30


def test_a_rise_to_alert_is_told_at_once_and_is_not_taken_back() -> None:
    alerts = book()
    (opened,) = alerts.close(window(0), [signal()])
    (risen,) = alerts.close(window(1), [signal(level=Level.ALERT, effect=0.3)])
    assert (risen.state, risen.level) == (AlertState.UPDATED, AlertLevel.ALERT)
    assert (risen.alert_id, risen.opened_at_ms) == (opened.alert_id, opened.opened_at_ms)
    assert risen.updated_at_ms == window(1).closed_at_ms
    assert alerts.close(window(2), [signal(effect=0.3)]) == ()
    assert alerts.open_alerts[0].level is AlertLevel.ALERT


@pytest.mark.parametrize(
    ("effect", "told"), [(0.17, False), (0.19, True), (0.09, False), (0.07, True), (-0.12, True)]
)
def test_an_effect_is_news_by_its_factor_and_its_sign(effect: float, told: bool) -> None:
    alerts = book(effect_factor=1.5, windows_between_updates=1)
    alerts.close(window(0), [signal(effect=0.12)])
    assert bool(alerts.close(window(1), [signal(effect=effect)])) == told


def test_effects_near_nothing_are_no_news() -> None:
    alerts = book(effect_floor=0.01, windows_between_updates=1)
    alerts.close(window(0), [signal(effect=0.0001)])
    assert alerts.close(window(1), [signal(effect=0.009)]) == ()
    assert alerts.close(window(2), [signal(effect=-0.009)]) == ()
    assert alerts.close(window(3), [signal(effect=0.02)]) != ()


def test_an_effect_in_another_unit_is_news() -> None:
    alerts = book(windows_between_updates=1)
    alerts.close(window(0), [signal(effect=0.12)])
    (told,) = alerts.close(window(1), [signal(detector="null_rate", effect=0.12)])
    assert (told.detector, told.effect_unit) == ("null_rate", "share")


def test_an_effect_that_swings_is_told_once_in_as_many_windows_as_the_rules_say() -> None:
    alerts = book(windows_between_updates=4)
    told = [alerts.close(window(i), [signal(effect=0.1 * 3 ** (i % 2))]) for i in range(40)]
    rows = [i for i, events in enumerate(told) if events]
    assert rows[0] == 0
    assert len(rows) > 2
    assert min(np.diff(rows)) >= 4


def test_quiet_windows_count_towards_the_distance_of_updates() -> None:
    alerts = book(quiet_windows=3, windows_between_updates=3)
    alerts.close(window(0), [signal(effect=0.1)])
    alerts.close(window(1), [])
    alerts.close(window(2), [])
    assert len(alerts.close(window(3), [signal(effect=0.3)])) == 1


def test_what_contributed_is_kept_until_it_is_known_anew() -> None:
    alerts = book()
    shares = (("amount", 0.7), ("country", 0.3))
    told = Signal(Subject.FEATURE, "amount", Level.NOTICE, result(), contributions=shares)
    alerts.close(window(0), [told])
    (risen,) = alerts.close(window(1), [signal(level=Level.ALERT)])
    assert risen.contributions == shares


def test_it_is_resolved_after_as_many_quiet_windows_as_the_rules_say() -> None:
    alerts = book(quiet_windows=3)
    (opened,) = alerts.close(window(0), [signal()])
    quiet = [alerts.close(window(i), []) for i in (1, 2)]
    assert quiet == [(), ()]
    (resolved,) = alerts.close(window(3), [])
    assert (resolved.state, resolved.alert_id) == (AlertState.RESOLVED, opened.alert_id)
    assert (resolved.window_start_ms, resolved.updated_at_ms) == (
        window(3).start_ms,
        window(3).closed_at_ms,
    )
    assert "quiet for 3 windows" in resolved.sentence
    assert alerts.close(window(4), []) == ()
    assert alerts.open_alerts == ()


def test_a_significant_window_ends_the_quiet() -> None:
    alerts = book(quiet_windows=2)
    alerts.close(window(0), [signal()])
    for i in range(1, 20):
        assert alerts.close(window(i), [signal()] if i % 2 == 0 else []) == ()


def test_what_moves_again_after_it_was_resolved_is_another_alert() -> None:
    alerts = book(quiet_windows=1)
    (first,) = alerts.close(window(0), [signal()])
    alerts.close(window(1), [])
    (second,) = alerts.close(window(2), [signal()])
    assert second.state is AlertState.OPENED
    assert second.alert_id != first.alert_id


def test_ids_differ_by_all_that_an_alert_is_about_and_by_nothing_else() -> None:
    other_size = Window(0, 2 * MINUTE, 0)
    later_told = Window(0, MINUTE, 10**9)

    def opened(of: AlertBook, at: Window, told: Signal, segment: str = "") -> str:
        return of.close(at, [told], segment=segment)[0].alert_id

    ids = [
        opened(book(), window(0), signal()),
        opened(book(), window(1), signal()),
        opened(book(), other_size, signal()),
        opened(book(), window(0), signal("country")),
        opened(book(), window(0), signal(), "NO"),
        opened(AlertBook("fraud", "v2"), window(0), signal()),
        opened(AlertBook("churn", "v1"), window(0), signal()),
        opened(book(), window(0), Signal(Subject.SCORE, "amount", Level.NOTICE, result())),
    ]
    assert len(set(ids)) == len(ids)
    assert opened(book(), later_told, signal(detector="null_rate", level=Level.ALERT)) == ids[0]


def test_segments_have_windows_of_their_own() -> None:
    alerts = book(quiet_windows=1)
    alerts.close(window(5), [signal()], segment="NO")
    assert len(alerts.close(window(2), [signal()], segment="SE")) == 1
    assert len(alerts.close(window(3), [], segment="SE")) == 1
    assert [each.segment for each in alerts.open_alerts] == ["NO"]


def test_the_change_point_is_the_latest_estimate_of_the_change_that_was_noticed() -> None:
    alerts = book()
    alerts.close(window(4), [signal(change_point_ms=2 * MINUTE)])
    alerts.close(window(5), [signal(change_point_ms=3 * MINUTE)])
    assert alerts.open_alerts[0].change_point_ms == 3 * MINUTE
    alerts.close(window(6), [signal(change_point_ms=5 * MINUTE)])
    assert alerts.open_alerts[0].change_point_ms == 3 * MINUTE, "its first window ended before"
    alerts.close(window(9), [signal(change_point_ms=8 * MINUTE)])
    alerts.close(window(10), [signal(change_point_ms=None)])
    assert alerts.open_alerts[0].change_point_ms == 3 * MINUTE


def test_a_model_that_no_longer_serves_has_no_open_alerts() -> None:
    alerts = book()
    alerts.close(window(0), [signal(), signal("country")])
    resolved = alerts.retire(at_ms=99, why="model v1 no longer serves")
    assert {(each.name, each.state, each.updated_at_ms) for each in resolved} == {
        ("amount", AlertState.RESOLVED, 99),
        ("country", AlertState.RESOLVED, 99),
    }
    assert all(
        ": model v1 no longer serves; significant in 1" in each.sentence for each in resolved
    )
    assert alerts.retire(at_ms=100, why="") == ()


def test_two_signals_of_one_thing_in_a_window_are_refused() -> None:
    alerts = book()
    with pytest.raises(ValueError, match="two signals of feature amount"):
        alerts.close(window(0), [signal(), signal()])
    assert len(alerts.close(window(0), [signal()])) == 1, "a refused window was not seen"


def test_only_an_alert_book_is_decoded() -> None:
    with pytest.raises(ValueError, match="not an alert book"):
        AlertBook.decode(b'{"pipeline": 1}')


@pytest.mark.parametrize(
    "rules",
    [
        {"quiet_windows": 0},
        {"windows_between_updates": 0},
        {"effect_factor": 1.0},
        {"effect_floor": 0.0},
    ],
)
def test_rules_that_are_none_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"lies above|counted from one"):
        AlertRules(**rules)  # type: ignore[arg-type]


def test_infinite_evidence_and_detectors_without_p_values_are_told_without_them() -> None:
    (opened,) = book().close(
        window(0), [signal(detector="adwin", statistic=float("inf"), p_value=1.0)]
    )
    assert (opened.statistic, opened.p_value, opened.effect_unit) == (None, None, "mean")


def test_a_verdict_gives_one_signal_a_column_its_largest_then_likeliest() -> None:
    small = result(p_value=1e-9, effect=0.05)
    large = result(detector="null_rate", p_value=1e-4, effect=0.3)
    evidence = Evidence(
        result(detector="e_sr", statistic=9_000.0, threshold=1_000.0, p_value=1e-4),
        ((1, 0.7), (0, 0.3)),
    )
    verdict = WindowVerdict(
        tested=(
            ColumnTested(0, small, True),
            ColumnTested(0, large, True),
            ColumnTested(1, result(p_value=0.3), False),
        ),
        p_values=np.array([1e-9, 0.3]),
        psi=np.zeros(2),
        evidence=evidence,
    )
    subjects = (Subject.FEATURE, Subject.SCORE)

    first, second = signals_of(verdict, ("amount", "score"), subjects, AlertBands())

    assert (first.name, first.level, first.result) == ("amount", Level.ALERT, large)
    assert (second.subject, second.level) == (Subject.SCORE, Level.NOTICE)
    assert second.contributions == (("score", 0.7), ("amount", 0.3))


def test_a_shift_that_a_monitor_sees_opens_one_alert_and_resolves_when_it_is_over() -> None:
    rng = np.random.default_rng(3)
    specs = (ColumnSpec("a"), ColumnSpec("b"))
    reference = make_reference(rng.normal(size=(6_000, 2)).astype(np.float32), specs, rng=rng)
    monitor = WindowMonitor(reference, 500, rate=StatedRate(1_000, 2), nulls=Nulls(seed=0))
    alerts, told = book(), []
    for i in range(20):
        rows = rng.normal(size=(500, 2)).astype(np.float32)
        rows[:, 0] += 0.8 * (5 <= i < 10)
        verdict = monitor.check(reference.columns.count(rows))
        by_own_tests = WindowVerdict(verdict.tested, verdict.p_values, verdict.psi, None)
        signals = signals_of(by_own_tests, ("a", "b"), [Subject.FEATURE] * 2, AlertBands())
        told += [(i, each.state.value, each.name) for each in alerts.close(window(i), signals)]
    assert [each for each in told if each[1] != "updated"] == [
        (5, "opened", "a"),
        (12, "resolved", "a"),
    ]
