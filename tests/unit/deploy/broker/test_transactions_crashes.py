"""A SIGKILL between any two steps of an end leads to the outcome that was asked for."""

from pathlib import Path

import pytest

from deploy.local.broker.errors import Code
from tests.fixtures.coordinator import TIMEOUT_MS, Clock, Coordinator, Died, Fuse

ORDERS, REFUNDS = ("orders", 1), ("refunds", 0)


def _in_transaction(directory: Path) -> Coordinator:
    """A transaction over two partitions and two groups, whose end takes 6 effects, 12 steps."""
    broker = Coordinator(directory, Clock(), Fuse())
    broker.topics.create("orders", 2, {})
    broker.topics.create("refunds", 1, {})
    producer = broker.init("t")
    for partition in (ORDERS, REFUNDS):
        assert broker.write("t", producer, partition, "in") is Code.NONE
    broker.hold("t", producer, "g", {ORDERS: 7})
    broker.hold("t", producer, "h", {ORDERS: 8, REFUNDS: 9})
    return broker


def _outcome(broker: Coordinator) -> tuple[list[str], list[str], dict, dict]:
    committed = broker.committed("g"), broker.committed("h")
    return broker.visible(ORDERS), broker.visible(REFUNDS), *committed


NOTHING = ([], [], {}, {})
EVERYTHING = (["in"], ["in"], {ORDERS: 7}, {ORDERS: 8, REFUNDS: 9})


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("step", range(1, 13))
def test_an_end_that_was_cut_short_is_the_same_end_after_the_restart(
    tmp_path: Path, step: int, commit: bool
) -> None:
    broker = _in_transaction(tmp_path)
    producer = broker.producers["t"]
    broker.fuse.left = step
    with pytest.raises(Died):
        broker.transactions.end("t", producer, commit=commit)
    broker.restart()

    wanted = EVERYTHING if commit else NOTHING
    decided = step > 1
    assert _outcome(broker) == (wanted if decided else NOTHING)
    assert bool(broker.topics.partition(*ORDERS).open_transactions) is not decided

    # The client, who got no answer, asks again.
    broker.transactions.end("t", producer, commit=commit)
    assert _outcome(broker) == wanted
    assert not broker.topics.partition(*ORDERS).open_transactions
    assert not broker.offsets.pending("g", ORDERS)


def test_an_end_takes_the_steps_that_are_tested(tmp_path: Path) -> None:
    broker = _in_transaction(tmp_path)
    broker.fuse.left = 13
    broker.transactions.end("t", broker.producers["t"], commit=True)
    assert broker.fuse.left == 1


@pytest.mark.parametrize("second", range(1, 12))
def test_a_restart_that_is_cut_short_too_changes_nothing(tmp_path: Path, second: int) -> None:
    broker = _in_transaction(tmp_path)
    broker.fuse.left = 3
    with pytest.raises(Died):
        broker.transactions.end("t", broker.producers["t"], commit=True)
    broker.fuse.left = second
    broker.store.close()
    try:
        Coordinator(tmp_path, broker.clock, broker.fuse)
    except Died:
        assert second <= 10
    else:
        assert second == 11
    broker.restart()
    assert _outcome(broker) == EVERYTHING


@pytest.mark.parametrize("commit", [True, False])
def test_an_open_transaction_goes_on_after_a_restart(tmp_path: Path, commit: bool) -> None:
    broker = _in_transaction(tmp_path)
    producer = broker.producers["t"]
    broker.restart()
    assert _outcome(broker) == NOTHING
    assert broker.offsets.pending("h", REFUNDS)
    assert broker.write("t", producer, ORDERS, "more") is Code.NONE
    broker.transactions.end("t", producer, commit=commit)
    assert broker.visible(ORDERS) == (["in", "more"] if commit else [])
    assert broker.committed("g") == ({ORDERS: 7} if commit else {})


def test_the_time_a_transaction_took_before_the_restart_counts(tmp_path: Path) -> None:
    broker = _in_transaction(tmp_path)
    broker.clock.now += TIMEOUT_MS / 1000 - 1
    broker.restart()
    broker.transactions.tick()
    assert broker.topics.partition(*ORDERS).open_transactions
    broker.clock.now += 1
    broker.transactions.tick()
    assert not broker.topics.partition(*ORDERS).open_transactions
    assert _outcome(broker) == NOTHING


@pytest.mark.parametrize("step", range(3, 13))
def test_a_step_that_fails_is_made_up_for_without_a_restart(tmp_path: Path, step: int) -> None:
    """As on a full disk: the tick tries again, so that readers are not held up."""
    broker = _in_transaction(tmp_path)
    broker.fuse.left = step
    with pytest.raises(Died):
        broker.transactions.end("t", broker.producers["t"], commit=True)
    broker.fuse.left = None
    broker.clock.now += 1
    broker.transactions.tick()
    assert _outcome(broker) == EVERYTHING


def test_a_transaction_without_coordinator_state_is_aborted_at_start(tmp_path: Path) -> None:
    broker = _in_transaction(tmp_path)
    broker.append(ORDERS, "plain")
    broker.store.delete_transaction("t")
    assert broker.visible(ORDERS) == []
    broker.restart()
    assert broker.visible(ORDERS) == ["plain"]


def test_an_owner_of_a_stray_transaction_gets_a_new_producer_id(tmp_path: Path) -> None:
    broker = _in_transaction(tmp_path)
    producer = broker.producers["t"]
    broker.append(("orders", 0), "stray", producer)
    broker.restart()
    assert not broker.topics.partition("orders", 0).open_transactions
    assert _outcome(broker) == NOTHING
    after = broker.init("t")
    assert (after.id != producer.id, after.epoch) == (True, 0)
    assert broker.write("t", after, ("orders", 0), "new") is Code.NONE
