"""Producer ids and transactions: the five requests of KIP-98."""

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.groups.offsets import metadata_too_large
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages.transactions import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
    TXN_OFFSET_COMMIT,
)
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.store import Committed, TopicPartition
from deploy.local.broker.transactions.transaction import NO_EPOCH, Producer

_NO_PRODUCER = Producer(-1, NO_EPOCH)
# Since these versions clients know PRODUCER_FENCED; before, INVALID_PRODUCER_EPOCH says it.
_FENCED_SINCE = {
    INIT_PRODUCER_ID.key: 4,
    ADD_PARTITIONS_TO_TXN.key: 2,
    ADD_OFFSETS_TO_TXN.key: 2,
    END_TXN.key: 2,
}


def init_producer_id(node: Node, request: Request) -> Message:
    """A producer id and epoch; without a transactional id always a new one."""
    body = request.body
    transactional_id = body["transactional_id"]
    try:
        if transactional_id is None:
            producer = Producer(node.transactions.new_producer_id(), 0)
        else:
            producer = node.transactions.init_producer(
                transactional_id, body["transaction_timeout_ms"], _claimed(body)
            )
    except RefusedError as error:
        code = _code(request, error)
        return {"error_code": code, "producer_id": -1, "producer_epoch": NO_EPOCH}
    return {"producer_id": producer.id, "producer_epoch": producer.epoch}


def add_partitions_to_txn(node: Node, request: Request) -> Message:
    """All partitions or none: one that does not exist fails the others, which were not tried."""
    body, prefix = request.body, "v3_and_below_"
    topics = body[prefix + "topics"]
    asked = [(topic["name"], index) for topic in topics for index in topic["partitions"]]
    codes = {partition: _exists(node, partition) for partition in asked}
    if any(codes.values()):
        codes = {
            partition: code or Code.OPERATION_NOT_ATTEMPTED for partition, code in codes.items()
        }
    else:
        producer = Producer(body[prefix + "producer_id"], body[prefix + "producer_epoch"])
        try:
            node.transactions.add_partitions(body[prefix + "transactional_id"], producer, asked)
        except RefusedError as error:
            codes = dict.fromkeys(asked, _code(request, error))
    return {
        "results_by_topic_v3_and_below": [
            {
                "name": topic["name"],
                "results_by_partition": [
                    {"partition_index": index, "partition_error_code": codes[topic["name"], index]}
                    for index in topic["partitions"]
                ],
            }
            for topic in topics
        ]
    }


def add_offsets_to_txn(node: Node, request: Request) -> Message:
    body = request.body
    try:
        node.transactions.add_group(body["transactional_id"], _producer(body), body["group_id"])
    except RefusedError as error:
        return {"error_code": _code(request, error)}
    return {"error_code": Code.NONE}


def txn_offset_commit(node: Node, request: Request) -> Message:
    """Offsets that count when the transaction commits; partitions are refused one by one."""
    body = request.body
    offsets: dict[TopicPartition, Committed] = {}
    codes: dict[TopicPartition, Code] = {}
    for topic in body["topics"]:
        for given in topic["partitions"]:
            partition = topic["name"], given["partition_index"]
            metadata = given["committed_metadata"] or ""
            codes[partition] = _exists(node, partition)
            if metadata_too_large(metadata):
                codes[partition] = codes[partition] or Code.OFFSET_METADATA_TOO_LARGE
            if codes[partition] is Code.NONE:
                offsets[partition] = Committed(
                    given["committed_offset"], given["committed_leader_epoch"], metadata
                )
    try:
        transaction = body["transactional_id"], _producer(body), body["group_id"]
        node.transactions.check_group(*transaction)
        _check_member(node, body)
        node.transactions.hold_offsets(*transaction, offsets)
    except RefusedError as error:
        code = _code(request, error)
        codes = {partition: refused or code for partition, refused in codes.items()}
    return {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    {
                        "partition_index": given["partition_index"],
                        "error_code": codes[topic["name"], given["partition_index"]],
                    }
                    for given in topic["partitions"]
                ],
            }
            for topic in body["topics"]
        ]
    }


def end_txn(node: Node, request: Request) -> Message:
    body = request.body
    try:
        node.transactions.end(body["transactional_id"], _producer(body), commit=body["committed"])
    except RefusedError as error:
        return {"error_code": _code(request, error)}
    return {"error_code": Code.NONE}


HANDLERS: dict[int, Handler] = {
    INIT_PRODUCER_ID.key: init_producer_id,
    ADD_PARTITIONS_TO_TXN.key: add_partitions_to_txn,
    ADD_OFFSETS_TO_TXN.key: add_offsets_to_txn,
    TXN_OFFSET_COMMIT.key: txn_offset_commit,
    END_TXN.key: end_txn,
}


def _producer(body: Message) -> Producer:
    return Producer(body["producer_id"], body["producer_epoch"])


def _claimed(body: Message) -> Producer | None:
    producer = _producer(body)
    if producer == _NO_PRODUCER:
        return None
    if producer.id == _NO_PRODUCER.id or producer.epoch == _NO_PRODUCER.epoch:
        raise RefusedError(Code.INVALID_REQUEST, "a producer id without its epoch, or without id")
    return producer


def _code(request: Request, error: RefusedError) -> Code:
    """The error as this version of the request knows it."""
    since = _FENCED_SINCE.get(request.api.key, request.api.newest + 1)
    if error.code is Code.PRODUCER_FENCED and request.version < since:
        return Code.INVALID_PRODUCER_EPOCH
    return error.code


def _exists(node: Node, partition: TopicPartition) -> Code:
    try:
        node.topics.partition(*partition)
    except RefusedError as error:
        return error.code
    return Code.NONE


def _check_member(node: Node, body: Message) -> None:
    """Raises RefusedError where the sender is no longer the member it says it is (KIP-447)."""
    if not body["group_id"]:
        raise RefusedError(Code.INVALID_GROUP_ID, "the group id is empty")
    code = node.groups.check_commit(
        body["group_id"],
        body["member_id"],
        body["group_instance_id"],
        body["generation_id"],
        transactional=True,
    )
    if code is not Code.NONE:
        raise RefusedError(code)
