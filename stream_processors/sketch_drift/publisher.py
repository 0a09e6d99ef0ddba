"""Frames gathered, cut into pieces, published, then acknowledged."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

import structlog
from faust.types import TP

from drift.coverage import Source
from drift.sketch import Sketch
from schemas.settings import DriftSettings
from storage.blocks import BlockBuilder
from stream_processors import metrics
from stream_processors.membership import Membership
from stream_processors.outbox import Messages
from stream_processors.scored_frames import Gathered, gather, until_one_ends
from stream_processors.sketch_drift.gatherer import Gatherer
from stream_processors.transport import RawBatch

log = structlog.get_logger()

LOOK_S = 0.1
"""How often it is asked whether the app drains."""
MAX_PIECES_AT_ONCE = 200
ANY_PARTITION = -1
"""librdkafka chooses by the key: all pieces of a pipeline are in one partition, in order."""


class Publisher(Protocol):
    """The part of an Outbox that is used here."""

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]": ...


class SketchPublisher:
    """Publishes the pieces of what a stream brings, and acknowledges it once they are delivered.

    1. batches are gathered until it is time, there are many rows, or the app drains;
    2. pieces are cut from their frames and published, each in sequence;
    3. when the broker has the last of them, the batches are acknowledged.

    A crash anywhere replays whole batches: their pieces cover the same offsets once more, perhaps
    cut otherwise, and are counted once by the detector. Nothing else is kept here: a new assignment
    begins with a new gatherer and `look_back`, which says how far the frames before a place reach.
    """

    def __init__(
        self,
        *,
        topic: str,
        pipeline: str,
        settings: DriftSettings,
        new_gatherer: Callable[[], Gatherer],
        look_back: Callable[[TP, int], dict[Source, int]],
        outbox: Publisher,
        membership: Membership,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._key = pipeline.encode()
        self._new_gatherer = new_gatherer
        self._look_back = look_back
        self._outbox = outbox
        self._membership = membership
        self._clock = clock
        self._block: BlockBuilder[Gathered] = BlockBuilder(
            settings.max_rows_per_piece, round(settings.flush_interval_s * 1000), clock
        )
        self._max_bytes = settings.max_buffered_bytes // 2
        self._gatherer = new_gatherer()
        self._generation = membership.generation()
        self._resumed: set[TP] = set()

    async def run(self, stream: Any) -> None:
        """Gather and publish until the stream ends or something fails."""
        await until_one_ends(self._publish_all(), self._gather_all(stream))

    async def _gather_all(self, stream: Any) -> None:
        async for each in gather(stream):
            self._block.add(each, each.n_rows, each.n_bytes)
            metrics.DRIFT_ROWS_WAITING.set(self._block.n_rows)

    async def _publish_all(self) -> None:
        while True:
            while not self._due():  # noqa: ASYNC110 - Faust has no event for draining
                await asyncio.sleep(LOOK_S)
            block = self._block.take()
            metrics.DRIFT_ROWS_WAITING.set(0)
            await self._publish(block)

    def _due(self) -> bool:
        return len(self._block) > 0 and (
            self._block.due(self._clock())
            or self._block.n_bytes >= self._max_bytes
            or self._membership.draining()
        )

    async def _publish(self, block: list[Gathered]) -> None:
        """One flush: cut, publish, acknowledge."""
        started, generation = self._clock(), self._membership.generation()
        block = [each for each in block if each.event.message.generation_id == generation]
        if generation != self._generation:
            self._generation, self._gatherer = generation, self._new_gatherer()
            self._resumed.clear()
        await self._resume(block)
        pieces = self._gatherer.cut([frame for each in block for frame in each.frames])
        n_pieces = 0
        while values := await asyncio.to_thread(_encode, pieces):
            messages = Messages(self._topic, [self._key] * len(values), values)
            await self._outbox.publish(ANY_PARTITION, [messages])
            n_pieces += len(values)
        if generation == self._membership.generation():
            for each in block:
                each.event.ack()
        self._count(n_pieces)
        took_ms = round((self._clock() - started) * 1000)
        log.debug("pieces_published", n_pieces=n_pieces, n_batches=len(block), took_ms=took_ms)

    async def _resume(self, block: list[Gathered]) -> None:
        """Learn of each partition's past before its first frame is cut."""
        for each in block:
            batch: RawBatch = each.event.value
            if batch.tp in self._resumed:
                continue
            past = await asyncio.to_thread(self._look_back, batch.tp, batch.covers_from)
            for source, reached in past.items():
                self._gatherer.resume(source, reached)
            self._resumed.add(batch.tp)

    def _count(self, n_pieces: int) -> None:
        tally = self._gatherer.take_tally()
        metrics.DRIFT_PIECES.inc(n_pieces)
        metrics.DRIFT_SOURCE_GAPS.inc(tally.n_gaps)
        for version, n in tally.sketched.items():
            metrics.DRIFT_ROWS.labels(version).inc(n)
        for reason, n in (
            ("no_reference", tally.n_no_reference),
            ("ahead", tally.n_ahead),
            ("repeated", tally.n_repeated),
        ):
            metrics.DRIFT_ROWS_LEFT_OUT.labels(reason).inc(n)


def _encode(pieces: Iterator[Sketch]) -> list[bytes]:
    return [piece.encode() for piece in islice(pieces, MAX_PIECES_AT_ONCE)]
