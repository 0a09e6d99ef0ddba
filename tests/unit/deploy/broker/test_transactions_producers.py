"""Who is the producer of a transactional id, and how it is replaced (KIP-98, KIP-360)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.transactions.coordinator import MAX_TIMEOUT_MS
from deploy.local.broker.transactions.transaction import LAST_EPOCH, Producer
from tests.fixtures.coordinator import TIMEOUT_MS, Clock, Coordinator, Fuse, refusal

ORDERS = ("orders", 0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Coordinator]:
    coordinator = Coordinator(tmp_path, Clock(), Fuse())
    coordinator.topics.create("orders", 2, {})
    yield coordinator
    coordinator.close()


def test_a_new_id_gets_a_new_producer_at_epoch_0(broker: Coordinator) -> None:
    first, second = broker.init("t"), broker.init("u")
    assert first.epoch == second.epoch == 0
    assert first.id != second.id


def test_the_next_producer_of_an_id_has_the_next_epoch(broker: Coordinator) -> None:
    first = broker.init("t")
    assert broker.init("t") == Producer(first.id, 1)
    broker.restart()
    assert broker.init("t") == Producer(first.id, 2)


@pytest.mark.parametrize("timeout_ms", [-1, 0, MAX_TIMEOUT_MS + 1])
def test_a_timeout_out_of_bounds_is_refused(broker: Coordinator, timeout_ms: int) -> None:
    init = broker.transactions.init_producer
    assert refusal(init, "t", timeout_ms) is Code.INVALID_TRANSACTION_TIMEOUT
    assert broker.store.transactions() == {}


@pytest.mark.parametrize("timeout_ms", [1, MAX_TIMEOUT_MS])
def test_the_bounds_of_the_timeout_are_allowed(broker: Coordinator, timeout_ms: int) -> None:
    assert broker.transactions.init_producer("t", timeout_ms).epoch == 0


def test_an_empty_id_is_refused_everywhere(broker: Coordinator) -> None:
    producer, transactions = Producer(1, 0), broker.transactions
    assert refusal(transactions.init_producer, "", TIMEOUT_MS) is Code.INVALID_REQUEST
    assert refusal(transactions.add_partitions, "", producer, [ORDERS]) is Code.INVALID_REQUEST
    assert refusal(transactions.add_group, "", producer, "g") is Code.INVALID_REQUEST
    assert refusal(transactions.end, "", producer, commit=True) is Code.INVALID_REQUEST


def test_a_new_producer_aborts_the_transaction_of_the_old_one(broker: Coordinator) -> None:
    old = broker.init("t")
    broker.write("t", old, ORDERS, "old")
    broker.hold("t", old, "g", {ORDERS: 5})
    new = broker.init("t")
    # One epoch goes to the abort markers, as in Kafka.
    assert new == Producer(old.id, old.epoch + 2)
    assert not broker.topics.partition(*ORDERS).open_transactions
    assert broker.committed("g") == {}
    assert broker.write("t", new, ORDERS, "new") is Code.NONE
    broker.transactions.end("t", new, commit=True)
    assert broker.visible(ORDERS) == ["new"]


def test_a_replaced_producer_is_fenced_from_everything(broker: Coordinator) -> None:
    old = broker.init("t")
    broker.write("t", old, ORDERS, "old")
    new = broker.init("t")
    broker.write("t", new, ORDERS, "new")
    transactions = broker.transactions
    assert refusal(transactions.add_partitions, "t", old, [ORDERS]) is Code.PRODUCER_FENCED
    assert refusal(transactions.add_group, "t", old, "g") is Code.PRODUCER_FENCED
    assert refusal(transactions.hold_offsets, "t", old, "g", {}) is Code.PRODUCER_FENCED
    assert refusal(transactions.end, "t", old, commit=True) is Code.PRODUCER_FENCED
    code = transactions.check_produce("t", old.id, old.epoch, *ORDERS)
    assert code is Code.INVALID_PRODUCER_EPOCH
    assert broker.topics.partition(*ORDERS).open_transactions


def test_a_producer_bumps_its_own_epoch_and_may_ask_twice(broker: Coordinator) -> None:
    first = broker.init("t")
    second = broker.init("t", first)
    assert second == Producer(first.id, 1)
    assert broker.init("t", first) == second
    broker.restart()
    assert broker.init("t", first) == second
    assert broker.init("t", second) == Producer(first.id, 2)


def test_a_producer_that_was_replaced_cannot_bump_its_epoch(broker: Coordinator) -> None:
    first = broker.init("t")
    current = broker.init("t")
    broker.write("t", current, ORDERS, "current")
    init = broker.transactions.init_producer
    assert refusal(init, "t", TIMEOUT_MS, first) is Code.PRODUCER_FENCED
    stranger = Producer(first.id + 50, current.epoch)
    assert refusal(init, "t", TIMEOUT_MS, stranger) is Code.PRODUCER_FENCED
    broker.transactions.end("t", current, commit=True)
    assert broker.visible(ORDERS) == ["current"]


def test_a_claim_on_an_id_that_was_forgotten_gets_a_new_producer(broker: Coordinator) -> None:
    claimed = Producer(1_000_000, 7)
    given = broker.init("t", claimed)
    assert given.epoch == 0
    assert given.id != claimed.id


def _at_epoch(broker: Coordinator, epoch: int) -> Producer:
    """The id "t" with a producer of this epoch, by way of the store."""
    producer = broker.init("t")
    text = broker.store.transactions()["t"].replace(
        f"[{producer.id}, 0]", f"[{producer.id}, {epoch}]"
    )
    broker.store.put_transaction("t", text)
    broker.restart()
    return Producer(producer.id, epoch)


def test_the_last_epoch_but_one_is_given_and_then_a_new_producer_id(broker: Coordinator) -> None:
    before = _at_epoch(broker, LAST_EPOCH - 2)
    last = broker.init("t")
    assert last == Producer(before.id, LAST_EPOCH - 1)
    new = broker.init("t")
    assert (new.id != last.id, new.epoch) == (True, 0)


def test_an_own_bump_at_the_last_epoch_may_be_asked_twice_too(broker: Coordinator) -> None:
    last = _at_epoch(broker, LAST_EPOCH - 1)
    new = broker.init("t", last)
    assert (new.id != last.id, new.epoch) == (True, 0)
    assert broker.init("t", last) == new


def test_an_open_transaction_at_the_last_epoch_can_be_fenced(broker: Coordinator) -> None:
    last = _at_epoch(broker, LAST_EPOCH - 1)
    broker.write("t", last, ORDERS, "old")
    new = broker.init("t")
    assert (new.id != last.id, new.epoch) == (True, 0)
    assert not broker.topics.partition(*ORDERS).open_transactions
