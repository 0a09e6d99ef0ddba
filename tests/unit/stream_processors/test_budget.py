"""One budget for fetched, in work and unacknowledged."""

import threading
import time

from stream_processors.transport.budget import Budget, Limits

WAIT_S = 60.0
LIMITS = Limits(max_events=10, max_bytes=1000, max_batch=6, max_fetches=2)


def test_room_is_what_the_budget_leaves_and_never_more_than_a_batch() -> None:
    budget = Budget(LIMITS)
    assert budget.room(0) == 6
    budget.lease(6, 10, 1)
    assert budget.room(0) == 4


def test_there_is_no_room_when_bytes_or_fetches_are_used_up() -> None:
    bytes_full, fetches_full = Budget(LIMITS), Budget(LIMITS)
    bytes_full.lease(1, 1000, 1)
    assert bytes_full.room(0) == 0
    fetches_full.lease(1, 1, 1)
    fetches_full.lease(1, 1, 1)
    assert fetches_full.room(0) == 0


def test_a_lease_is_given_back_when_its_last_part_is_released() -> None:
    budget = Budget(LIMITS)
    lease = budget.lease(6, 10, 2)
    lease.release()
    assert budget.in_flight == (6, 10, 1)
    lease.release()
    assert budget.in_flight == (0, 0, 0)


def test_whoever_waits_for_room_gets_it_when_a_lease_ends() -> None:
    budget = Budget(LIMITS)
    leases = [budget.lease(5, 10, 1), budget.lease(5, 10, 1)]
    rooms: list[int] = []
    waiting = threading.Thread(target=lambda: rooms.append(budget.room(WAIT_S)))
    waiting.start()
    time.sleep(0.05)
    assert not rooms
    leases[0].release()
    waiting.join(WAIT_S)
    assert rooms == [5]


def test_a_closed_budget_has_no_room_and_keeps_nobody_waiting() -> None:
    budget = Budget(LIMITS)
    budget.close()
    started = time.monotonic()
    assert budget.room(WAIT_S) == 0
    assert time.monotonic() - started < WAIT_S / 2
