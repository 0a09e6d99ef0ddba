"""Topics made, deleted and grown, and records deleted: answers as of Kafka's controller.

Each part of a request is carried out and answered on its own: one refused topic hinders no other.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.handlers import topic_configs
from deploy.local.broker.node import NODE_ID, Node
from deploy.local.broker.protocol.messages.admin import (
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_RECORDS,
    DELETE_TOPICS,
)
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.topics import Topic

_DEFAULT = -1
_NO_ID = bytes(16)
_UP_TO_THE_END = -1
_UNKNOWN_OFFSET = -1


def create_topics(node: Node, request: Request) -> Message:
    """Make topics, or with `validate_only` say whether they could be made."""
    body = request.body
    return _each_once(
        body["topics"],
        "topics",
        lambda wanted: _create_topic(node, wanted, validate_only=body["validate_only"]),
    )


def _create_topic(node: Node, wanted: Message, *, validate_only: bool) -> Message:
    partitions = _partitions_wanted(node, wanted)
    overrides = _overrides_wanted(wanted)
    node.topics.check_new(wanted["name"], partitions, overrides)
    topic_id = _NO_ID
    if not validate_only:
        topic_id = node.topics.create(wanted["name"], partitions, overrides).id
    return {
        "topic_id": topic_id,
        "num_partitions": partitions,
        "replication_factor": 1,
        "configs": topic_configs.described(overrides),
    }


def _partitions_wanted(node: Node, wanted: Message) -> int:
    """How many partitions; raises RefusedError where only a cluster could do what is asked."""
    if wanted["assignments"]:
        return _partitions_assigned(wanted)
    if wanted["replication_factor"] not in (_DEFAULT, 1):
        raise RefusedError(
            Code.INVALID_REPLICATION_FACTOR,
            f"replication factor {wanted['replication_factor']} on a single broker",
        )
    if wanted["num_partitions"] == _DEFAULT:
        return node.options.default_partitions
    return int(wanted["num_partitions"])


def _partitions_assigned(wanted: Message) -> int:
    """The partitions of a manual assignment, which has to be to this node alone."""
    if wanted["replication_factor"] != _DEFAULT or wanted["num_partitions"] != _DEFAULT:
        raise RefusedError(
            Code.INVALID_REQUEST,
            "a manual partition assignment leaves partitions and replication factor at -1",
        )
    assigned = wanted["assignments"]
    for assignment in assigned:
        _check_replicas(assignment["broker_ids"])
    if sorted(a["partition_index"] for a in assigned) != list(range(len(assigned))):
        raise RefusedError(
            Code.INVALID_REPLICA_ASSIGNMENT, "partitions are numbered from 0, each once"
        )
    return len(assigned)


def _check_replicas(broker_ids: list[int]) -> None:
    if broker_ids != [NODE_ID]:
        raise RefusedError(
            Code.INVALID_REPLICA_ASSIGNMENT,
            f"replicas on {broker_ids}: a partition here is on broker {NODE_ID} alone",
        )


def _overrides_wanted(wanted: Message) -> dict[str, str]:
    without = [config["name"] for config in wanted["configs"] if config["value"] is None]
    if without:
        raise RefusedError(
            Code.INVALID_CONFIG,
            f"Null value not supported for topic configs: {','.join(without)}",
        )
    return {config["name"]: config["value"] for config in wanted["configs"]}


def delete_topics(node: Node, request: Request) -> Message:
    """Delete topics by name or, since version 6, by id; committed offsets go with them."""
    wanted = request.body["topics"]
    if request.version < 6:
        wanted = [{"name": name, "topic_id": _NO_ID} for name in request.body["topic_names"]]
    times = Counter((entry["name"], entry["topic_id"]) for entry in wanted)
    return {
        "responses": [
            _delete_topic(node, name, topic_id, times=count)
            for (name, topic_id), count in times.items()
        ]
    }


def _delete_topic(node: Node, name: str | None, topic_id: bytes, *, times: int) -> Message:
    answer: Message = {"name": name, "topic_id": topic_id}
    try:
        if times > 1:
            raise RefusedError(Code.INVALID_REQUEST, "Duplicate topic name or id.")
        topic = _topic_meant(node, name, topic_id)
        node.topics.delete(topic.name)
        node.offsets.forget_topic(topic.name)
        answer |= {"name": topic.name, "topic_id": topic.id}
    except RefusedError as refused:
        answer |= _refusal(refused)
    return answer


def _topic_meant(node: Node, name: str | None, topic_id: bytes) -> Topic:
    if name is None and topic_id == _NO_ID:
        raise RefusedError(Code.INVALID_REQUEST, "Neither topic name nor id were specified.")
    if name is None:
        return node.topics.with_id(topic_id)
    if topic_id != _NO_ID:
        raise RefusedError(
            Code.INVALID_REQUEST, "You may not specify both topic name and topic id."
        )
    return node.topics.named(name)


def create_partitions(node: Node, request: Request) -> Message:
    """Grow topics to the counts asked for, or with `validate_only` say whether they could be."""
    body = request.body
    return _each_once(
        body["topics"],
        "results",
        lambda wanted: _grow(node, wanted, validate_only=body["validate_only"]),
    )


def _grow(node: Node, wanted: Message, *, validate_only: bool) -> Message:
    name, count = wanted["name"], wanted["count"]
    added = node.topics.check_growth(name, count)
    if wanted["assignments"] is not None:
        if len(wanted["assignments"]) != added:
            raise RefusedError(
                Code.INVALID_REPLICA_ASSIGNMENT,
                f"{added} partitions to add, {len(wanted['assignments'])} assigned",
            )
        for assignment in wanted["assignments"]:
            _check_replicas(assignment["broker_ids"])
    if not validate_only:
        node.topics.grow(name, count)
    return {}


def delete_records(node: Node, request: Request) -> Message:
    """Delete the records before an offset; -1 means all there are."""
    return {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    _delete_before(node, topic["name"], partition)
                    for partition in topic["partitions"]
                ],
            }
            for topic in request.body["topics"]
        ]
    }


def _delete_before(node: Node, name: str, wanted: Message) -> Message:
    answer: Message = {"partition_index": wanted["partition_index"]}
    try:
        log = node.topics.partition(name, wanted["partition_index"])
        if log.config.compacts and not log.config.deletes:
            raise RefusedError(Code.POLICY_VIOLATION, "a compacted topic keeps its records")
        offset = log.end_offset if wanted["offset"] == _UP_TO_THE_END else wanted["offset"]
        if not 0 <= offset <= log.end_offset:
            raise RefusedError(Code.OFFSET_OUT_OF_RANGE, f"{offset} is not in the log")
        return answer | {"low_watermark": log.delete_before(offset)}
    except RefusedError as refused:
        return answer | {"low_watermark": _UNKNOWN_OFFSET, "error_code": refused.code}


def _each_once(
    wanted: Iterable[Message], answers: str, do: Callable[[Message], Message]
) -> Message:
    """What `do` says of each named part; a part named twice is refused, as Kafka does."""
    wanted = list(wanted)
    times = Counter(part["name"] for part in wanted)
    by_name = {part["name"]: part for part in wanted}
    results = []
    for name, part in by_name.items():
        try:
            if times[name] > 1:
                raise RefusedError(Code.INVALID_REQUEST, "Duplicate topic name.")
            results.append({"name": name} | do(part))
        except RefusedError as refused:
            results.append({"name": name} | _refusal(refused))
    return {answers: results}


def _refusal(refused: RefusedError) -> Message:
    return {"error_code": refused.code, "error_message": refused.message or None}


HANDLERS: dict[int, Handler] = {
    CREATE_TOPICS.key: create_topics,
    DELETE_TOPICS.key: delete_topics,
    CREATE_PARTITIONS.key: create_partitions,
    DELETE_RECORDS.key: delete_records,
    **topic_configs.HANDLERS,
}
