"""The offsets that groups commit, fetch and have deleted."""

from deploy.local.broker.errors import Code
from deploy.local.broker.groups.group import Group
from deploy.local.broker.groups.offsets import metadata_too_large
from deploy.local.broker.groups.rules import State
from deploy.local.broker.groups.subscriptions import subscribed_topics
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages import groups as messages
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.store import Committed, TopicPartition


def offset_commit(node: Node, request: Request) -> Message:
    """Commits what can be: partitions that are unknown get an error of their own."""
    body = request.body
    code = node.groups.check_commit(
        body["group_id"],
        body["member_id"],
        body["group_instance_id"],
        body["generation_id_or_member_epoch"],
    )
    accepted: dict[TopicPartition, Committed] = {}
    topics = [
        {
            "name": topic["name"],
            "partitions": [
                {
                    "partition_index": partition["partition_index"],
                    "error_code": code or _accept(node, topic["name"], partition, accepted),
                }
                for partition in topic["partitions"]
            ],
        }
        for topic in body["topics"]
    ]
    node.offsets.commit(body["group_id"], accepted)
    return {"topics": topics}


def _accept(
    node: Node, topic: str, partition: Message, accepted: dict[TopicPartition, Committed]
) -> Code:
    index, metadata = partition["partition_index"], partition["committed_metadata"] or ""
    if not _exists(node, topic, index):
        return Code.UNKNOWN_TOPIC_OR_PARTITION
    if metadata_too_large(metadata):
        return Code.OFFSET_METADATA_TOO_LARGE
    accepted[topic, index] = Committed(
        partition["committed_offset"], partition["committed_leader_epoch"], metadata
    )
    return Code.NONE


def _exists(node: Node, topic: str, partition: int) -> bool:
    found = node.topics.get(topic)
    return found is not None and 0 <= partition < len(found.partitions)


def offset_fetch(node: Node, request: Request) -> Message:
    """Offset -1 where nothing is committed; UNSTABLE_OFFSET_COMMIT where that may change."""
    group_id, stable = request.body["group_id"], request.body["require_stable"]
    asked = request.body["topics"]
    if asked is None:
        asked = _all_partitions(node, group_id)
    return {
        "topics": [
            {
                "name": topic["name"],
                "partitions": [
                    _fetched(node, group_id, (topic["name"], index), stable=stable)
                    for index in topic["partition_indexes"]
                ],
            }
            for topic in asked
        ]
    }


def _all_partitions(node: Node, group_id: str) -> list[Message]:
    partitions: dict[str, list[int]] = {}
    for topic, index in sorted(node.offsets.fetch(group_id)):
        partitions.setdefault(topic, []).append(index)
    return [{"name": name, "partition_indexes": found} for name, found in partitions.items()]


def _fetched(node: Node, group_id: str, partition: TopicPartition, *, stable: bool) -> Message:
    pending = stable and node.offsets.pending(group_id, partition)
    committed = None if pending else node.offsets.fetch(group_id).get(partition)
    if committed is None:
        committed = Committed(-1)
    return {
        "partition_index": partition[1],
        "committed_offset": committed.offset,
        "committed_leader_epoch": committed.leader_epoch,
        "metadata": committed.metadata,
        "error_code": Code.UNSTABLE_OFFSET_COMMIT if pending else Code.NONE,
    }


def offset_delete(node: Node, request: Request) -> Message:
    """Deletes offsets of topics that no member is subscribed to."""
    group_id = request.body["group_id"]
    group = node.groups.get(group_id)
    if group is None:
        return {"error_code": Code.GROUP_ID_NOT_FOUND}
    if group.state is not State.EMPTY and group.protocol_type != "consumer":
        return {"error_code": Code.NON_EMPTY_GROUP}
    deleted: set[TopicPartition] = set()
    topics = [
        {
            "name": topic["name"],
            "partitions": [
                {
                    "partition_index": partition["partition_index"],
                    "error_code": _check_delete(
                        node, group, (topic["name"], partition["partition_index"]), deleted
                    ),
                }
                for partition in topic["partitions"]
            ],
        }
        for topic in request.body["topics"]
    ]
    node.offsets.delete(group_id, deleted)
    return {"topics": topics}


def _check_delete(
    node: Node, group: Group, partition: TopicPartition, deleted: set[TopicPartition]
) -> Code:
    if not _exists(node, *partition):
        return Code.UNKNOWN_TOPIC_OR_PARTITION
    if group.state is not State.EMPTY:
        metadata = [member.metadata(group.protocol_name) for member in group.roster.all()]
        topics = subscribed_topics(metadata)
        # What cannot be read may be a subscription to anything.
        if topics is None or partition[0] in topics:
            return Code.GROUP_SUBSCRIBED_TO_TOPIC
    deleted.add(partition)
    return Code.NONE


HANDLERS: dict[int, Handler] = {
    messages.OFFSET_COMMIT.key: offset_commit,
    messages.OFFSET_FETCH.key: offset_fetch,
    messages.OFFSET_DELETE.key: offset_delete,
}
