"""Pieces taken as they come, windows closed by the clock of event time, verdicts told."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import structlog
from confluent_kafka import Message
from faust.types import TP

from drift.alert_book import Window
from drift.open_windows import OpenWindows
from drift.sketch import Sketch, decode_sketch
from drift.windows import EventTimeWindows, WindowSettings
from schemas.drift_events import DriftAlert, encode_event
from stream_processors import metrics
from stream_processors.detect_drift.memory import Memory
from stream_processors.detect_drift.patience import Patience
from stream_processors.detect_drift.recorder import Recorder
from stream_processors.detect_drift.records import WindowRecord, record_of
from stream_processors.detect_drift.surroundings import Surroundings
from stream_processors.detect_drift.watchers import Watchers
from stream_processors.membership import Membership
from stream_processors.outbox import Messages
from stream_processors.scored_frames import until_one_ends
from stream_processors.transport import RawBatch

log = structlog.get_logger()

TICK_S = 1.0
"""How often it is asked whether windows have closed."""
AT_ONCE = 200
"""Pieces decoded together."""
ANY_PARTITION = -1


class Publisher(Protocol):
    """The part of an Outbox that is used here."""

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]": ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where this pipeline's pieces are, and where its alerts and its memory go."""

    pipeline: str
    sketches: TP
    alerts: str
    remember: Callable[[bytes], Messages]


@dataclass(frozen=True, slots=True)
class _Found:
    """A piece, its offset on the topic, and when the broker took it."""

    place: int
    piece: Sketch
    appended_ms: int


