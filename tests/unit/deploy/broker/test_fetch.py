"""Fetches that wait: they hear of every append, and end when their client goes."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, cast

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.handlers.fetch import fetch
from deploy.local.broker.node import Node, NodeOptions
from deploy.local.broker.protocol.messages.data import FETCH
from deploy.local.broker.requests import Request
from tests.unit.deploy.broker.logs import NOW_MS, batch_of

WAIT_MS = 200_000
"""Nobody waits as long: an answer within half of it was not waited for."""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(NodeOptions(tmp_path))
    node.topics.create("t", 2, {})
    return node


def waiting(node: Node, *, partition: int = 0, offset: int = 0) -> Awaitable[dict[str, Any]]:
    """A fetch that found nothing yet."""
    asked = {
        "partition": partition,
        "fetch_offset": offset,
        "partition_max_bytes": 1 << 20,
        "current_leader_epoch": -1,
    }
    body = {
        "max_wait_ms": WAIT_MS,
        "min_bytes": 1,
        "max_bytes": 1 << 20,
        "isolation_level": 0,
        "session_id": 0,
        "topics": [{"topic": "t", "partitions": [asked]}],
    }
    reply = fetch(node, Request(FETCH, 11, "test", "127.0.0.1", ("127.0.0.1", 9092), body))
    assert not isinstance(reply, dict)
    return cast(Awaitable[dict[str, Any]], reply)


def only_partition(answer: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], answer["responses"][0]["partitions"][0])


def test_an_append_before_the_wait_began_is_heard(node: Node) -> None:
    async def run() -> tuple[dict[str, Any], float]:
        reply = waiting(node)
        node.topics.partition("t", 0).append(batch_of(b"v"), NOW_MS)
        started = time.monotonic()
        return only_partition(await reply), time.monotonic() - started

    answer, took_s = asyncio.run(run())

    assert answer["records"]
    assert took_s < WAIT_MS / 1000 / 2


def test_an_append_while_it_waits_ends_the_wait(node: Node) -> None:
    async def run() -> dict[str, Any]:
        task = asyncio.ensure_future(waiting(node))
        await asyncio.sleep(0.01)
        assert not task.done()
        node.topics.partition("t", 0).append(batch_of(b"v"), NOW_MS)
        return only_partition(await asyncio.wait_for(task, WAIT_MS / 1000 / 2))

    assert asyncio.run(run())["records"]


@pytest.mark.parametrize("before", [True, False])
def test_a_topic_deleted_meanwhile_is_said_to_be_gone(node: Node, before: bool) -> None:
    async def run() -> dict[str, Any]:
        task = asyncio.ensure_future(waiting(node, partition=1))
        await asyncio.sleep(0 if before else 0.01)
        node.topics.delete("t")
        if before:
            node.topics.create("t", 1, {})
        return only_partition(await asyncio.wait_for(task, WAIT_MS / 1000 / 2))

    assert asyncio.run(run())["error_code"] == Code.UNKNOWN_TOPIC_OR_PARTITION


def test_a_client_that_goes_leaves_no_watcher(node: Node) -> None:
    async def run() -> None:
        task = asyncio.ensure_future(waiting(node))
        await asyncio.sleep(0.01)
        assert node.topics.partition("t", 0).watchers
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

    assert not node.topics.partition("t", 0).watchers
