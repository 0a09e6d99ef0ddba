"""The transaction coordinator: who may write under a transactional id, and how transactions end.

An end has three steps (KIP-98): the decision is stored (Prepare*), markers go into every partition
and held offsets are committed or dropped, the completion is stored (Complete*). After a crash
between any two of them the start carries the decision through; markers and offsets are the same
when they are written again. All of it happens within one call, so that nobody ever finds an end
half done and CONCURRENT_TRANSACTIONS is never answered.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import structlog

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.groups.offsets import Offsets
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.store import Committed, Store, TopicPartition
from deploy.local.broker.topics import Topics
from deploy.local.broker.transactions.recovery import abort_strays, offsets_to_hold
from deploy.local.broker.transactions.table import TransactionTable
from deploy.local.broker.transactions.transaction import (
    LAST_EPOCH,
    HeldOffset,
    Producer,
    State,
    Transaction,
)

log = structlog.get_logger()

# Kafka's transaction.max.timeout.ms.
MAX_TIMEOUT_MS = 15 * 60 * 1000


class Transactions:
    """All transactional ids; every change is stored before it is answered.

    `clock` (seconds, monotonic) times transactions out; `wall_clock` (seconds since 1970) dates
    what is stored. Opening carries through what a crash cut short.
    """

    def __init__(
        self,
        store: Store,
        topics: Topics,
        offsets: Offsets,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._topics = topics
        self._offsets = offsets
        self._table = TransactionTable(store, clock, wall_clock)
        self._recover()

    def new_producer_id(self) -> int:
        """A producer id that nobody was given before."""
        return self._store.next_producer_id()

    def init_producer(
        self, transactional_id: str, timeout_ms: int, claimed: Producer | None = None
    ) -> Producer:
        """A producer that fences all earlier ones of this id; their transaction is aborted.

        A producer that names itself as `claimed` gets the next epoch, the same one when it asks
        again (KIP-360). Raises RefusedError: INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT, or
        PRODUCER_FENCED when `claimed` has been replaced.
        """
        if not transactional_id:
            raise RefusedError(Code.INVALID_REQUEST, "the transactional id is empty")
        if not 1 <= timeout_ms <= MAX_TIMEOUT_MS:
            raise RefusedError(
                Code.INVALID_TRANSACTION_TIMEOUT,
                f"{timeout_ms} ms; a transaction may take 1 to {MAX_TIMEOUT_MS} ms",
            )
        known = self._settled(transactional_id)
        if known is None:
            producer = Producer(self.new_producer_id(), 0)
            self._table.put(
                Transaction(transactional_id, producer, timeout_ms, self._table.now_ms())
            )
            return producer
        if claimed is not None and claimed == known.previous:
            return known.producer
        if claimed is not None and claimed != known.producer:
            raise RefusedError(Code.PRODUCER_FENCED, f"{transactional_id} has a newer producer")
        if known.state is State.ONGOING:
            known = self._end(known.fenced(), commit=False)
        producer = self._successor(known)
        self._table.put(
            Transaction(
                transactional_id, producer, timeout_ms, self._table.now_ms(), previous=claimed
            )
        )
        return producer

    def check_produce(
        self,
        transactional_id: str | None,
        producer_id: int,
        epoch: int,
        topic: str,
        partition: int,
    ) -> Code:
        """Whether a transactional batch may go into a partition: NONE, or what Produce answers."""
        if transactional_id is None:
            return Code.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        try:
            known = self._of(transactional_id, Producer(producer_id, epoch))
        except RefusedError as error:
            # Produce has no PRODUCER_FENCED: its clients know the older code.
            fenced = error.code is Code.PRODUCER_FENCED
            return Code.INVALID_PRODUCER_EPOCH if fenced else error.code
        added = known.state is State.ONGOING and (topic, partition) in known.partitions
        return Code.NONE if added else Code.INVALID_TXN_STATE

    def add_partitions(
        self, transactional_id: str, producer: Producer, partitions: Iterable[TopicPartition]
    ) -> None:
        """Let the transaction write into `partitions`; the first ones begin it.

        Raises RefusedError: INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING or PRODUCER_FENCED.
        """
        known = self._of(transactional_id, producer).begun(self._table.now_ms())
        self._table.put(replace(known, partitions=known.partitions | frozenset(partitions)))

    def add_group(self, transactional_id: str, producer: Producer, group: str) -> None:
        """Let the transaction commit offsets of `group`; raises as add_partitions does."""
        known = self._of(transactional_id, producer).begun(self._table.now_ms())
        self._table.put(replace(known, groups={group: {}, **known.groups}))

    def check_group(self, transactional_id: str, producer: Producer, group: str) -> Transaction:
        """The transaction, if `group` was added to it; else raises RefusedError(INVALID_TXN_STATE).

        Raises as add_partitions does, too.
        """
        known = self._of(transactional_id, producer)
        if known.state is not State.ONGOING or group not in known.groups:
            raise RefusedError(
                Code.INVALID_TXN_STATE, f"group {group} was not added to the transaction"
            )
        return known

    def hold_offsets(
        self,
        transactional_id: str,
        producer: Producer,
        group: str,
        offsets: Mapping[TopicPartition, Committed],
    ) -> None:
        """Keep offsets until the transaction ends, which commits or drops them.

        Raises RefusedError as check_group does. The topics must exist.
        """
        known = self.check_group(transactional_id, producer, group)
        before = self._offsets.fetch(group)
        held = {
            partition: HeldOffset(
                self._topics.named(partition[0]).id, before.get(partition), committed
            )
            for partition, committed in offsets.items()
        }
        groups = {**known.groups, group: {**known.groups[group], **held}}
        self._table.put(replace(known, groups=groups))
        self._offsets.hold(group, producer.id, offsets)

    def end(self, transactional_id: str, producer: Producer, *, commit: bool) -> None:
        """Commit or abort; the same end again is a retry after a lost answer, and succeeds.

        Raises RefusedError: INVALID_REQUEST, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, or
        INVALID_TXN_STATE when there is nothing to end or it ended the other way.
        """
        known = self._of(transactional_id, producer)
        if known.state is State.ONGOING:
            self._end(known, commit=commit)
            return
        if known.state is not (State.COMPLETE_COMMIT if commit else State.COMPLETE_ABORT):
            raise RefusedError(Code.INVALID_TXN_STATE, f"the transaction is {known.state.value}")

    def tick(self) -> None:
        """Abort transactions that took too long, and forget ids that were long not used."""
        for due in self._table.due():
            try:
                self._expire(due)
            except (RefusedError, sqlite3.Error) as error:
                self._table.retry(due.id)
                log.error("transaction_not_ended", id=due.id, error=str(error))
        self._table.forget_unused()

    # --- lookups --------------------------------------------------------------------------------

    def _of(self, transactional_id: str, producer: Producer) -> Transaction:
        """The transaction of an id, if `producer` is its current one."""
        if not transactional_id:
            raise RefusedError(Code.INVALID_REQUEST, "the transactional id is empty")
        known = self._settled(transactional_id)
        if known is None or known.producer.id != producer.id:
            raise RefusedError(
                Code.INVALID_PRODUCER_ID_MAPPING,
                f"producer id {producer.id} is not that of {transactional_id}",
            )
        if known.producer.epoch != producer.epoch:
            raise RefusedError(
                Code.PRODUCER_FENCED,
                f"epoch {producer.epoch} of {transactional_id}, which is at {known.producer.epoch}",
            )
        return known

    def _settled(self, transactional_id: str) -> Transaction | None:
        """The state of an id; an end that an error cut short (a full disk) is completed first."""
        known = self._table.get(transactional_id)
        return self._finish(known) if known is not None and known.state.prepared else known

    def _successor(self, known: Transaction) -> Producer:
        if known.exhausted:
            return Producer(self.new_producer_id(), 0)
        return Producer(known.producer.id, known.producer.epoch + 1)

    # --- changes --------------------------------------------------------------------------------

    def _expire(self, due: Transaction) -> None:
        if due.state.prepared:
            self._finish(due)
            return
        log.info("transaction_timed_out", id=due.id, timeout_ms=due.timeout_ms)
        # With the next epoch: its producer may still be writing, and must find out.
        self._end(due.fenced(), commit=False)

    def _end(self, transaction: Transaction, *, commit: bool) -> Transaction:
        prepared = transaction.prepared(commit=commit)
        self._table.put(prepared)
        return self._finish(prepared)

    def _finish(self, prepared: Transaction) -> Transaction:
        """Carry out what was decided; harmless where some of it was done before."""
        commit = prepared.state is State.PREPARE_COMMIT
        for partition_log in self._logs(prepared.partitions):
            self._mark(partition_log, prepared.producer, commit=commit)
        for group in prepared.groups:
            self._offsets.release(group, prepared.producer.id, commit=commit)
        completed = prepared.completed(self._table.now_ms())
        self._table.put(completed)
        return completed

    def _mark(self, partition_log: PartitionLog, producer: Producer, *, commit: bool) -> None:
        try:
            partition_log.append_marker(
                producer.id, producer.epoch, commit=commit, now_ms=self._table.now_ms()
            )
        except RefusedError as error:
            if error.code is not Code.INVALID_PRODUCER_EPOCH:
                raise
            # The log is ahead of the store (a power failure): the next start aborts what is open.
            log.error("marker_refused", producer_id=producer.id, error=str(error))

    def _logs(self, partitions: Iterable[TopicPartition]) -> Iterator[PartitionLog]:
        """The logs of those partitions that were not deleted meanwhile."""
        for name, index in sorted(partitions):
            topic = self._topics.get(name)
            if topic is not None and index < len(topic.partitions):
                yield topic.partitions[index]

    # --- start ----------------------------------------------------------------------------------

    def _recover(self) -> None:
        for stored in self._table:
            for group, held in stored.groups.items():
                left = offsets_to_hold(held, self._offsets.fetch(group), self._topics)
                self._offsets.hold(group, stored.producer.id, left)
            if stored.state.prepared:
                log.info("transaction_carried_through", id=stored.id, state=stored.state.value)
                self._finish(stored)
        strays = abort_strays(self._topics, self._table, self._table.now_ms())
        for known in self._table:
            if known.producer.id in strays:
                self._fence_for_good(known.fenced(LAST_EPOCH))

    def _fence_for_good(self, known: Transaction) -> None:
        """Its next producer gets a new producer id."""
        if known.state is State.ONGOING:
            self._end(known, commit=False)
        else:
            self._table.put(known)
