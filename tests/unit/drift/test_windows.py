"""Event-time windows: who holds the watermark, who is late, and what a restart keeps."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.windows import EventTimeWindows, WindowSettings, WindowsState

A, B = ("topic", 0), ("topic", 1)
NOW = 1_700_000_000_000


def windows(*watched: tuple[str, int], **settings: int) -> EventTimeWindows:
    made = EventTimeWindows(WindowSettings(**({"width_ms": 100} | settings)))  # type: ignore[arg-type]
    made.watch(watched, NOW)
    return made


def times(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_a_window_closes_when_every_partition_has_passed_its_end() -> None:
    it = windows(A, B)
    it.feed(A, times(10, 250), NOW)
    assert it.closed(NOW) == []
    it.feed(B, times(20, 99), NOW)
    assert it.closed(NOW) == []
    it.feed(B, times(100), NOW)
    assert it.closed(NOW) == [0]
    assert it.closed(NOW) == []
    assert it.open_windows == [100, 200]


def test_rows_are_assigned_to_the_window_that_begins_at_or_before_them_also_before_1970() -> None:
    found = windows(A, allowed_lateness_ms=1000).feed(A, times(0, 99, 100, -1, -100, -101), NOW)
    assert found.starts.tolist() == [0, 0, 100, -100, -100, -200]
    assert found.accepted.all()
    assert [(start, places.tolist()) for start, places in found.windows()] == [
        (-200, [5]), (-100, [3, 4]), (0, [0, 1]), (100, [2]),
    ]  # fmt: skip


def test_late_rows_go_to_their_window_while_it_is_open_and_are_counted() -> None:
    it = windows(A, allowed_lateness_ms=50)
    it.feed(A, times(10, 149), NOW)
    assert it.closed(NOW) == []
    late = it.feed(A, times(20), NOW)
    assert (late.accepted.tolist(), late.n_late, late.n_dropped) == ([True], 1, 0)
    dropped = it.feed(A, times(150, 30), NOW)
    assert it.closed(NOW) == [0]
    assert (dropped.accepted.tolist(), dropped.n_late, dropped.n_dropped) == ([True, False], 0, 1)


def test_disorder_within_an_open_window_is_not_late() -> None:
    it = windows(A)
    assert it.feed(A, times(50, 10, 90, 20), NOW).n_late == 0


def test_an_idle_partition_does_not_hold_the_watermark_and_its_rows_are_late_when_it_returns() -> (
    None
):
    it = windows(A, B, idle_timeout_ms=1000)
    it.feed(B, times(5), NOW)
    it.feed(A, times(10, 250), NOW + 999)
    assert it.closed(NOW + 999) == []
    assert it.closed(NOW + 1000) == [0]
    back = it.feed(B, times(7, 260), NOW + 1001)
    assert back.accepted.tolist() == [False, True]
    assert back.n_dropped == 1


def test_a_partition_with_rows_waiting_stays_active() -> None:
    it = windows(A, B, idle_timeout_ms=1000)
    it.feed(A, times(10, 250), NOW + 900)
    it.feed(B, times(), NOW + 900)
    assert it.closed(NOW + 1500) == []


def test_a_watched_partition_without_rows_holds_the_watermark_until_it_is_idle() -> None:
    it = windows(A, B, idle_timeout_ms=1000)
    it.feed(A, times(10, 250), NOW + 500)
    assert it.closed(NOW + 999) == []
    assert it.closed(NOW + 1000) == [0]


def test_when_all_are_idle_the_furthest_decides() -> None:
    it = windows(A, B, idle_timeout_ms=1000)
    it.feed(A, times(10, 250), NOW)
    it.feed(B, times(20), NOW)
    assert it.closed(NOW + 5000) == [0]
    assert it.open_windows == [200]


def test_a_partition_that_is_not_read_any_more_holds_nothing() -> None:
    it = windows(A, B)
    it.feed(A, times(10, 250), NOW)
    it.watch([A], NOW)
    assert it.closed(NOW) == [0]


def test_an_event_from_the_future_does_not_move_the_watermark_and_is_counted() -> None:
    it = windows(A, max_ahead_ms=1000)
    found = it.feed(A, times(NOW - 500, NOW + 1000, NOW + 1001, 2**62), NOW)
    assert found.accepted.tolist() == [True, True, False, False]
    assert found.n_ahead == 2
    assert it.watermark_ms == NOW + 1000


def test_event_times_at_the_ends_of_their_type_do_no_harm() -> None:
    it = windows(A)
    found = it.feed(A, times(-(2**63), 2**63 - 1, 10), NOW)
    assert found.accepted.tolist() == [True, False, True]
    assert it.closed(NOW)[0] < -(2**61)
    assert it.watermark_ms == 10


def test_history_of_years_ago_is_replayed_by_its_own_time() -> None:
    it = windows(A)
    found = it.feed(A, times(*range(0, 1000, 10)), NOW)
    assert found.accepted.all()
    assert it.closed(NOW) == list(range(0, 900, 100))
    assert it.flush() == [900]


def test_nothing_is_taken_after_the_end_of_the_input() -> None:
    it = windows(A)
    it.feed(A, times(10), NOW)
    assert it.flush() == [0]
    assert it.feed(A, times(11), NOW).n_dropped == 1
    assert it.open_windows == []


def test_the_watermark_never_goes_back() -> None:
    it = windows(A)
    it.feed(A, times(500), NOW)
    it.watch([A, B], NOW)
    it.feed(B, times(10), NOW)
    assert it.watermark_ms == 500


def test_how_far_a_partition_is_ahead_is_known() -> None:
    it = windows(A, B)
    it.feed(A, times(5000), NOW)
    assert it.ahead_ms(A) == 0
    it.feed(B, times(200), NOW)
    assert (it.ahead_ms(A), it.ahead_ms(B)) == (4800, 0)


@pytest.mark.parametrize("wrong", [{"width_ms": 0}, {"allowed_lateness_ms": -1}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        windows(A, **wrong)


ROWS = st.lists(st.integers(-500, 2000), max_size=40)
CUTS = st.lists(st.integers(0, 6), min_size=1, max_size=60)


def read(
    it: EventTimeWindows, rows: dict[tuple[str, int], list[int]], cuts: list[int], order: list[bool]
) -> dict[int, set[tuple[tuple[str, int], int]]]:
    """Feed all rows in batches of the sizes `cuts`, from A where `order` is true, and flush."""
    got: dict[int, set[tuple[tuple[str, int], int]]] = {}
    at = {A: 0, B: 0}
    emitted: list[int] = []
    step = 0
    while at[A] < len(rows[A]) or at[B] < len(rows[B]):
        source = A if order[step % len(order)] else B
        if at[source] >= len(rows[source]):
            source = B if source is A else A
        size = 1 + cuts[step % len(cuts)]
        batch = rows[source][at[source] : at[source] + size]
        found = it.feed(source, times(*batch), NOW)
        for start, places in found.windows():
            assert start not in emitted, "a closed window takes no rows"
            got.setdefault(start, set()).update((source, at[source] + int(p)) for p in places)
        at[source] += len(batch)
        step += 1
        emitted += it.closed(NOW)
    emitted += it.flush()
    assert emitted == sorted(set(emitted)) == sorted(got), "each window closes once, in order"
    return got


@given(ROWS, ROWS, CUTS, st.lists(st.booleans(), min_size=1, max_size=20))
def test_no_cut_and_no_interleaving_changes_the_windows_when_nothing_is_late(
    a: list[int], b: list[int], cuts: list[int], order: list[bool]
) -> None:
    rows = {A: a, B: b}
    whole: dict[int, set[tuple[tuple[str, int], int]]] = {}
    for source, own in rows.items():
        for place, time in enumerate(own):
            whole.setdefault(time // 100 * 100, set()).add((source, place))
    assert read(windows(A, B, allowed_lateness_ms=2500), rows, cuts, order) == whole
    in_order = {source: sorted(own) for source, own in rows.items()}
    sizes = {k: len(v) for k, v in read(windows(A, B), in_order, cuts, order).items()}
    assert sizes == {k: len(v) for k, v in whole.items()}


@given(ROWS, CUTS, CUTS, st.integers(0, 300))
def test_which_rows_are_too_late_does_not_depend_on_how_batches_were_cut(
    a: list[int], cuts: list[int], others: list[int], lateness: int
) -> None:
    rows = {A: a, B: []}
    one = read(windows(A, allowed_lateness_ms=lateness), rows, cuts, [True])
    assert one == read(windows(A, allowed_lateness_ms=lateness), rows, others, [True])


@given(ROWS, ROWS, st.integers(0, 300))
def test_a_restarted_worker_goes_on_as_if_it_had_not_stopped(
    before: list[int], after: list[int], lateness: int
) -> None:
    it = windows(A, B, allowed_lateness_ms=lateness)
    it.feed(A, times(*before), NOW)
    it.feed(B, times(*before[::2]), NOW)
    stored = msgspec.msgpack.encode(it.state())
    again = EventTimeWindows(it.settings, msgspec.msgpack.decode(stored, type=WindowsState))
    for each in (it, again):
        each.feed(A, times(*after), NOW + 1)
    assert again.closed(NOW + 2) == it.closed(NOW + 2)
    assert again.state() == it.state()
