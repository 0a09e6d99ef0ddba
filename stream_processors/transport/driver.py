"""The Faust side of the transport: Faust's aiokafka driver with the data plane in place of its
fetcher.

What differs from the stock driver, for batch topics only:

- `getmany` yields batches from the data plane, and only while the flow is on and the partition
  active, so that nothing is taken off the queue and then dropped;
- `_acked_index[tp]` holds a `Ledger`, so both of Faust's stream iterators acknowledge into it;
- commits carry the topic's id as metadata, so that a recreated topic is recognised at the next
  start;
- aiokafka pauses these partitions the moment they are assigned and never fetches them.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from time import monotonic
from typing import Any, cast

import structlog
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage
from mode import Service

from schemas.errors import SourceError
from stream_processors.topics import describe
from stream_processors.transport.batch import BatchSchema, RawBatch
from stream_processors.transport.data_plane import DataPlane
from stream_processors.transport.ledger import Ledger
from stream_processors.transport.options import BatchOptions

log = structlog.get_logger()

CONTROL_POLL_S = 1.0
"""How often aiokafka is asked for records when no control topic has any: it must not think we are
idle.
"""
CONTROL_BUSY_POLL_S = 0.02
SOURCE_CHECK_S = 5.0
MEMBERSHIP_LOST = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
"""The group gave our partitions to another member: nothing is committed, a new assignment
follows.
"""


class Ledgers(defaultdict[TP, Any]):
    """`Consumer._acked_index`: a Ledger for batch topics, Faust's own set for all others."""

    def __init__(self, consumer: "Consumer") -> None:
        super().__init__(set)
        self._consumer = consumer

    def __missing__(self, tp: TP) -> Any:
        self[tp] = Ledger() if self._consumer.is_batch(tp) else set()
        return self[tp]


METADATA_END = "\0"
"""confluent-kafka reads the metadata as a C string, but librdkafka copies it without its end: with
none of our own it now and then reads on into the heap (docs/surprises.md)."""


