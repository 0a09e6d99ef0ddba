"""Batches are acknowledged after the pieces of all their rows were delivered, and not before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from drift.coverage import Source
from drift.sketch import Sketch, decode_sketch
from schemas.errors import DeliveryError
from schemas.frames import encode_frame
from schemas.settings import DriftSettings
from stream_processors.outbox import Messages
from stream_processors.sketch_drift.publisher import MAX_PIECES_AT_ONCE, SketchPublisher
from tests.fixtures.frames import make_frame
from tests.unit.stream_processors.test_sketch_gatherer import SOURCE, WINDOW_MS, covered, gatherer

SOON = DriftSettings(flush_interval_s=0.1)
NEVER = DriftSettings(flush_interval_s=600)


@dataclass
class World:
    """What surrounds a publisher: a stream, an outbox that answers when told, a group."""

    settings: DriftSettings
    generation_now: int = 1
    drains: bool = False
    past: dict[Source, int] = field(default_factory=dict)
    looked_back: list[tuple[TP, int]] = field(default_factory=list)
    sent: list[tuple[int, Messages]] = field(default_factory=list)
    answers: list["asyncio.Future[None]"] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    events_to_come: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    def noack(self) -> "World":
        return self

    async def events(self) -> AsyncIterator[Any]:
        while (event := await self.events_to_come.get()) is not None:
            yield event

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]":
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (messages,) = outputs
        self.sent.append((partition, messages))
        self.answers.append(answer)
        return answer

    def generation(self) -> int:
        return self.generation_now

    def owns(self, _: TP) -> bool:
        return True

    def draining(self) -> bool:
        return self.drains

    def look_back(self, tp: TP, offset: int) -> dict[Source, int]:
        self.looked_back.append((tp, offset))
        return self.past

    def bring(self, begin: int, end: int, *, raw: bytes | None = None) -> None:
        """A batch of one frame of the source offsets [begin, end)."""
        value = encode_frame(make_frame(range(begin, end), append_step_ms=0))
        message = SimpleNamespace(value=lambda: value if raw is None else raw, offset=lambda: begin)
        batch = _Batch(TP("fraud.scored-batches", 0), begin, [_Sized(message, len(value))])
        event = SimpleNamespace(
            value=batch,
            message=SimpleNamespace(generation_id=self.generation_now),
            ack=lambda: self.acknowledged.append(begin),
        )
        self.events_to_come.put_nowait(event)

    def pieces(self, index: int = -1) -> list[Sketch]:
        return [decode_sketch(value) for value in self.sent[index][1].values]


@dataclass
class _Batch:
    tp: TP
    covers_from: int
    messages: list[Any]


class _Sized:
    def __init__(self, message: Any, size: int) -> None:
        self.value, self.offset, self._size = message.value, message.offset, size

    def __len__(self) -> int:
        return self._size


def run(settings: DriftSettings, act: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World(settings)
        publisher = SketchPublisher(
            topic="drift-sketches",
            pipeline="fraud",
            settings=settings,
            new_gatherer=gatherer,
            look_back=world.look_back,
            outbox=world,
            membership=world,
        )
        running = asyncio.create_task(publisher.run(world))
        acting = asyncio.ensure_future(act(world))
        await asyncio.wait({running, acting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        if not acting.done():
            acting.cancel()
            await running
        await acting

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - any condition
        await asyncio.sleep(0.01)


def test_a_batch_is_acknowledged_when_its_pieces_are_delivered_and_not_before() -> None:
    async def act(world: World) -> None:
        world.bring(0, 10)
        world.bring(10, 20)
        await until(lambda: len(world.sent) == 1)
        await asyncio.sleep(0.2)
        assert world.acknowledged == []
        world.answers[0].set_result(None)
        await until(lambda: world.acknowledged == [0, 10])
        partition, messages = world.sent[0]
        assert (partition, messages.topic, messages.keys) == (-1, "drift-sketches", [b"fraud"])
        (piece,) = world.pieces()
        assert (piece.n, covered(piece)) == (20, (0, 20))

    run(SOON, act)


def test_nothing_is_acknowledged_when_publishing_fails() -> None:
    seen: list[World] = []

    async def act(world: World) -> None:
        seen.append(world)
        world.bring(0, 10)
        await until(lambda: len(world.sent) == 1)
        world.answers[0].set_exception(DeliveryError("refused"))
        await asyncio.sleep(3600)

    with pytest.raises(DeliveryError):
        run(SOON, act)
    assert seen[0].acknowledged == []


@pytest.mark.parametrize(
    "settings",
    [
        DriftSettings(flush_interval_s=600, max_rows_per_piece=100),
        DriftSettings(flush_interval_s=600, max_buffered_bytes=2**20),
    ],
)
def test_a_bound_that_is_reached_publishes_at_once(settings: DriftSettings) -> None:
    n = 100 if settings.max_rows_per_piece == 100 else 12_000  # of 50 bytes and more

    async def act(world: World) -> None:
        world.bring(0, n - 1 if n == 100 else 1000)
        await asyncio.sleep(0.3)
        assert world.sent == []
        world.bring(n - 1 if n == 100 else 1000, n)
        await until(lambda: len(world.sent) == 1)

    run(settings, act)


def test_what_was_gathered_is_published_when_the_app_drains() -> None:
    async def act(world: World) -> None:
        world.bring(0, 10)
        await asyncio.sleep(0.3)
        assert world.sent == []
        world.drains = True
        await until(lambda: len(world.sent) == 1)

    run(NEVER, act)


def test_batches_of_an_assignment_that_is_over_are_neither_published_nor_acknowledged() -> None:
    async def act(world: World) -> None:
        world.bring(0, 10)
        await asyncio.sleep(0.05)
        world.generation_now = 2
        world.bring(5, 8)
        world.drains = True
        await until(lambda: len(world.sent) == 1)
        assert [covered(piece) for piece in world.pieces()] == [(5, 8)]
        world.generation_now = 3
        world.answers[0].set_result(None)
        await asyncio.sleep(0.2)
        assert world.acknowledged == []

    run(NEVER, act)


def test_a_new_assignment_looks_back_once_for_each_partition() -> None:
    async def act(world: World) -> None:
        world.past = {SOURCE: 7}
        world.bring(0, 10)
        await until(lambda: len(world.sent) == 1)
        assert [covered(piece) for piece in world.pieces()] == [(7, 10)]
        world.answers[0].set_result(None)
        world.bring(10, 12)
        await until(lambda: len(world.sent) == 2)
        tp = TP("fraud.scored-batches", 0)
        assert world.looked_back == [(tp, 0)]
        world.answers[1].set_result(None)
        world.past = {}
        world.generation_now = 2
        world.bring(10, 12)
        await until(lambda: len(world.sent) == 3)
        assert world.looked_back == [(tp, 0), (tp, 10)]
        assert [covered(piece) for piece in world.pieces()] == [(10, 12)]

    run(SOON, act)


def test_many_pieces_go_out_in_parts_and_are_acknowledged_after_the_last() -> None:
    n = MAX_PIECES_AT_ONCE + 50

    async def act(world: World) -> None:
        value = encode_frame(make_frame(range(n), append_step_ms=WINDOW_MS))
        world.bring(0, 1, raw=value)
        await until(lambda: len(world.sent) == 1)
        world.answers[0].set_result(None)
        await until(lambda: len(world.sent) == 2)
        assert world.acknowledged == []
        assert [len(world.pieces(index)) for index in (0, 1)] == [MAX_PIECES_AT_ONCE, 50]
        world.answers[1].set_result(None)
        await until(lambda: world.acknowledged == [0])

    run(SOON, act)


def test_what_is_no_frame_is_acknowledged_with_the_rest() -> None:
    async def act(world: World) -> None:
        world.bring(0, 10, raw=b"garbage")
        await until(lambda: world.acknowledged == [0])
        assert world.sent == []

    run(SOON, act)
