"""A transactional id: its producer, the state of its transaction, the text it is stored as."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from deploy.local.broker.store import Committed, TopicPartition

NO_EPOCH = -1
# Kafka keeps the last epoch for fencing: an id that reaches this one gets a new producer id.
LAST_USABLE_EPOCH = 2**15 - 2


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
    """An offset that a transaction will commit, for the topic that had `topic_id` then."""

    topic_id: bytes
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
        """Whether the producer id has no epoch left to give."""
        return self.producer.epoch >= LAST_USABLE_EPOCH

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

    def fenced(self) -> "Transaction":
        """The same with the next epoch, which nobody is told."""
        producer = Producer(self.producer.id, self.producer.epoch + 1)
        return replace(self, producer=producer, previous=None)

    def begun(self, now_ms: int) -> "Transaction":
        """The same when it is ongoing, else with a transaction that starts now."""
        if self.state is State.ONGOING:
            return self
        return replace(self, state=State.ONGOING, started_ms=now_ms, updated_ms=now_ms)


def to_text(transaction: Transaction) -> str:
    return json.dumps(
        {
            "producer": _pair(transaction.producer),
            "timeout_ms": transaction.timeout_ms,
            "updated_ms": transaction.updated_ms,
            "state": transaction.state.value,
            "started_ms": transaction.started_ms,
            "previous": transaction.previous and _pair(transaction.previous),
            "partitions": sorted(transaction.partitions),
            "groups": {
                group: [
                    (topic, partition, offset.topic_id.hex(), *_committed(offset.committed))
                    for (topic, partition), offset in held.items()
                ]
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
            group: {
                (topic, partition): HeldOffset(bytes.fromhex(topic_id), Committed(*committed))
                for topic, partition, topic_id, *committed in held
            }
            for group, held in stored["groups"].items()
        },
    )


def _pair(producer: Producer) -> tuple[int, int]:
    return producer.id, producer.epoch


def _committed(committed: Committed) -> tuple[int, int, str]:
    return committed.offset, committed.leader_epoch, committed.metadata