class RebalanceListener(stock.ConsumerRebalanceListener):  # type: ignore[misc]
    """Pauses batch partitions in aiokafka before its fetcher has had a turn."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        thread = cast(ConsumerThread, self._thread)
        thread.pause_batch_partitions(assigned)
        await super().on_partitions_assigned(assigned)


class ConsumerThread(stock.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The control plane: aiokafka in its own thread and event loop."""

    def pause_batch_partitions(self, assigned: Iterable[TopicPartition]) -> None:
        """Keep aiokafka from fetching what the data plane fetches. Called in aiokafka's thread."""
        batch = [tp for tp in assigned if cast(Consumer, self.consumer).is_batch(tp)]
        self._ensure_consumer().pause(*batch)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit with the topic's id as metadata. False when the group has moved on without us.

        Nor after a crash: a plain Faust stream that an exception leaves acknowledges its event.
        """
        if self.consumer.app.crash_reason is not None:
            return False
        consumer, ids = self._ensure_consumer(), cast(Consumer, self.consumer).topic_ids
        mine = self.assignment()
        committed = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(
                offset, ids.get(tp.topic, "") + METADATA_END
            )
            for tp, offset in offsets.items()
            if tp in mine
        }
        try:
            await consumer.commit(committed)
        except MEMBERSHIP_LOST as error:
            log.warning("commit_refused", error=repr(error))
            return False
        except Exception as error:
            if self.should_stop:  # what is not committed is replayed; the stop itself went well
                log.warning("last_commit_failed", error=repr(error))
            else:
                await self.crash(error)
            return False
        now = monotonic()
        self.tp_last_committed_at.update(dict.fromkeys(offsets, now))
        return True


class Consumer(stock.Consumer):  # type: ignore[misc]
    """Faust's consumer, fed by the data plane for batch topics."""

    RebalanceListener = RebalanceListener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._plane: DataPlane | None = None
        self._seeking = asyncio.Lock()
        self._control_polled_at = 0.0
        self._reading: set[TP] = set()
        super().__init__(*args, **kwargs)
        self._acked_index = Ledgers(self)
        self._options: BatchOptions = getattr(self.app, "batch_options", None) or BatchOptions()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def is_batch(self, tp: TP) -> bool:
        """Whether the partition's topic was declared with a BatchSchema."""
        return tp.topic in self._batch_topics()

    def _batch_topics(self) -> set[str]:
        return {
            name
            for topic in self.app.topics
            if isinstance(topic.schema, BatchSchema)
            for name in topic.topics
        }

    @property
    def topic_ids(self) -> Mapping[str, str]:
        """The ids that assigned batch topics had when they were assigned."""
        return self._plane.topic_ids if self._plane is not None else {}

    @property
    def in_flight(self) -> tuple[int, int, int]:
        """Events, bytes and fetches fetched and not yet acknowledged."""
        return self._plane.in_flight if self._plane is not None else (0, 0, 0)

    async def n_waiting(self) -> int:
        """Records of batch topics that are there and not handed on, and events not yet
        acknowledged.
        """
        if self._plane is None:
            return 0
        return await self._plane.n_waiting() + self._plane.in_flight[0]

    # -- fetching

    async def getmany(
        self,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Batches and control records that may be handed on now; waits up to `timeout` seconds."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        control = self._has_control_topics()
        pause_s = CONTROL_BUSY_POLL_S if control else CONTROL_POLL_S
        if monotonic() - self._control_polled_at >= pause_s:
            self._control_polled_at = monotonic()
            async for item in super().getmany(0.0):
                yield item
        plane = self._plane
        if plane is None:
            await asyncio.sleep(pause_s)
            return
        await plane.wait(self._open_partitions(), min(timeout, pause_s))
        while self.flow_active and not self.should_stop:
            batch = plane.pop(self._open_partitions())
            if batch is None:
                return
            yield batch.tp, self._to_message(batch.tp, batch)

    def _open_partitions(self) -> set[TP]:
        return cast("set[TP]", self._get_active_partitions() | self._buffered_partitions)

    def _has_control_topics(self) -> bool:
        return any(not self.is_batch(tp) for tp in self._active_partitions)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, RawBatch):
            return super()._to_message(tp, record)
        self._acked_index[tp].open(record.covers_from, record.covers_to, record.lease.release)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.covers_from,
            record.messages[0].timestamp()[1] / 1000,
            1,  # log append time
            [],
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    # -- assignment and position

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop fetching at once, then let Faust finish and commit what is in work."""
        if self._plane is not None:
            self._plane.drop()
        await super().on_partitions_revoked(revoked)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Put both planes where the group left off; a new assignment starts new ledgers."""
        async with self._seeking:
            offsets = dict(await super().seek_to_committed())
            batch = {tp for tp in self.assignment() if self.is_batch(tp)}
            if self._plane is None:
                self._plane = self._start_plane()
            for tp in [tp for tp in self._acked_index if self.is_batch(tp)]:
                del self._acked_index[tp]
            for tp, start in (await self._plane.assign(batch)).items():
                offsets[tp] = start.offset
                self._acked.pop(tp, None)
                self._committed_offset.pop(tp, None)
            self._reading = batch
        return offsets

    def _start_plane(self) -> DataPlane:
        def failed(error: Exception) -> None:
            self.add_future(self.crash(error))

        return DataPlane(self._options.kafka, self.app.conf.id, self._options.limits, failed)

    async def _seek(self, partition: TP, offset: int) -> None:
        if not self.is_batch(partition):
            await super()._seek(partition, offset)
        elif self._plane is not None:
            self._acked_index.pop(partition, None)
            self._acked.pop(partition, None)
            await self._plane.seek(partition, offset)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Stop fetching from partitions."""
        tps = set(tps)
        super().pause_partitions(tps)
        self._pause_plane(tps, paused=True)

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Go on fetching from partitions."""
        tps = set(tps)
        super().resume_partitions(tps)
        self._pause_plane(tps, paused=False)

    def _pause_plane(self, tps: set[TP], *, paused: bool) -> None:
        batch = {tp for tp in tps if tp in self._reading}
        if batch and self._plane is not None and self.flow_active:
            self.add_future(self._plane.pause(batch, paused=paused))

    # -- commits

    def _new_offset(self, tp: TP) -> int | None:
        index = self._acked_index[tp]
        if not isinstance(index, Ledger):
            return cast("int | None", super()._new_offset(tp))
        self._acked[tp].clear()
        return index.advance()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.is_batch(tp):
            await super()._add_gap(tp, offset_from, offset_to)

    async def wait_empty(self) -> None:
        """Wait for what is in work, but not for ever: what is not done by then is replayed."""
        try:
            await asyncio.wait_for(super().wait_empty(), self._options.drain_timeout_s)
        except TimeoutError:
            log.warning("drain_timed_out", n_batches=len(self._unacked_messages))
            await self.commit_and_end_transactions()

    # -- watching

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's stall checks look at aiokafka's fetcher, which does not fetch batch topics."""
        if not self.is_batch(tp):
            super().verify_event_path(now, tp)

    def highwater(self, tp: TP) -> int:
        """The last known end offset; not tracked for batch topics."""
        return 0 if self.is_batch(tp) else cast(int, super().highwater(tp))

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_source(self) -> None:
        """Crash when a topic we read is not the one we started on: offsets would mean other
        events.
        """
        while not self.should_stop:
            await self.sleep(SOURCE_CHECK_S)
            ids = dict(self.topic_ids)
            if not ids or self.should_stop:
                continue
            try:
                found = await asyncio.to_thread(describe, self._options.kafka, sorted(ids))
            except Exception as error:
                log.warning("source_check_failed", error=str(error))
                continue
            for name, topic_id in ids.items():
                if self.topic_ids.get(name) != topic_id:
                    break  # assigned anew meanwhile
                if name not in found or found[name].id != topic_id:
                    raise SourceError(
                        f"topic {name} was deleted or recreated: it was {topic_id}, now it is"
                        f" {found[name].id if name in found else 'gone'}; restart reads the new one"
                    )

    async def on_stop(self) -> None:
        """Commit what is done, then stop fetching."""
        await super().on_stop()
        if self._plane is not None:
            await self._plane.stop()


class Transport(stock.Transport):  # type: ignore[misc]
    """`batch://`: Faust's aiokafka transport with batch topics."""

    Consumer = Consumer
