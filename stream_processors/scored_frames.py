"""Frames of `scored-batches` out of a Faust stream, for the stages that gather them to blocks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from schemas.frame_runs import decode_frames
from schemas.frames import Frame, decode_frame
from stream_processors import metrics
from stream_processors.transport import RawBatch

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gathered:
    """One Faust event, to be acknowledged once its frames are dealt with."""

    event: Any
    frames: list[Frame]

    @property
    def n_rows(self) -> int:
        return sum(frame.rows.num_rows for frame in self.frames)

    @property
    def n_bytes(self) -> int:
        """The messages as they came."""
        return sum(map(len, self.event.value.messages))


async def gather(stream: Any) -> AsyncIterator[Gathered]:
    """Every fetched run of messages as its frames; acknowledging is the caller's business."""
    async for event in stream.noack().events():
        yield Gathered(event, frames_of(event.value))


def frames_of(batch: RawBatch) -> list[Frame]:
    """The frames of a run; what is none is said and left out, and its offsets show as a gap."""
    try:
        return decode_frames([message.value() or b"" for message in batch.messages])
    except ValueError:
        return _those_that_are(batch)


def _those_that_are(batch: RawBatch) -> list[Frame]:
    frames = []
    for message in batch.messages:
        try:
            frames.append(decode_frame(message.value() or b""))
        except ValueError as error:
            log.error(
                "not_a_scored_batch",
                topic=batch.tp.topic,
                partition=batch.tp.partition,
                offset=message.offset(),
                error=str(error),
            )
            metrics.BAD_FRAMES.inc()
    return frames


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of them until the first ends or raises, raise what it raised, cancel the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
