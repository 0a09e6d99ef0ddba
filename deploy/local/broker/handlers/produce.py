"""Produce: one checked batch for each partition, appended where it came."""

import time
from typing import Any

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log import batches
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages.data import PRODUCE
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request

_ACKS = {-1, 0, 1}


def produce(node: Node, request: Request) -> Message | None:
    """Append and answer with the offsets; with acks=0 append and do not answer."""
    body = request.body
    now_ms = time.time_ns() // 1_000_000
    responses = [
        {
            "name": topic["name"],
            "partition_responses": [
                _partition(node, body, topic["name"], part, now_ms)
                for part in topic["partition_data"]
            ],
        }
        for topic in body["topic_data"]
    ]
    return {"responses": responses} if body["acks"] != 0 else None


def _partition(
    node: Node, body: Message, topic: str, part: dict[str, Any], now_ms: int
) -> dict[str, Any]:
    index = part["index"]
    try:
        log = node.topics.partition(topic, index)
        batch = _batch(part["records"], body["acks"])
        if batch.header.transactional:
            _check_transaction(node, body["transactional_id"], batch.header, topic, index)
        base_offset = log.append(batch, now_ms)
    except RefusedError as refused:
        return {
            "index": index,
            "error_code": refused.code,
            "base_offset": -1,
            "error_message": refused.message or None,
        }
    return {
        "index": index,
        "base_offset": base_offset,
        "log_append_time_ms": now_ms if log.config.append_time else -1,
        "log_start_offset": log.start_offset,
    }


def _batch(records: bytes | None, acks: int) -> batches.Batch:
    if acks not in _ACKS:
        raise RefusedError(Code.INVALID_REQUIRED_ACKS, f"acks is {acks}")
    given = batches.split(records or b"")
    if len(given) != 1:
        raise RefusedError(Code.INVALID_RECORD, f"{len(given)} batches for one partition, not 1")
    if given[0].header.control:
        raise RefusedError(Code.INVALID_RECORD, "control batches are the broker's own")
    return given[0]


def _check_transaction(
    node: Node, transactional_id: str | None, header: batches.BatchHeader, topic: str, index: int
) -> None:
    code = node.transactions.check_produce(
        transactional_id, header.producer_id, header.producer_epoch, topic, index
    )
    if code:
        raise RefusedError(code)


HANDLERS: dict[int, Handler] = {PRODUCE.key: produce}
