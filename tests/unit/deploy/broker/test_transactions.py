"""The coordinator's rules: who may write under a transactional id, and what ends what."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.store import Committed
from deploy.local.broker.transactions.table import ID_EXPIRATION_MS
from deploy.local.broker.transactions.transaction import Producer, from_text, to_text
from tests.fixtures.coordinator import TIMEOUT_MS, Clock, Coordinator, Fuse, refusal

ORDERS = ("orders", 0)
HOUR_S = 3600.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Coordinator]:
    coordinator = Coordinator(tmp_path, Clock(), Fuse())
    coordinator.topics.create("orders", 2, {})
    yield coordinator
    coordinator.close()


# --- partitions and records ---------------------------------------------------------------------


def test_an_unknown_id_or_another_producer_id_is_refused(broker: Coordinator) -> None:
    producer = broker.init("t")
    other = Producer(producer.id + 1, producer.epoch)
    for id, given in (("u", producer), ("t", other)):
        add, end = broker.transactions.add_partitions, broker.transactions.end
        assert refusal(add, id, given, [ORDERS]) is Code.INVALID_PRODUCER_ID_MAPPING
        assert refusal(end, id, given, commit=True) is Code.INVALID_PRODUCER_ID_MAPPING
        code = broker.transactions.check_produce(id, given.id, given.epoch, *ORDERS)
        assert code is Code.INVALID_PRODUCER_ID_MAPPING


def test_records_go_only_into_partitions_that_were_added(broker: Coordinator) -> None:
    producer = broker.init("t")

    def check(partition: int) -> Code:
        return broker.transactions.check_produce(
            "t", producer.id, producer.epoch, "orders", partition
        )

    assert check(0) is Code.INVALID_TXN_STATE
    broker.transactions.add_partitions("t", producer, [ORDERS])
    assert (check(0), check(1)) == (Code.NONE, Code.INVALID_TXN_STATE)
    broker.transactions.end("t", producer, commit=True)
    assert check(0) is Code.INVALID_TXN_STATE


def test_a_transactional_batch_without_an_id_is_refused(broker: Coordinator) -> None:
    code = broker.transactions.check_produce(None, 1, 0, *ORDERS)
    assert code is Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_a_partition_added_again_is_not_stored_again(broker: Coordinator) -> None:
    producer = broker.init("t")
    broker.transactions.add_partitions("t", producer, [ORDERS])
    broker.fuse.left = 1
    broker.transactions.add_partitions("t", producer, [ORDERS])
    broker.fuse.left = None
    assert broker.transactions.check_produce("t", *_fields(producer), *ORDERS) is Code.NONE


def _fields(producer: Producer) -> tuple[int, int]:
    return producer.id, producer.epoch


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [True, False])
def test_the_same_end_again_succeeds_and_the_other_does_not(
    broker: Coordinator, commit: bool
) -> None:
    producer, end = broker.init("t"), broker.transactions.end
    assert refusal(end, "t", producer, commit=commit) is Code.INVALID_TXN_STATE
    broker.write("t", producer, ORDERS, "x")
    end("t", producer, commit=commit)
    written = broker.topics.partition(*ORDERS).end_offset
    end("t", producer, commit=commit)
    assert broker.topics.partition(*ORDERS).end_offset == written
    assert refusal(end, "t", producer, commit=not commit) is Code.INVALID_TXN_STATE
    assert broker.visible(ORDERS) == (["x"] if commit else [])


def test_records_are_visible_only_after_the_commit(broker: Coordinator) -> None:
    producer = broker.init("t")
    broker.append(ORDERS, "before")
    broker.write("t", producer, ORDERS, "in")
    broker.append(ORDERS, "after")
    assert broker.visible(ORDERS) == ["before"]
    broker.transactions.end("t", producer, commit=True)
    assert broker.visible(ORDERS) == ["before", "in", "after"]


def test_a_topic_deleted_meanwhile_does_not_hold_up_the_others(broker: Coordinator) -> None:
    broker.topics.create("gone", 1, {})
    producer = broker.init("t")
    broker.write("t", producer, ("gone", 0), "x")
    broker.write("t", producer, ORDERS, "x")
    broker.topics.delete("gone")
    broker.transactions.end("t", producer, commit=True)
    assert broker.visible(ORDERS) == ["x"]


# --- offsets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_are_held_until_the_end(broker: Coordinator, commit: bool) -> None:
    producer = broker.init("t")
    broker.hold("t", producer, "g", {ORDERS: 5})
    broker.hold("t", producer, "g", {("orders", 1): 6})
    assert broker.committed("g") == {}
    assert broker.offsets.pending("g", ORDERS)
    broker.transactions.end("t", producer, commit=commit)
    assert broker.committed("g") == ({ORDERS: 5, ("orders", 1): 6} if commit else {})
    assert not broker.offsets.pending("g", ORDERS)


def test_offsets_of_a_group_that_was_not_added_are_refused(broker: Coordinator) -> None:
    producer = broker.init("t")
    offsets = {ORDERS: Committed(1)}
    hold = broker.transactions.hold_offsets
    assert refusal(hold, "t", producer, "g", offsets) is Code.INVALID_TXN_STATE
    broker.transactions.add_group("t", producer, "h")
    assert refusal(hold, "t", producer, "g", offsets) is Code.INVALID_TXN_STATE
    assert not broker.offsets.pending("g", ORDERS)


def test_a_commit_that_overtook_a_held_offset_stays_after_a_restart(broker: Coordinator) -> None:
    producer = broker.init("t")
    broker.hold("t", producer, "g", {ORDERS: 5, ("orders", 1): 6})
    broker.offsets.commit("g", {ORDERS: Committed(9)})
    broker.restart()
    broker.transactions.end("t", producer, commit=True)
    assert broker.committed("g") == {ORDERS: 9, ("orders", 1): 6}


def test_a_held_offset_does_not_outlive_its_topic_over_a_restart(broker: Coordinator) -> None:
    broker.topics.create("gone", 1, {})
    producer = broker.init("t")
    broker.hold("t", producer, "g", {("gone", 0): 5, ORDERS: 6})
    broker.offsets.forget_topic("gone")
    broker.topics.delete("gone")
    broker.topics.create("gone", 1, {})
    broker.restart()
    broker.transactions.end("t", producer, commit=True)
    assert broker.committed("g") == {ORDERS: 6}


# --- time ---------------------------------------------------------------------------------------


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced(
    broker: Coordinator,
) -> None:
    producer = broker.init("t")
    broker.write("t", producer, ORDERS, "late")
    broker.clock.now += TIMEOUT_MS / 1000 - 0.01
    broker.transactions.tick()
    assert broker.topics.partition(*ORDERS).open_transactions
    broker.clock.now += 0.01
    broker.transactions.tick()
    assert not broker.topics.partition(*ORDERS).open_transactions
    assert broker.visible(ORDERS) == []
    end = broker.transactions.end
    assert refusal(end, "t", producer, commit=True) is Code.PRODUCER_FENCED
    assert broker.init("t") == Producer(producer.id, producer.epoch + 2)


def test_the_time_of_each_transaction_counts_from_its_start(broker: Coordinator) -> None:
    producer = broker.init("t")
    for value in ("a", "b", "c"):
        broker.write("t", producer, ORDERS, value)
        broker.clock.now += TIMEOUT_MS / 1000 - 1
        broker.transactions.tick()
        broker.transactions.end("t", producer, commit=True)
    assert broker.visible(ORDERS) == ["a", "b", "c"]


def test_an_id_is_forgotten_when_it_was_not_used_for_seven_days(broker: Coordinator) -> None:
    broker.init("old")
    broker.clock.now += ID_EXPIRATION_MS / 1000 / 2
    broker.init("young")
    open_still = broker.init("open")
    broker.transactions.add_group("open", open_still, "g")
    broker.transactions.tick()
    assert set(broker.store.transactions()) == {"old", "young", "open"}
    broker.clock.now += ID_EXPIRATION_MS / 1000 / 2
    broker.transactions.tick()
    assert set(broker.store.transactions()) == {"young", "open"}
    broker.clock.now += HOUR_S
    broker.transactions.tick()
    assert broker.init("old").epoch == 0


def test_the_stored_text_is_the_whole_state(broker: Coordinator) -> None:
    producer = broker.init("t", None)
    producer = broker.init("t", producer)
    broker.write("t", producer, ORDERS, "x")
    broker.offsets.commit("g", {ORDERS: Committed(1, 0, "before")})
    broker.hold("t", producer, "g", {ORDERS: 5, ("orders", 1): 6})
    broker.transactions.add_group("t", producer, "h")
    text = broker.store.transactions()["t"]
    state = from_text("t", text)
    assert to_text(state) == text
    assert state.partitions == {ORDERS}
    assert state.previous == Producer(producer.id, 0)
    assert state.groups["g"][ORDERS].before == Committed(1, 0, "before")
    assert state.groups["h"] == {}
