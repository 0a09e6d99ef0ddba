"""The data plane: one thread that owns a librdkafka consumer and hands on runs of records."""

import asyncio
import contextlib
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from faust.types import TP

from schemas.errors import SourceError, TransientError
from schemas.kafka_settings import KafkaSettings
from stream_processors import metrics
from stream_processors.topics import describe, end_offsets, first_offsets
from stream_processors.transport.batch import RawBatch
from stream_processors.transport.budget import Budget, Limits
from stream_processors.transport.fetching import fetch_options, is_record
from stream_processors.transport.start_offsets import Start, resolve_start

log = structlog.get_logger()
T = TypeVar("T")

POLL_S = 0.1
"""Longest wait for a first record; commands to the thread wait at most as long."""
IDLE_S = 0.01
"""Nap while nothing is assigned."""
REQUEST_TIMEOUT_S = 30.0


class DataPlane:
    """Fetches the assigned partitions within a budget; the event loop takes batches from it.

    `assign`, `seek` and `pause` run on the thread, one after another, between fetches. Each
    assignment and each seek starts a new epoch: what was fetched before it is dropped, so that no
    batch of an old assignment is ever handed on. `on_failure` is called on the event loop, once,
    when fetching ends with an error.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        limits: Limits,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._kafka = kafka
        self._limits = limits
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._ready: deque[tuple[int, RawBatch]] = deque()
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = threading.Event()
        self._epoch = 0  # of the thread: counts assignments and seeks
        self._valid_from: dict[TP, float] = {}  # of the loop: the first epoch that counts
        self._budget = Budget(limits)
        self._positions: dict[TP, int] = {}
        self._paused: set[TP] = set()
        self.topic_ids: dict[str, str] = {}
        options = kafka.librdkafka() | fetch_options(group, limits)
        self._consumer = Consumer(options, logger=logging.getLogger("librdkafka"))
        self._thread = threading.Thread(target=self._run, name="data-plane", daemon=True)
        self._thread.start()

    # -- taken by the event loop

    async def wait(self, active: Container[TP], timeout_s: float) -> None:
        """Wait until a batch of an active partition may be there, or `timeout_s` has passed."""
        if any(batch.tp in active for _, batch in self._ready):
            return
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._arrived.wait(), timeout_s)

    def pop(self, active: Container[TP]) -> RawBatch | None:
        """The oldest batch of an active partition, if any; a partition's batches come in order."""
        index = 0
        while index < len(self._ready):
            epoch, batch = self._ready[index]
            if epoch < self._valid_from.get(batch.tp, math.inf):
                del self._ready[index]
                batch.lease.release()
            elif batch.tp in active:
                del self._ready[index]
                return batch
            else:
                index += 1
        return None

    @property
    def in_flight(self) -> tuple[int, int, int]:
        """Events, bytes and fetches fetched and not yet acknowledged."""
        return self._budget.in_flight

    # -- commands

    async def assign(self, partitions: Iterable[TP]) -> dict[TP, Start]:
        """Read these partitions, and only these, from where the group left off."""
        self.drop()
        wanted = sorted(partitions)
        starts, epoch = await self._command(lambda: self._assign(wanted))
        self._valid_from = dict.fromkeys(wanted, epoch)
        return starts

    async def seek(self, tp: TP, offset: int) -> None:
        """Go on with `tp` at `offset`; what was fetched of it and not yet taken is forgotten."""
        self._valid_from[tp] = math.inf
        self._valid_from[tp] = await self._command(lambda: self._seek(tp, offset))

    async def pause(self, partitions: Iterable[TP], *, paused: bool = True) -> None:
        """Stop (or go on) fetching these partitions; their place is kept."""
        chosen = set(partitions)
        await self._command(lambda: self._pause(chosen, paused))

    async def n_waiting(self) -> int:
        """Records behind the assigned positions, as far as the last fetch told."""
        return await self._command(self._n_waiting)

    def drop(self) -> None:
        """Forget what was fetched; nothing is handed on until the next `assign`."""
        self._valid_from = {}
        self._ready.clear()
        self._budget.close()

    async def stop(self) -> None:
        """Stop fetching and close the consumer."""
        self._stopping.set()
        self._budget.close()
        await asyncio.to_thread(self._thread.join)

    async def _command(self, action: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def run() -> None:
            if not answer.set_running_or_notify_cancel():
                return  # who asked was cancelled: the app stops, or another assignment follows
            try:
                answer.set_result(action())
            except Exception as error:
                answer.set_exception(error)

        self._commands.put(run)
        return await asyncio.wrap_future(answer)

    # -- on the thread

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._obey()
                if not self._fetch():
                    self._stopping.wait(IDLE_S)
        except Exception as error:
            self._report(error)
            while not self._stopping.wait(POLL_S):
                self._obey()
        finally:
            self._consumer.close()

    def _obey(self) -> None:
        while True:
            try:
                self._commands.get_nowait()()
            except Empty:
                return

    def _fetch(self) -> bool:
        """One fetch of whatever is there; True when it waited or brought something."""
        budget = self._budget
        if not self._positions:
            return False
        room = budget.room(POLL_S)
        if not room:
            return not budget.closed
        messages = self._consumer.consume(1, POLL_S)
        if not messages:
            return True
        if room > 1:
            messages += self._consumer.consume(room - 1, 0)
        runs = self._runs(messages)
        if not runs:
            return True
        n_bytes = sum(sum(map(len, run)) for _, run in runs)
        lease = budget.lease(sum(len(run) for _, run in runs), n_bytes, len(runs))
        batches = [self._batch(tp, run, lease) for tp, run in runs]
        self._loop.call_soon_threadsafe(self._hand_on, self._epoch, batches)
        return True

    def _runs(self, messages: list[Message]) -> list[tuple[TP, list[Message]]]:
        """Records by partition, in order; raises SourceError for an error that came among them."""
        if any(map(Message.error, messages)):
            messages = [message for message in messages if is_record(message)]
        keys = list(
            zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
        )
        if keys and keys.count(keys[0]) == len(keys):  # most fetches; counted in C
            return [(TP(*keys[0]), messages)]
        runs: dict[Any, list[Message]] = {}
        for key, message in zip(keys, messages, strict=True):
            runs.setdefault(key, []).append(message)
        return [(TP(*key), run) for key, run in runs.items()]

    def _batch(self, tp: TP, messages: list[Message], lease: Any) -> RawBatch:
        covers_from, covers_to = self._positions[tp], cast(int, messages[-1].offset()) + 1
        assert cast(int, messages[0].offset()) >= covers_from, "a record below the position"
        self._positions[tp] = covers_to
        return RawBatch(tp, self.topic_ids[tp.topic], messages, covers_from, covers_to, lease)

    def _hand_on(self, epoch: int, batches: list[RawBatch]) -> None:
        self._ready.extend((epoch, batch) for batch in batches)
        self._arrived.set()

    def _report(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._on_failure, error)

    def _assign(self, partitions: list[TP]) -> tuple[dict[TP, Start], int]:
        starts = self._starts(partitions) if partitions else {}
        self._paused.intersection_update(partitions)
        self._positions = {tp: start.offset for tp, start in starts.items()}
        self._budget = Budget(self._limits)
        return starts, self._apply()

    def _n_waiting(self) -> int:
        n_waiting = 0
        for tp, position in self._positions.items():
            if tp not in self._paused:
                where = TopicPartition(tp.topic, tp.partition)
                _, high = self._consumer.get_watermark_offsets(where, cached=True)
                n_waiting += max(0, high - position)
        return n_waiting

    def _seek(self, tp: TP, offset: int) -> int:
        if tp in self._positions:
            self._positions[tp] = offset
        return self._apply()

    def _apply(self) -> int:
        """Make librdkafka read exactly `_positions`, forgetting what it fetched ahead; the new
        epoch.
        """
        self._epoch += 1
        self._consumer.assign(
            [
                TopicPartition(tp.topic, tp.partition, offset)
                for tp, offset in self._positions.items()
            ]
        )
        if self._paused:
            self._consumer.pause([TopicPartition(tp.topic, tp.partition) for tp in self._paused])
        return self._epoch

    def _pause(self, partitions: set[TP], paused: bool) -> None:
        chosen = [tp for tp in partitions if tp in self._positions]
        act = self._consumer.pause if paused else self._consumer.resume
        act([TopicPartition(tp.topic, tp.partition) for tp in chosen])
        (self._paused.update if paused else self._paused.difference_update)(chosen)

    def _starts(self, partitions: list[TP]) -> dict[TP, Start]:
        """Where each partition starts. First and end offsets are asked over the admin client's own
        connection: on the consumer's each answer would wait behind a fetch.
        """
        topics = describe(self._kafka, sorted({tp.topic for tp in partitions}))
        self.topic_ids = {name: topic.id for name, topic in topics.items()}
        gone = sorted({tp.topic for tp in partitions} - set(topics))
        if gone:
            raise SourceError(f"topics are gone: {', '.join(gone)}")
        lows = first_offsets(self._kafka, topics.values())
        highs = end_offsets(self._kafka, topics.values())
        try:
            committed = self._consumer.committed(
                [TopicPartition(tp.topic, tp.partition) for tp in partitions], REQUEST_TIMEOUT_S
            )
        except KafkaException as error:
            raise TransientError(
                f"cannot read where the group left off: {error.args[0].str()}"
            ) from error
        return {
            TP(each.topic, each.partition): self._start(
                each, lows[each.topic, each.partition], highs[each.topic, each.partition]
            )
            for each in committed
        }

    def _start(self, committed: TopicPartition, low: int, high: int) -> Start:
        if committed.error is not None:
            raise TransientError(f"cannot read where the group left off: {committed.error.str()}")
        start = resolve_start(
            committed=committed.offset if committed.offset >= 0 else None,
            committed_topic_id=committed.metadata or "",
            topic_id=self.topic_ids[committed.topic],
            low=low,
            high=high,
        )
        say = log.info if start.is_clean else log.error
        say(
            "partition_started",
            topic=committed.topic,
            partition=committed.partition,
            offset=start.offset,
            reason=str(start.reason),
            n_lost=start.n_lost,
        )
        metrics.PARTITION_STARTS.labels(committed.topic, str(start.reason)).inc()
        metrics.OFFSETS_LOST.labels(committed.topic).inc(start.n_lost)
        return start
