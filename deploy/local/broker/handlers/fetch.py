"""Fetch: whole runs of batches as they lie in the log, waiting for the first when there is none."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log import PartitionLog
from deploy.local.broker.messages.data import FETCH
from deploy.local.broker.node import Node
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.wire import Message

_READ_COMMITTED = 1
# Leadership never moves here.
LEADER_EPOCH = 0


@dataclass(slots=True)
class _Answer:
    """A response in the making, and whether it must go out even with few bytes in it."""

    message: Message
    size: int = 0
    failed: bool = False


def fetch(node: Node, request: Request) -> Message | Awaitable[Message]:
    """Records at once where there are `min_bytes` of them, else within `max_wait_ms`."""
    body = request.body
    if body["session_id"] != 0:
        # Sessions (KIP-227) are not kept: a client that hears this fetches in full.
        return {"error_code": Code.FETCH_SESSION_ID_NOT_FOUND}
    answer = _read(node, body)
    if _complete(answer, body) or body["max_wait_ms"] <= 0:
        return answer.message
    return _wait(node, body)


def _complete(answer: _Answer, body: Message) -> bool:
    return answer.failed or answer.size >= body["min_bytes"]


async def _wait(node: Node, body: Message) -> Message:
    """Read again whenever a log of the request grows, until it suffices or time is up."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    logs = _logs(node, body)
    for log in logs:
        log.watchers.add(woken.set)
    deadline = loop.time() + body["max_wait_ms"] / 1000
    timer = loop.call_at(deadline, woken.set)
    try:
        while True:
            await woken.wait()
            woken.clear()
            answer = _read(node, body)
            if _complete(answer, body) or loop.time() >= deadline:
                return answer.message
    finally:
        timer.cancel()
        for log in logs:
            log.watchers.discard(woken.set)


def _logs(node: Node, body: Message) -> list[PartitionLog]:
    return [
        topic.partitions[part["partition"]]
        for asked in body["topics"]
        if (topic := node.topics.get(asked["topic"])) is not None
        for part in asked["partitions"]
    ]


def _read(node: Node, body: Message) -> _Answer:
    committed = body["isolation_level"] == _READ_COMMITTED
    left = min(body["max_bytes"], node.options.limits.fetch_response, node.memory.left)
    responses: list[dict[str, Any]] = []
    answer = _Answer({"responses": responses})
    for asked in body["topics"]:
        partitions = []
        for part in asked["partitions"]:
            response = _partition(node, asked["topic"], part, committed, left - answer.size, answer)
            partitions.append(response)
        responses.append({"topic": asked["topic"], "partitions": partitions})
    return answer


def _partition(
    node: Node, topic: str, part: dict[str, Any], committed: bool, left: int, answer: _Answer
) -> dict[str, Any]:
    index, offset = part["partition"], part["fetch_offset"]
    try:
        log = node.topics.partition(topic, index)
        _check(log, offset, part["current_leader_epoch"])
    except RefusedError as refused:
        answer.failed = True
        return {"partition_index": index, "error_code": refused.code, "high_watermark": -1}
    upto = log.stable_offset if committed else log.end_offset
    # The first records of a response go out even when they are larger than all limits.
    size = min(part["partition_max_bytes"], left)
    first = answer.size == 0
    records = log.read(offset, size, upto=upto, whole_batch=first) if size > 0 or first else b""
    answer.size += len(records)
    return {
        "partition_index": index,
        "high_watermark": log.end_offset,
        "last_stable_offset": log.stable_offset,
        "log_start_offset": log.start_offset,
        "aborted_transactions": _aborted(log, offset, upto) if committed else None,
        "records": records,
    }


def _check(log: PartitionLog, offset: int, leader_epoch: int) -> None:
    if leader_epoch > LEADER_EPOCH:
        raise RefusedError(Code.UNKNOWN_LEADER_EPOCH)
    if not log.start_offset <= offset <= log.end_offset:
        raise RefusedError(Code.OFFSET_OUT_OF_RANGE)


def _aborted(log: PartitionLog, offset: int, upto: int) -> list[dict[str, int]]:
    return [
        {"producer_id": producer_id, "first_offset": first}
        for producer_id, first in log.aborted(offset, upto)
    ]


HANDLERS: dict[int, Handler] = {FETCH.key: fetch}
