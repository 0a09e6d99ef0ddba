"""A transactional id: its producer, the state of its transaction, the text it is stored as."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import Enum

from deploy.local.broker.store import Committed, TopicPartition

NO_EPOCH = -1
LAST_EPOCH = 2**15 - 1


class State(Enum):
    """Where a transaction stands (KIP-98). Prepare* is decided, Complete* is also carried out."""

    EMPTY = "Empty"
    ONGOING = "Ongoing"
    PREPARE_COMMIT = "PrepareCommit"
    PREPARE_ABORT = "PrepareAbort"
    COMPLETE_COMMIT = "CompleteCommit"
    COMPLETE_ABORT = "CompleteAbort"

    @property
    def prepared(self) -> bool:
        return self in (State.PREPARE_COMMIT, State.PREPARE_ABORT)


@dataclass(frozen=True, slots=True)
class Producer:
    """A producer id and the epoch that tells its incarnations apart."""

    id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class HeldOffset:
    """An offset that a transaction will commit: of the topic that had `topic_id` then, and in
    place of `before`."""

    topic_id: bytes
    before: Committed | None
    committed: Committed


Held = Mapping[TopicPartition, HeldOffset]


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is known of a transactional id; times are wall clock, in ms.

    `previous` is the producer that asked for `producer` itself (KIP-360), so that it gets the
    same answer when it asks again. `groups` holds the offsets to commit, by group; a group that
    was added and has none yet is there too.
    """

    id: str
    producer: Producer
    timeout_ms: int
    updated_ms: int
    state: State = State.EMPTY
    started_ms: int = 0
    previous: Producer | None = None
    partitions: frozenset[TopicPartition] = frozenset()
    groups: Mapping[str, Held] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        """Whether the producer id has no epoch left to give: the last one is for fencing."""
        return self.producer.epoch >= LAST_EPOCH - 1

    def prepared(self, *, commit: bool) -> "Transaction":
        state = State.PREPARE_COMMIT if commit else State.PREPARE_ABORT
        return replace(self, state=state)

    def completed(self, now_ms: int) -> "Transaction":
        """The state after everything a Prepare* state asks for was done."""
        done = {
            State.PREPARE_COMMIT: State.COMPLETE_COMMIT,
            State.PREPARE_ABORT: State.COMPLETE_ABORT,
        }[self.state]
        return replace(self, state=done, updated_ms=now_ms, partitions=frozenset(), groups={})

    def fenced(self, epoch: int | None = None) -> "Transaction":
        """The same with a later epoch, the next by default, which nobody is told."""
        later = self.producer.epoch + 1 if epoch is None else epoch
        return replace(self, producer=Producer(self.producer.id, later), previous=None)

    def begun(self, now_ms: int) -> "Transaction":
        """The same when it is ongoing, else with a transaction that starts now."""
        if self.state is State.ONGOING:
            return self
        return replace(self, state=State.ONGOING, started_ms=now_ms, updated_ms=now_ms)


def to_text(transaction: Transaction) -> str:
    return json.dumps(
        {
            "producer": _fields(transaction.producer),
            "timeout_ms": transaction.timeout_ms,
            "updated_ms": transaction.updated_ms,
            "state": transaction.state.value,
            "started_ms": transaction.started_ms,
            "previous": _fields(transaction.previous),
            "partitions": sorted(transaction.partitions),
            "groups": {
                group: [_held(partition, offset) for partition, offset in held.items()]
                for group, held in transaction.groups.items()
            },
        }
    )


def from_text(transactional_id: str, text: str) -> Transaction:
    """The transaction that `to_text` wrote."""
    stored = json.loads(text)
    return Transaction(
        id=transactional_id,
        producer=Producer(*stored["producer"]),
        timeout_ms=stored["timeout_ms"],
        updated_ms=stored["updated_ms"],
        state=State(stored["state"]),
        started_ms=stored["started_ms"],
        previous=Producer(*stored["previous"]) if stored["previous"] else None,
        partitions=frozenset((topic, partition) for topic, partition in stored["partitions"]),
        groups={
            group: dict(_held_from(*entry) for entry in entries)
            for group, entries in stored["groups"].items()
        },
    )


def _fields(value: Producer | Committed | None) -> tuple[object, ...] | None:
    return None if value is None else astuple(value)


def _held(partition: TopicPartition, offset: HeldOffset) -> tuple[object, ...]:
    before, committed = _fields(offset.before), _fields(offset.committed)
    return (*partition, offset.topic_id.hex(), before, committed)


def _held_from(
    topic: str,
    partition: int,
    topic_id: str,
    before: tuple[int, int, str] | None,
    committed: tuple[int, int, str],
) -> tuple[TopicPartition, HeldOffset]:
    replaced = None if before is None else Committed(*before)
    held = HeldOffset(bytes.fromhex(topic_id), replaced, Committed(*committed))
    return (topic, partition), held