class DriftDetector:
    """Closes windows and tells what they show, exactly once over any crash.

    1. pieces are taken and acknowledged at once: they stay on their topic;
    2. that windows close is written down (`Memory`), then their alerts are published, then that
       they were told, with their records for ClickHouse, which an outage does not lose;
    3. a successor reads the memory, then the pieces of all windows that were not told, again. The
       same windows of the same pieces give the same alerts, under the same ids.
    """

    def __init__(
        self,
        place: Place,
        windows: WindowSettings,
        *,
        hold_ms: int,
        arl0: float,
        new_watchers: Callable[[dict[str, bytes]], Watchers],
        surroundings: Surroundings,
        outbox: Publisher,
        recorder: Recorder,
        membership: Membership,
    ) -> None:
        self._place = place
        self._settings = windows
        self._arl0 = arl0
        self._new_watchers = new_watchers
        self._around = surroundings
        quiet_ms = windows.idle_timeout_ms // 2
        self._patience = Patience(surroundings.behind, quiet_ms=quiet_ms, hold_ms=hold_ms)
        self._outbox = outbox
        self._recorder = recorder
        self._membership = membership
        self._turn = asyncio.Lock()
        self._generation: int | None = None
        self._open: OpenWindows | None = None
        self._watchers = new_watchers({})
        self._read_to = 0

    async def run(self, stream: Any) -> None:
        """Until the stream ends or something fails."""
        await until_one_ends(self._take_all(stream), self._tick_all(), self._recorder.run())

    async def _take_all(self, stream: Any) -> None:
        async for event in stream.noack().events():
            batch: RawBatch = event.value
            async with self._turn:
                generation = event.message.generation_id
                opened = await self._ours(generation)
                if opened is not None and batch.tp == self._place.sketches:
                    self._read_to = batch.covers_to
                    await asyncio.to_thread(self._wait, opened, _now_ms())
                    await asyncio.to_thread(self._add, opened, batch.messages)
                if generation == self._membership.generation():
                    event.ack()

    async def _tick_all(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            async with self._turn:
                opened = await self._ours(self._membership.generation())
                if opened is None:
                    continue
                now = _now_ms()
                if opened.would_close(now):
                    await asyncio.to_thread(self._wait, opened, now)
                    # As of when it was asked: an answer that took long speaks of no later time.
                    if opened.close(now):
                        await self._tell(opened)
                self._count(opened)

    # --- taking up where a predecessor left off

    async def _ours(self, generation: int) -> OpenWindows | None:
        """The open windows, restored in a new assignment; None while others have the partition."""
        if generation != self._membership.generation():
            return None  # a batch of an assignment that is over
        if generation != self._generation:
            self._open, self._generation = None, generation
        # A static member has the same generation before and after its partitions are assigned.
        owns = self._membership.owns(self._place.sketches)
        if not owns:
            self._open = None
        elif self._open is None:
            self._open = await asyncio.to_thread(self._restore)
        return self._open

    def _restore(self) -> OpenWindows:
        started, memory = time.monotonic(), self._around.remembered()
        if memory is not None and memory.partition != self._place.sketches.partition:
            log.warning("sketches_moved", was=memory.partition, now=self._place.sketches.partition)
            memory = None
        if memory is None:
            opened, begin = OpenWindows(EventTimeWindows(self._settings)), 0
            self._watchers = self._new_watchers({})
        else:
            opened, begin = (
                OpenWindows.restored(self._settings, memory.open),
                memory.open.resume_from,
            )
            self._watchers = self._new_watchers(memory.watches)
            self._recorder.restore(memory.unlogged)
        now = _now_ms()
        sources = self._around.sources()
        self._patience.watch(sources, now)
        opened.watch(sources, now)
        for source in sources:  # nobody is idle for not having been read
            opened.alive(source, now)
        n_pieces = self._add(opened, self._around.pieces(begin))
        self._read_to = opened.position
        took_ms = round((time.monotonic() - started) * 1000)
        log.info("drift_detector_resumed", n_pieces=n_pieces, took_ms=took_ms)
        return opened

    def _add(self, opened: OpenWindows, messages: Iterable[Message]) -> int:
        """Take the pieces among `messages`; how many there were."""
        n_pieces, left = 0, iter(messages)
        while chunk := list(islice(left, AT_ONCE)):
            found = self._decoded(chunk)
            to_come = Counter(source for each in found for source in each.piece.coverage.ranges)
            for each in found:
                # Whose pieces are still to come is not idle, however long ago the last one was:
                # this one must not close their windows.
                for source in to_come:
                    opened.alive(source, each.appended_ms)
                for source in each.piece.coverage.ranges:
                    to_come -= Counter({source: 1})
                    self._patience.fed(source, each.appended_ms)
                is_new = each.place >= opened.position
                taken = opened.add(each.piece, each.place, each.appended_ms)
                if taken and is_new:
                    self._watchers.feed(each.piece)
                n_pieces += taken
        return n_pieces

    def _decoded(self, messages: Iterable[Message]) -> list["_Found"]:
        key, found = self._place.pipeline.encode(), []
        for message in messages:
            place = message.offset()
            if message.key() != key or place is None:
                continue
            try:
                piece = decode_sketch(message.value() or b"")
            except ValueError as error:
                log.error("not_a_sketch", offset=place, error=str(error))
                metrics.BAD_SKETCHES.inc()
                continue
            found.append(_Found(place, piece, message.timestamp()[1]))
        return found

    def _wait(self, opened: OpenWindows, now: int) -> None:
        """Keep the clock from passing those whose pieces are to come."""
        for source in self._patience.waited_for(self._read_to, now):
            opened.alive(source, now)

    # --- telling

    async def _tell(self, opened: OpenWindows) -> None:
        await self._remember(opened)  # what closes is decided before anything is said of it
        for start in opened.closing:
            record = await asyncio.to_thread(self._check, opened, start)
            for alert in record.alerts:
                _log_alert(alert)
                metrics.DRIFT_ALERTS.labels(alert.state, alert.level).inc()
            await self._publish_alerts(record.alerts)
            opened.told(start)
            await self._recorder.add(record)
        await self._remember(opened)

    def _check(self, opened: OpenWindows, start: int) -> WindowRecord:
        """Everything that there is to say of a window that has closed."""
        now, merged = _now_ms(), opened.merged(start)
        sketches: dict[tuple[str, str], Sketch] = {}
        for key, each in merged.items():
            sketches[key] = each.sketch
            if each.missed.n_offsets:
                n_offsets = each.missed.n_offsets
                log.warning(
                    "rows_missed", model_version=key[0], segment=key[1], n_offsets=n_offsets
                )
        window = Window(start, start + self._settings.width_ms, now)
        checked = self._watchers.close(window, sketches)
        records = [record_of(sketches[key], each, self._arl0) for key, each in checked.items()]
        retired = self._watchers.retire(sketches, now)
        for (version, segment), sketch in sketches.items():
            if segment:
                continue
            metrics.DRIFT_WINDOWS.labels(version).inc()
            log.info("window_closed", model_version=version, start_ms=start, n_rows=sketch.n)
        return WindowRecord(
            [each for record in records for each in record.windows],
            [each for record in records for each in record.metrics],
            [*(each for record in records for each in record.alerts), *retired],
        )

    async def _publish_alerts(self, alerts: list[DriftAlert]) -> None:
        if alerts:
            key = self._place.pipeline.encode()
            values = [encode_event(alert) for alert in alerts]
            messages = Messages(self._place.alerts, [key] * len(values), values)
            await self._outbox.publish(ANY_PARTITION, [messages])

    async def _remember(self, opened: OpenWindows) -> None:
        memory = Memory(
            self._place.sketches.partition,
            opened.state(),
            self._watchers.encode(),
            self._recorder.waiting,
        )
        messages = self._place.remember(await asyncio.to_thread(memory.encode))
        await self._outbox.publish(ANY_PARTITION, [messages])

    def _count(self, opened: OpenWindows) -> None:
        late, opened.n_late_rows = opened.n_late_rows, 0
        foreign, opened.n_foreign_rows = opened.n_foreign_rows, 0
        metrics.DRIFT_LATE_ROWS.inc(late)
        metrics.DRIFT_FOREIGN_ROWS.inc(foreign)
        metrics.DRIFT_WATERMARK.set(opened.windows.watermark_ms / 1000)
        metrics.DRIFT_OPEN_ALERTS.set(len(self._watchers.open_alerts))


def _log_alert(alert: DriftAlert) -> None:
    """A line for people: the alert as it was told."""
    say = log.warning if alert.level == "alert" and alert.state != "resolved" else log.info
    say(
        f"drift_{alert.level}_{alert.state}",
        name=alert.name,
        model_version=alert.model_version,
        segment=alert.segment,
        sentence=alert.sentence,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
