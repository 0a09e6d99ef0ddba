"""When a worker counts as stalled."""

from stream_processors.watchdog import Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_standing_still_with_work_waiting_is_a_stall_after_the_time_out() -> None:
    clock = Clock()
    watchdog = Watchdog(60, clock)
    assert not watchdog.stalled(progress=5, n_waiting=100)
    clock.now = 59
    assert not watchdog.stalled(progress=5, n_waiting=100)
    clock.now = 60
    assert watchdog.stalled(progress=5, n_waiting=100)


def test_progress_or_an_empty_source_starts_the_time_anew() -> None:
    clock = Clock()
    watchdog = Watchdog(60, clock)
    for now, progress, n_waiting in [(0, 1, 9), (50, 2, 9), (100, 2, 0), (150, 2, 9)]:
        clock.now = now
        assert not watchdog.stalled(progress=progress, n_waiting=n_waiting)
    clock.now = 160
    assert watchdog.stalled(progress=2, n_waiting=9)
