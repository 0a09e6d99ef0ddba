"""What a stream brings, gathered to blocks, each written and then acknowledged."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import structlog

from schemas.errors import TransientError
from schemas.settings import LogSettings
from storage.blocks import BlockBuilder
from stream_processors import metrics
from stream_processors.scored_frames import until_one_ends

log = structlog.get_logger()

FIRST_RETRY_MS = 50


class Gathered(Protocol):
    """A Faust event and what it weighs."""

    @property
    def event(self) -> Any: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_bytes(self) -> int: ...


Item = TypeVar("Item", bound=Gathered)
Answer = TypeVar("Answer")


class BlockWriter(Generic[Item]):
    """Hands a stream's items to `write` block by block, and acknowledges each block then.

    One block is written at a time; what `write` raises ends it, unacknowledged.
    """

    def __init__(
        self,
        settings: LogSettings,
        write: Callable[[list[Item]], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._clock = clock
        self._block: BlockBuilder[Item] = BlockBuilder(
            settings.block_max_rows, settings.block_max_ms, clock
        )
        self._changed = asyncio.Event()

    async def run(self, items: AsyncIterator[Item]) -> None:
        """Gather and write until the items end or something fails for good."""
        await until_one_ends(self._write_all(), self._gather_all(items))

    async def _gather_all(self, items: AsyncIterator[Item]) -> None:
        async for each in items:
            self._block.add(each, each.n_rows, each.n_bytes)
            self._changed.set()

    async def _write_all(self) -> None:
        while True:
            await self._until_due()
            block = self._block.take()
            await self._write(block)
            for each in block:
                each.event.ack()

    async def _until_due(self) -> None:
        while not self._block.due(now := self._clock()):
            self._changed.clear()
            due_in_s = self._block.due_in_s(now)
            waiting = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait({waiting}, timeout=due_in_s)
            waiting.cancel()


async def retry_for_ever(attempt: Callable[[], Answer], *, event: str, max_ms: int) -> Answer:
    """The answer of `attempt`, which runs in a thread, however often an outage makes it fail.

    Tries again after FIRST_RETRY_MS, then twice as long up to `max_ms`; `event` names the failure
    in the log. Anything but a TransientError is raised.
    """
    retry_ms = FIRST_RETRY_MS
    while True:
        try:
            return await asyncio.to_thread(attempt)
        except TransientError as error:
            log.warning(event, error=str(error)[:500], retry_ms=retry_ms)
            metrics.LOG_RETRIES.inc()
            await asyncio.sleep(retry_ms / 1000)
            retry_ms = min(2 * retry_ms, max_ms)
