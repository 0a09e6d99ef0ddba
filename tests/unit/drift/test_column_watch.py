"""Which of ADWIN's alarms are told: those of items that leave the reference, not of a way back."""

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from drift.column_watch import N_FRESH, ColumnWatch, StreamAlarm, WatchState, adwin_of_items
from drift.mean_scale import MeanScale

Floats = NDArray[np.float64]

N_BEFORE = 2_000


def new_watch() -> ColumnWatch:
    """Over items of one row, which are standardised already."""
    scale = MeanScale(1, 0.0, 1.0, 0.0, 1.0, None, np.zeros(240))
    return ColumnWatch(0, scale, 1e6, adwin_of_items(100_000.0))


def stretches(*parts: tuple[int, float], seed: int = 1) -> Floats:
    """So many items at each level."""
    levels = np.concatenate([np.full(n, level) for n, level in parts])
    return np.asarray(levels + np.random.default_rng(seed).standard_normal(len(levels)))


def told(watch: ColumnWatch, items: Floats) -> list[tuple[int, StreamAlarm]]:
    """What is told, fed one by one, with the number of the item behind which it was."""
    return [
        (number, alarm)
        for number, item in enumerate(items.tolist())
        for alarm in watch.feed(np.array([item]), number, number)
    ]


def test_what_leaves_the_reference_is_told_at_once() -> None:
    ((number, alarm),) = told(new_watch(), stretches((N_BEFORE, 0.0), (100, 3.0)))

    assert number < N_BEFORE + 10
    assert alarm.window_start_ms == number
    assert abs(alarm.change_point_ms - N_BEFORE) <= 1


def test_what_comes_back_is_not_told() -> None:
    watch = new_watch()

    assert told(watch, stretches((N_BEFORE, 1.0), (200, 0.0))) == []
    assert watch.doubt is None
    assert watch.n < N_BEFORE, "ADWIN raised no alarm: nothing was decided"


def test_a_change_that_may_be_a_way_back_is_told_when_more_items_say_that_it_was_none() -> None:
    ((number, alarm),) = told(new_watch(), stretches((N_BEFORE, 0.5), (200, -0.8)))

    assert N_BEFORE + N_FRESH <= number < N_BEFORE + 2 * N_FRESH
    assert alarm.window_start_ms == number
    assert abs(alarm.change_point_ms - N_BEFORE) <= 10
    assert alarm.result.effect == pytest.approx(-1.3, abs=0.3)
    assert alarm.result.n_window > N_FRESH


def test_a_doubt_lives_through_a_restart() -> None:
    items = stretches((N_BEFORE, 0.5), (200, -0.8))
    watch, alarms = new_watch(), []
    n_doubtful = 0
    for number, item in enumerate(items.tolist()):
        if number >= N_BEFORE:
            n_doubtful += watch.doubt is not None
            data = msgspec.msgpack.encode(watch.state())
            watch = new_watch()
            watch.load(msgspec.msgpack.decode(data, type=WatchState))
        alarms += watch.feed(np.array([item]), number, number)

    assert n_doubtful == N_FRESH
    assert alarms == [alarm for _, alarm in told(new_watch(), items)]


def test_the_next_change_decides_a_doubt_before_its_time() -> None:
    back = told(new_watch(), stretches((N_BEFORE, 1.0), (30, 0.0), (30, 5.0)))
    past = told(new_watch(), stretches((N_BEFORE, 0.5), (45, -0.8), (30, 5.0)))

    assert [alarm.result.effect > 0 for _, alarm in back] == [True]
    assert [alarm.result.effect > 0 for _, alarm in past] == [False, True]
    assert past[0][0] == past[1][0] < N_BEFORE + 55


def test_items_in_one_batch_say_what_they_say_one_by_one() -> None:
    items = stretches((N_BEFORE, 0.5), (200, -0.8), (100, 3.0))
    watch, alone = new_watch(), [alarm for _, alarm in told(new_watch(), items)]

    together = watch.feed(items, 0, 0)

    assert len(alone) == 2
    assert [alarm.result.effect > 0 for alarm in together] == [False, True]
    assert together[1].result == alone[1].result
