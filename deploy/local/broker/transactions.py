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
from deploy.local.broker.log import PartitionLog
from deploy.local.broker.offsets import Offsets
from deploy.local.broker.store import Committed, Store, TopicPartition
from deploy.local.broker.topics import Topics
from deploy.local.broker.transaction import (
    LAST_EPOCH,
    HeldOffset,
    Producer,
    State,
    Transaction,
    from_text,
    to_text,
)
from deploy.local.broker.transaction_recovery import abort_strays, offsets_to_hold

log = structlog.get_logger()

# Kafka's transaction.max.timeout.ms, transactional.id.expiration.ms and its cleanup interval.
MAX_TIMEOUT_MS = 15 * 60 * 1000
ID_EXPIRATION_MS = 7 * 24 * 60 * 60 * 1000
_CLEANUP_INTERVAL_S = 60 * 60
# When the end of a transaction failed, on a full disk for example, it is tried again after this.
_RETRY_S = 1.0


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
        self._clock = clock
        self._wall_clock = wall_clock
        self._transactions: dict[str, Transaction] = {}
        self._deadlines: dict[str, float] = {}
        self._next_cleanup = clock()
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
            self._put(Transaction(transactional_id, producer, timeout_ms, self._now_ms()))
            return producer
        if claimed is not None and claimed == known.previous:
            return known.producer
        if claimed is not None and claimed != known.producer:
            raise RefusedError(Code.PRODUCER_FENCED, f"{transactional_id} has a newer producer")
        if known.state is State.ONGOING:
            known = self._end(known.fenced(), commit=False)
        producer = self._successor(known)
        self._put(
            Transaction(transactional_id, producer, timeout_ms, self._now_ms(), previous=claimed)
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
        known = self._of(transactional_id, producer).begun(self._now_ms())
        self._put_changed(replace(known, partitions=known.partitions | frozenset(partitions)))

    def add_group(self, transactional_id: str, producer: Producer, group: str) -> None:
        """Let the transaction commit offsets of `group`; raises as add_partitions does."""
        known = self._of(transactional_id, producer).begun(self._now_ms())
        self._put_changed(replace(known, groups={group: {}, **known.groups}))

    def hold_offsets(
        self,
        transactional_id: str,
        producer: Producer,
        group: str,
        offsets: Mapping[TopicPartition, Committed],
    ) -> None:
        """Keep offsets until the transaction ends, which commits or drops them.

        Raises RefusedError as add_partitions does, or INVALID_TXN_STATE for a group that was not
        added. The topics must exist.
        """
        known = self._of(transactional_id, producer)
        if known.state is not State.ONGOING or group not in known.groups:
            raise RefusedError(
                Code.INVALID_TXN_STATE, f"group {group} was not added to the transaction"
            )
        before = self._offsets.fetch(group)
        held = {
            partition: HeldOffset(
                self._topics.named(partition[0]).id, before.get(partition), committed
            )
            for partition, committed in offsets.items()
        }
        groups = {**known.groups, group: {**known.groups[group], **held}}
        self._put_changed(replace(known, groups=groups))
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
        now = self._clock()
        for transactional_id in [key for key, due in self._deadlines.items() if due <= now]:
            try:
                self._expire(self._transactions[transactional_id])
            except (RefusedError, sqlite3.Error) as error:
                self._deadlines[transactional_id] = now + _RETRY_S
                log.error("transaction_not_ended", id=transactional_id, error=str(error))
        if now >= self._next_cleanup:
            self._next_cleanup = now + _CLEANUP_INTERVAL_S
            self._forget_unused()

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
        known = self._transactions.get(transactional_id)
        return self._finish(known) if known is not None and known.state.prepared else known

    def _successor(self, known: Transaction) -> Producer:
        if known.exhausted:
            return Producer(self.new_producer_id(), 0)
        return Producer(known.producer.id, known.producer.epoch + 1)

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    # --- changes --------------------------------------------------------------------------------

    def _put_changed(self, transaction: Transaction) -> None:
        if transaction != self._transactions[transaction.id]:
            self._put(transaction)

    def _put(self, transaction: Transaction) -> None:
        self._store.put_transaction(transaction.id, to_text(transaction))
        self._remember(transaction)

    def _remember(self, transaction: Transaction) -> None:
        self._transactions[transaction.id] = transaction
        if transaction.state.prepared:
            self._deadlines[transaction.id] = self._clock() + _RETRY_S
        elif transaction.state is not State.ONGOING:
            self._deadlines.pop(transaction.id, None)
        elif transaction.id not in self._deadlines:
            passed_ms = max(0, self._now_ms() - transaction.started_ms)
            left_s = (transaction.timeout_ms - passed_ms) / 1000
            self._deadlines[transaction.id] = self._clock() + left_s

    def _expire(self, due: Transaction) -> None:
        if due.state.prepared:
            self._finish(due)
            return
        log.info("transaction_timed_out", id=due.id, timeout_ms=due.timeout_ms)
        # With the next epoch: its producer may still be writing, and must find out.
        self._end(due.fenced(), commit=False)

    def _end(self, transaction: Transaction, *, commit: bool) -> Transaction:
        prepared = transaction.prepared(commit=commit)
        self._put(prepared)
        return self._finish(prepared)

    def _finish(self, prepared: Transaction) -> Transaction:
        """Carry out what was decided; harmless where some of it was done before."""
        commit = prepared.state is State.PREPARE_COMMIT
        for partition_log in self._logs(prepared.partitions):
            self._mark(partition_log, prepared.producer, commit=commit)
        for group in prepared.groups:
            self._offsets.release(group, prepared.producer.id, commit=commit)
        completed = prepared.completed(self._now_ms())
        self._put(completed)
        return completed

    def _mark(self, partition_log: PartitionLog, producer: Producer, *, commit: bool) -> None:
        try:
            partition_log.append_marker(
                producer.id, producer.epoch, commit=commit, now_ms=self._now_ms()
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

    def _forget_unused(self) -> None:
        unused_since_ms = self._now_ms() - ID_EXPIRATION_MS
        for known in list(self._transactions.values()):
            unused = known.updated_ms <= unused_since_ms
            if unused and known.state is not State.ONGOING and not known.state.prepared:
                self._store.delete_transaction(known.id)
                del self._transactions[known.id]
                log.info("transactional_id_expired", id=known.id)

    # --- start ----------------------------------------------------------------------------------

    def _recover(self) -> None:
        for transactional_id, text in self._store.transactions().items():
            stored = from_text(transactional_id, text)
            for group, held in stored.groups.items():
                left = offsets_to_hold(held, self._offsets.fetch(group), self._topics)
                self._offsets.hold(group, stored.producer.id, left)
            self._remember(stored)
            if stored.state.prepared:
                log.info("transaction_carried_through", id=stored.id, state=stored.state.value)
                self._finish(stored)
        strays = abort_strays(self._topics, self._transactions.values(), self._now_ms())
        for known in list(self._transactions.values()):
            if known.producer.id in strays:
                self._fence_for_good(known.fenced(LAST_EPOCH))

    def _fence_for_good(self, known: Transaction) -> None:
        """Its next producer gets a new producer id."""
        if known.state is State.ONGOING:
            self._end(known, commit=False)
        else:
            self._put(known)
