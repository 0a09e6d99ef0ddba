"""Committed offsets: durable, exact, and held back by open transactions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker.groups.offsets import Offsets
from deploy.local.broker.store import Committed, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "broker.sqlite3")
    yield store
    store.close()


@pytest.fixture
def offsets(store: Store) -> Offsets:
    return Offsets(store)


def test_what_was_committed_survives_the_process(offsets: Offsets, store: Store) -> None:
    given = {("t", 0): Committed(5, 3, "a\0b ü"), ("t", 1): Committed(0)}
    offsets.commit("g", given)

    assert offsets.fetch("g") == given
    assert Offsets(store).fetch("g") == given
    assert offsets.groups() == ["g"]


def test_a_commit_may_go_back(offsets: Offsets) -> None:
    offsets.commit("g", {("t", 0): Committed(5)})
    offsets.commit("g", {("t", 0): Committed(2)})

    assert offsets.fetch("g")["t", 0].offset == 2


def test_groups_are_apart(offsets: Offsets) -> None:
    offsets.commit("g", {("t", 0): Committed(5)})

    assert offsets.fetch("other") == {}
    assert not offsets.known("other")


def test_deleted_offsets_are_gone_after_a_restart_too(offsets: Offsets, store: Store) -> None:
    offsets.commit("g", {("t", 0): Committed(5), ("t", 1): Committed(6)})
    offsets.delete("g", [("t", 0), ("t", 7)])

    assert set(offsets.fetch("g")) == set(Offsets(store).fetch("g")) == {("t", 1)}


def test_the_offsets_of_a_deleted_topic_are_forgotten_in_every_group(
    offsets: Offsets, store: Store
) -> None:
    offsets.commit("g", {("t", 0): Committed(5), ("u", 0): Committed(6)})
    offsets.commit("h", {("t", 0): Committed(5)})
    offsets.hold("only held", 1, {("t", 0): Committed(7)})

    offsets.forget_topic("t")
    offsets.release("only held", 1, commit=True)

    assert set(offsets.fetch("g")) == {("u", 0)}
    assert not offsets.known("h")
    assert not offsets.known("only held")
    assert Offsets(store).fetch("h") == {}


def test_held_offsets_are_pending_until_the_transaction_commits(offsets: Offsets) -> None:
    offsets.commit("g", {("t", 0): Committed(5)})
    offsets.hold("g", 1, {("t", 0): Committed(9)})

    assert offsets.pending("g", ("t", 0))
    assert not offsets.pending("g", ("t", 1))
    assert offsets.fetch("g")["t", 0].offset == 5

    offsets.release("g", 1, commit=True)
    assert not offsets.pending("g", ("t", 0))
    assert offsets.fetch("g")["t", 0].offset == 9


def test_an_aborted_transaction_leaves_no_offset(offsets: Offsets) -> None:
    offsets.hold("g", 1, {("t", 0): Committed(9)})
    assert offsets.known("g")

    offsets.release("g", 1, commit=False)

    assert not offsets.known("g")
    assert not offsets.pending("g", ("t", 0))


def test_one_transactions_end_does_not_release_anothers(offsets: Offsets) -> None:
    offsets.hold("g", 1, {("t", 0): Committed(9)})
    offsets.hold("g", 2, {("t", 0): Committed(8)})

    offsets.release("g", 1, commit=True)

    assert offsets.pending("g", ("t", 0))


def test_a_later_commit_wins_over_what_was_held(offsets: Offsets) -> None:
    """Kafka compares the places of both in its offsets log."""
    offsets.hold("g", 1, {("t", 0): Committed(9), ("t", 1): Committed(9)})
    offsets.commit("g", {("t", 0): Committed(20)})

    offsets.release("g", 1, commit=True)

    assert [offsets.fetch("g")["t", index].offset for index in (0, 1)] == [20, 9]


def test_what_is_held_again_is_the_latest(offsets: Offsets) -> None:
    offsets.hold("g", 1, {("t", 0): Committed(9)})
    offsets.commit("g", {("t", 0): Committed(20)})
    offsets.hold("g", 1, {("t", 0): Committed(30)})

    offsets.release("g", 1, commit=True)

    assert offsets.fetch("g")["t", 0].offset == 30


def test_a_forgotten_group_holds_nothing(offsets: Offsets, store: Store) -> None:
    offsets.commit("g", {("t", 0): Committed(5)})
    offsets.hold("g", 1, {("t", 0): Committed(9)})

    offsets.forget_group("g")
    offsets.release("g", 1, commit=True)

    assert not offsets.known("g")
    assert Offsets(store).groups() == []


def test_releasing_what_is_not_held_is_harmless(offsets: Offsets) -> None:
    offsets.release("g", 1, commit=True)

    assert not offsets.known("g")
