"""Back-off and giving up."""

from deploy.local.restarts import LONGEST_DELAY_S, RestartPolicy


def test_each_restart_waits_twice_as_long_up_to_a_bound() -> None:
    policy = RestartPolicy(max_restarts=10, window_s=1000)
    delays = [policy.delay_s(now=0) for _ in range(10)]

    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays[-1] == LONGEST_DELAY_S


def test_it_gives_up_after_the_allowed_restarts_within_the_window() -> None:
    policy = RestartPolicy(max_restarts=2, window_s=60)

    assert [policy.delay_s(now) for now in (0, 10, 20)] == [0.25, 0.5, None]


def test_ends_that_lie_a_window_back_no_longer_count() -> None:
    policy = RestartPolicy(max_restarts=2, window_s=60)
    policy.delay_s(0)
    policy.delay_s(10)

    assert policy.delay_s(60) == 0.5
    assert policy.delay_s(500) == 0.25


def test_no_restarts_allowed_gives_up_at_once() -> None:
    assert RestartPolicy(max_restarts=0, window_s=60).delay_s(0) is None
