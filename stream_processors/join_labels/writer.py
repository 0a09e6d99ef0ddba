"""Labels gathered to blocks, inserted, what is none dead-lettered; then acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from schemas.events import DeadLetter
from schemas.settings import Settings
from schemas.topics import TopicNames
from storage.client import connect
from storage.label_log import LabelLog, LabelRow
from storage.migrate import migrate
from stream_processors import metrics
from stream_processors.block_writer import BlockWriter, retry_for_ever
from stream_processors.dead_letters import bounded_key, dead_letter
from stream_processors.join_labels.decode import RejectedLabel, decode_labels
from stream_processors.outbox import Messages
from stream_processors.score.columns import columns_of
from stream_processors.transport import RawBatch

log = structlog.get_logger()


class Publisher(Protocol):
    """The part of an Outbox that is used here."""

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]": ...


@dataclass(frozen=True, slots=True)
class DecodedLabels:
    """One Faust event: its labels, and the dead letters of what is none."""

    event: Any
    labels: list[LabelRow]
    letters: list[tuple[bytes | None, DeadLetter]]

    @property
    def partition(self) -> int:
        return int(self.event.value.tp.partition)

    @property
    def n_rows(self) -> int:
        return len(self.labels) + len(self.letters)

    @property
    def n_bytes(self) -> int:
        """The messages as they came."""
        return sum(map(len, self.event.value.messages))


class LabelWriter:
    """Puts what a stream brings into ClickHouse, block by block, and acknowledges it then.

    1. a block's dead letters are published, and the broker has them;
    2. its labels are inserted, tried again for ever while ClickHouse is gone: labels wait in Kafka;
    3. its batches are acknowledged.

    A crash replays blocks, perhaps cut otherwise: labels inserted again show once, dead letters are
    repeated with the same source offset.
    """

    def __init__(
        self,
        settings: Settings,
        outbox: Publisher,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._dead_letters = TopicNames(settings.pipeline, settings.kafka.topic_prefix).dead_letters
        self._outbox = outbox
        self._clock = clock
        self._now = now
        self._log: LabelLog | None = None

    async def run(self, stream: Any) -> None:
        """Gather and write until the stream ends or something fails for good."""
        await BlockWriter(self._settings.log, self._write, self._clock).run(self._decoded(stream))

    async def _decoded(self, stream: Any) -> AsyncIterator[DecodedLabels]:
        async for event in stream.noack().events():
            yield self._decode(event)

    def _decode(self, event: Any) -> DecodedLabels:
        batch: RawBatch = event.value
        columns = columns_of(batch)
        scoring = self._settings.scoring
        labels, rejected = decode_labels(
            columns, max_ahead_ms=scoring.max_event_time_ahead_s * 1000
        )
        now_ms = int(self._now() * 1000)

        def letter(each: RejectedLabel) -> DeadLetter:
            row = each.row
            offset = int(columns.offsets[row])
            return dead_letter(
                pipeline=self._settings.pipeline,
                reason=each.reason,
                explanation=each.explanation,
                source=(batch.tp.topic, batch.topic_id, batch.tp.partition, offset),
                append_time_ms=int(columns.append_times_ms[row]),
                now_ms=now_ms,
                content_type=columns.content_types[row] if columns.content_types else None,
                payload=columns.values[row],
                max_bytes=scoring.max_dead_letter_bytes,
            )

        letters = [(bounded_key(columns.keys[each.row]), letter(each)) for each in rejected]
        return DecodedLabels(event, labels, letters)

    async def _write(self, block: list[DecodedLabels]) -> None:
        for partition in {each.partition for each in block}:
            await self._publish(partition, [each for each in block if each.partition == partition])
        labels = [label for each in block for label in each.labels]
        await retry_for_ever(
            lambda: self._insert(labels),
            event="label_insert_failed",
            max_ms=self._settings.log.retry_max_ms,
        )
        metrics.LABELS_LOGGED.inc(len(labels))
        log.debug("labels_logged", n=len(labels), n_batches=len(block))

    async def _publish(self, partition: int, block: list[DecodedLabels]) -> None:
        """To the partition number of their source, as all that is dead-lettered."""
        letters = [letter for each in block for letter in each.letters]
        if not letters:
            return
        keys = [key for key, _ in letters]
        values = [msgspec.json.encode(letter) for _, letter in letters]
        await self._outbox.publish(partition, [Messages(self._dead_letters, keys, values)])
        for _, letter in letters:
            metrics.LABELS_REJECTED.labels(letter.reason).inc()
        first = letters[0][1]
        log.warning(
            "labels_rejected",
            n=len(letters),
            first_reason=first.reason,
            first_explanation=first.explanation[:200],
            first_source=f"{first.source_topic}[{first.source_partition}]@{first.source_offset}",
        )

    def _insert(self, labels: list[LabelRow]) -> None:
        if self._log is None:
            client = connect(self._settings.clickhouse)
            migrate(client, self._settings.clickhouse)
            self._log = LabelLog(client)
        self._log.insert(self._settings.pipeline, labels)
