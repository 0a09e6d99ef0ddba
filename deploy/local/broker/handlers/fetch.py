"""Fetch: whole runs of batches as they lie in the log, waiting for the first when there is none."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages.data import FETCH
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request

_READ_COMMITTED = 1
# Leadership never moves here.
LEADER_EPOCH = 0


def fetch(node: Node, request: Request) -> Message | Awaitable[Message]:
    """Records at once where there are `min_bytes` of them, else within `max_wait_ms`."""
    body = request.body
    if body["session_id"] != 0:
        # Sessions (KIP-227) are not kept: a client that hears this fetches in full.
        return {"error_code": Code.FETCH_SESSION_ID_NOT_FOUND}
    answer = _Answer(node, body)
    if answer.complete or body["max_wait_ms"] <= 0:
        return answer.message
    return _wait(node, body)


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
            # Looked at before the first wait too: a log may have grown before we watched it.
            answer = _Answer(node, body)
            if answer.complete or loop.time() >= deadline:
                return answer.message
            await woken.wait()
            woken.clear()
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
        if part["partition"] < len(topic.partitions)
    ]


class _Answer:
    """What a fetch reads now: its message, and whether that must go out without waiting."""

    def __init__(self, node: Node, body: Message) -> None:
        self._topics = node.topics
        self._committed = body["isolation_level"] == _READ_COMMITTED
        self._left = min(
            body["max_bytes"], node.options.limits.fetch_response, node.memory.left // 2
        )
        self._size = 0
        self._failed = False
        responses = [
            {
                "topic": asked["topic"],
                "partitions": [
                    self._partition(asked["topic"], part) for part in asked["partitions"]
                ],
            }
            for asked in body["topics"]
        ]
        self.message: Message = {"responses": responses}
        self.complete = self._failed or self._size >= body["min_bytes"]

    def _partition(self, topic: str, part: dict[str, Any]) -> dict[str, Any]:
        index, offset = part["partition"], part["fetch_offset"]
        try:
            log = self._topics.partition(topic, index)
            _check(log, offset, part["current_leader_epoch"])
            upto = log.stable_offset if self._committed else log.end_offset
            records = self._read(log, offset, upto, part["partition_max_bytes"])
        except RefusedError as refused:
            self._failed = True
            return {
                "partition_index": index,
                "error_code": refused.code,
                "high_watermark": -1,
                "records": b"",  # librdkafka takes null for a broken response
            }
        return {
            "partition_index": index,
            "high_watermark": log.end_offset,
            "last_stable_offset": log.stable_offset,
            "log_start_offset": log.start_offset,
            "aborted_transactions": _aborted(log, offset, upto) if self._committed else None,
            "records": records,
        }

    def _read(self, log: PartitionLog, offset: int, upto: int, max_bytes: int) -> bytes:
        # The first records of a response go out even when they are larger than all limits.
        first = self._size == 0
        size = min(max_bytes, self._left - self._size)
        if offset >= upto or (size <= 0 and not first):
            return b""
        records = log.read(offset, max(size, 0), upto=upto, whole_batch=first)
        self._size += len(records)
        return records


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
