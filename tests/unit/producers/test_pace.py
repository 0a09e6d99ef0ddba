"""Events leave by a schedule, not by a sleep after each."""

import pytest

from producers.pace import MAX_CATCH_UP_S, Pacer


class Clock:
    """Time that passes only when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.n_sleeps = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.n_sleeps += 1


def sent_at(pacer: Pacer, clock: Clock, n: int) -> list[float]:
    times = []
    for _ in range(n):
        pacer.wait()
        times.append(clock.now)
    return times


@pytest.mark.parametrize("rate", [0.5, 40, 5_000, 200_000])
def test_no_event_leaves_more_than_a_burst_before_it_is_due(rate: float) -> None:
    clock = Clock()
    pacer = Pacer(rate, clock=clock, sleep=clock.sleep)
    for number, at in enumerate(sent_at(pacer, clock, 1000)):
        assert -0.0051 < at - (100 + number / rate) < 0.0051


def test_a_high_rate_sleeps_once_per_burst_not_once_per_event() -> None:
    clock = Clock()
    sent_at(Pacer(100_000, clock=clock, sleep=clock.sleep), clock, 10_000)
    assert 10 <= clock.n_sleeps <= 20


def test_flat_out_never_sleeps() -> None:
    clock = Clock()
    sent_at(Pacer(None, clock=clock, sleep=clock.sleep), clock, 1000)
    assert clock.n_sleeps == 0


def test_a_short_stall_is_caught_up() -> None:
    clock = Clock()
    pacer = Pacer(100, clock=clock, sleep=clock.sleep)
    sent_at(pacer, clock, 10)
    clock.now += 0.5
    assert sent_at(pacer, clock, 100)[-1] == pytest.approx(100 + 1.09, abs=0.02)


def test_a_long_stall_is_not_followed_by_a_burst_of_everything_missed() -> None:
    clock = Clock()
    pacer = Pacer(100, clock=clock, sleep=clock.sleep)
    sent_at(pacer, clock, 1)
    clock.now += 60
    at_once = [at for at in sent_at(pacer, clock, 1000) if at < 160.02]
    assert len(at_once) <= 100 * MAX_CATCH_UP_S + 5
