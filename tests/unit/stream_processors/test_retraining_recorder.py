"""What was published reaches ClickHouse, in order, however often it takes; waiting has a bound."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from schemas.errors import ConfigurationError, TransientError
from stream_processors.request_retraining.recorder import MAX_WAITING, Recorder
from tests.golden.messages import DECISION, REQUEST
from tests.unit.stream_processors.test_retraining_history import a_decision


class Table:
    """A ClickHouse that refuses `failures` first."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.inserted: list[tuple[str, list[str]]] = []

    def client(self) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        return self

    def insert(self, table: str, rows: Any) -> None:
        ids = "request_id" if table == "retraining_request_log" else "decision_id"
        self.inserted.append((table, rows[ids].to_pylist()))

    @property
    def decisions(self) -> list[str]:
        return [each for table, ids in self.inserted if "decision" in table for each in ids]


def run(table: Table, act: Callable[[Recorder], Awaitable[None]]) -> None:
    async def main() -> None:
        recorder = Recorder(table.client)
        running = asyncio.create_task(recorder.run())
        acting = asyncio.ensure_future(act(recorder))
        await asyncio.wait({running, acting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            acting.cancel()
            running.result()
        assert acting.done()
        running.cancel()
        acting.result()

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - any condition
        await asyncio.sleep(0.005)


def test_a_request_is_there_before_the_decision_that_names_it() -> None:
    table = Table()

    async def act(recorder: Recorder) -> None:
        await recorder.record([REQUEST, DECISION])
        await until(lambda: len(table.inserted) == 2)

    run(table, act)
    assert [name for name, _ in table.inserted] == [
        "retraining_request_log",
        "retraining_decision_log",
    ]


def test_it_is_tried_again_while_clickhouse_is_gone() -> None:
    table = Table(TransientError("gone"), TransientError("gone"))

    async def act(recorder: Recorder) -> None:
        await recorder.record([DECISION])
        await until(lambda: table.decisions == [DECISION.decision_id])

    run(table, act)


def test_what_another_try_does_not_cure_ends_it() -> None:
    async def act(recorder: Recorder) -> None:
        await recorder.record([DECISION])
        await asyncio.sleep(3600)

    with pytest.raises(ConfigurationError):
        run(Table(ConfigurationError("wrong password")), act)


def test_when_too_many_wait_publishing_does() -> None:
    table = Table(*[TransientError("gone")] * 3)
    ids = [f"d{i}" for i in range(MAX_WAITING)]

    async def act(recorder: Recorder) -> None:
        await recorder.record([a_decision(each) for each in ids])
        last = asyncio.ensure_future(recorder.record([a_decision("last")]))
        await asyncio.sleep(0.02)
        assert not last.done()
        await last
        await until(lambda: "last" in table.decisions)

    run(table, act)
    assert table.decisions == [*ids, "last"]


def test_what_the_topic_holds_takes_the_place_of_what_waits() -> None:
    table = Table(TransientError("gone"))

    async def act(recorder: Recorder) -> None:
        await recorder.record([a_decision("a")])
        await recorder.repeat([a_decision("a"), a_decision("b")])
        await until(lambda: "b" in table.decisions)

    run(table, act)
    assert set(table.decisions) == {"a", "b"}
