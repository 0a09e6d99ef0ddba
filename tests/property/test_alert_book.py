"""Replays of an alert book: whatever the windows were, nothing is told twice or otherwise."""

from hypothesis import given
from hypothesis import strategies as st

from drift.alert_book import AlertBook, AlertRules, Window
from drift.alert_signals import Signal
from drift.findings import Level, Subject
from drift.result import Result
from schemas.drift_events import AlertState, DriftAlert

Step = tuple[str, list[Signal]]


def _signal(name: str, level: Level, detector: str, effect: float, change: int | None) -> Signal:
    result = Result(detector, 50.0, 30.0, 1e-6, effect, 10_000, 1_000)
    return Signal(Subject.FEATURE, name, level, result, change_point_ms=change)


signals = st.builds(
    _signal,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Level),
    st.sampled_from(["g_test", "null_rate"]),
    st.sampled_from([0.0, 0.05, 0.2, -0.1, 1.5]),
    st.none() | st.integers(0, 4_000),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["", "NO"]), st.lists(signals, max_size=2, unique_by=lambda s: s.name)
    ),
    max_size=40,
)
rules = st.builds(
    AlertRules,
    quiet_windows=st.integers(1, 3),
    windows_between_updates=st.integers(1, 4),
)


def _feed(book: AlertBook, history: list[Step], begin: int = 0) -> list[tuple[DriftAlert, ...]]:
    return [
        book.close(Window(100 * i, 100 * i + 100, 100 * i + 150), found, segment=segment)
        for i, (segment, found) in enumerate(history[begin:], start=begin)
    ]


@given(rules, steps, st.data())
def test_a_prefix_fed_again_tells_nothing_and_changes_nothing(
    rules: AlertRules, history: list[Step], data: st.DataObject
) -> None:
    book = AlertBook("fraud", "v1", rules)
    _feed(book, history)
    before = book.encode()
    prefix = history[: data.draw(st.integers(0, len(history)))]
    assert not any(_feed(book, prefix))
    assert book.encode() == before


@given(rules, steps, st.data())
def test_a_book_from_any_earlier_state_tells_the_same_events(
    rules: AlertRules, history: list[Step], data: st.DataObject
) -> None:
    whole = _feed(AlertBook("fraud", "v1", rules), history)
    cut = data.draw(st.integers(0, len(history)))
    begin = data.draw(st.integers(0, cut))
    book = AlertBook("fraud", "v1", rules)
    _feed(book, history[:cut])
    restored = AlertBook.decode(book.encode())
    # What was read but not acknowledged when it crashed comes again.
    again = _feed(restored, history, begin)
    assert not any(again[: cut - begin])
    assert again[cut - begin :] == whole[cut:]


@given(rules, steps)
def test_an_alert_is_opened_once_resolved_once_at_most_and_its_level_only_rises(
    rules: AlertRules, history: list[Step]
) -> None:
    book = AlertBook("fraud", "v1", rules)
    by_id: dict[str, list[DriftAlert]] = {}
    for event in (each for events in _feed(book, history) for each in events):
        by_id.setdefault(event.alert_id, []).append(event)
    open_ids = {each.alert_id for each in book.open_alerts}
    for alert_id, events in by_id.items():
        states = [each.state for each in events]
        assert states[0] is AlertState.OPENED
        assert states.count(AlertState.OPENED) == 1
        assert (states[-1] is AlertState.RESOLVED) == (alert_id not in open_ids)
        assert AlertState.RESOLVED not in states[:-1]
        levels = [each.level for each in events]
        assert levels == sorted(levels, reverse=True), "notice, then alert"
        assert len({(each.name, each.segment, each.opened_at_ms) for each in events}) == 1
        assert [each.n_windows for each in events] == sorted(each.n_windows for each in events)


@given(rules, steps)
def test_updates_at_one_level_keep_their_distance(rules: AlertRules, history: list[Step]) -> None:
    book = AlertBook("fraud", "v1", rules)
    last: dict[str, tuple[int, str]] = {}
    closed = {"": 0, "NO": 0}
    for (segment, _), events in zip(history, _feed(book, history), strict=True):
        closed[segment] += 1
        for event in events:
            if event.state is AlertState.UPDATED and event.level == last[event.alert_id][1]:
                passed = closed[segment] - last[event.alert_id][0]
                assert passed >= rules.windows_between_updates
            last[event.alert_id] = closed[segment], event.level
