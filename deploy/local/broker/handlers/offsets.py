"""Where records are: the first, the last, those of a time, the end of a leader's epoch."""

from typing import Any

from deploy.local.broker.errors import RefusedError
from deploy.local.broker.handlers.fetch import LEADER_EPOCH
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages.data import LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request

LATEST, EARLIEST, MAX_TIMESTAMP = -1, -2, -3
_READ_COMMITTED = 1


def list_offsets(node: Node, request: Request) -> Message:
    """Offsets by time; -1 where no record is that late."""
    committed = request.body["isolation_level"] == _READ_COMMITTED
    return {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    _offset(node, topic["name"], part, committed) for part in topic["partitions"]
                ],
            }
            for topic in request.body["topics"]
        ]
    }


def _offset(node: Node, topic: str, part: dict[str, Any], committed: bool) -> dict[str, Any]:
    index = part["partition_index"]
    try:
        log = node.topics.partition(topic, index)
        found = _found(log, part["timestamp"], committed)
    except RefusedError as refused:
        return {"partition_index": index, "error_code": refused.code}
    if found is None:
        return {"partition_index": index}
    offset, timestamp = found
    return {
        "partition_index": index,
        "offset": offset,
        "timestamp": timestamp,
        "leader_epoch": LEADER_EPOCH,
    }


def _found(log: PartitionLog, wanted: int, committed: bool) -> tuple[int, int] | None:
    """Offset and timestamp; raises RefusedError where the records there cannot be read."""
    if wanted == LATEST:
        return (log.stable_offset if committed else log.end_offset, -1)
    if wanted == EARLIEST:
        return (log.start_offset, -1)
    if wanted == MAX_TIMESTAMP:
        return log.latest_time()
    found = log.find_time(wanted)
    if found is not None and committed and found[0] >= log.stable_offset:
        return None
    return found


def offset_for_leader_epoch(node: Node, request: Request) -> Message:
    """The end of the only epoch there is, so that clients see that nothing was truncated."""
    return {
        "topics": [
            {
                "topic": topic["topic"],
                "partitions": [
                    _epoch_end(node, topic["topic"], part["partition"])
                    for part in topic["partitions"]
                ],
            }
            for topic in request.body["topics"]
        ]
    }


def _epoch_end(node: Node, topic: str, index: int) -> dict[str, Any]:
    try:
        log = node.topics.partition(topic, index)
    except RefusedError as refused:
        return {"partition": index, "error_code": refused.code}
    return {"partition": index, "leader_epoch": LEADER_EPOCH, "end_offset": log.end_offset}


HANDLERS: dict[int, Handler] = {
    LIST_OFFSETS.key: list_offsets,
    OFFSET_FOR_LEADER_EPOCH.key: offset_for_leader_epoch,
}
