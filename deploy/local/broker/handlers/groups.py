"""Consumer groups: joining and syncing, committed offsets, and what administrators ask."""

import asyncio

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.group import Group
from deploy.local.broker.group_rules import State
from deploy.local.broker.members import Join, Joined, Sync, Synced
from deploy.local.broker.messages import groups as messages
from deploy.local.broker.node import NODE_ID, Node
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.store import Committed, TopicPartition
from deploy.local.broker.subscriptions import subscribed_topics
from deploy.local.broker.wire import Message

# Kafka's offset.metadata.max.bytes, which it counts in UTF-16 units.
MAX_OFFSET_METADATA = 4096
_GROUP, _TRANSACTION = 0, 1
_ASKS_MEMBER_ID_SINCE = 4
_NULL_PROTOCOL_SINCE = 7
_LEAVES_MANY_SINCE = 3
# What a client may do with a group where nothing is forbidden: read, delete, describe, and
# describe and alter its configuration, as bits (Kafka's AclOperation codes).
_ALL_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11


def find_coordinator(_node: Node, request: Request) -> Message:
    """This node, whatever the key."""
    if request.body["key_type"] not in (_GROUP, _TRANSACTION):
        return {"error_code": Code.INVALID_REQUEST, "node_id": -1, "host": "", "port": -1}
    host, port = request.reached_at
    return {"node_id": NODE_ID, "host": host, "port": port}


# --- membership ---------------------------------------------------------------------------------


async def join_group(node: Node, request: Request) -> Message:
    """Waits until all members have joined."""
    body = request.body
    wait: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
    node.groups.join(
        body["group_id"],
        Join(
            body["member_id"],
            body["group_instance_id"],
            request.client_id or "",
            f"/{request.host}",
            body["session_timeout_ms"],
            body["rebalance_timeout_ms"],
            body["protocol_type"],
            tuple((protocol["name"], protocol["metadata"]) for protocol in body["protocols"]),
            must_ask=request.version >= _ASKS_MEMBER_ID_SINCE,
        ),
        wait,
    )
    joined = await wait
    no_protocol = None if request.version >= _NULL_PROTOCOL_SINCE else ""
    return {
        "error_code": joined.code,
        "generation_id": joined.generation,
        "protocol_type": joined.protocol_type,
        "protocol_name": no_protocol if joined.protocol_name is None else joined.protocol_name,
        "leader": joined.leader,
        "member_id": joined.member_id,
        "members": [
            {
                "member_id": peer.member_id,
                "group_instance_id": peer.instance_id,
                "metadata": peer.metadata,
            }
            for peer in joined.peers
        ],
    }


async def sync_group(node: Node, request: Request) -> Message:
    """Waits until the leader has assigned."""
    body = request.body
    wait: asyncio.Future[Synced] = asyncio.get_running_loop().create_future()
    node.groups.sync(
        body["group_id"],
        Sync(
            body["generation_id"],
            body["member_id"],
            body["group_instance_id"],
            body["protocol_type"],
            body["protocol_name"],
            {given["member_id"]: given["assignment"] for given in body["assignments"]},
        ),
        wait,
    )
    synced = await wait
    return {
        "error_code": synced.code,
        "protocol_type": synced.protocol_type,
        "protocol_name": synced.protocol_name,
        "assignment": synced.assignment,
    }


def heartbeat(node: Node, request: Request) -> Message:
    body = request.body
    code = node.groups.heartbeat(
        body["group_id"], body["generation_id"], body["member_id"], body["group_instance_id"]
    )
    return {"error_code": code}


def leave_group(node: Node, request: Request) -> Message:
    """One member up to version 2, then several, static ones also by instance id alone."""
    group_id = request.body["group_id"]
    if not group_id:
        return {"error_code": Code.INVALID_GROUP_ID}
    if request.version < _LEAVES_MANY_SINCE:
        return {"error_code": node.groups.leave(group_id, request.body["member_id"], None)}
    return {
        "members": [
            {
                "member_id": member["member_id"],
                "group_instance_id": member["group_instance_id"],
                "error_code": node.groups.leave(
                    group_id, member["member_id"], member["group_instance_id"]
                ),
            }
            for member in request.body["members"]
        ]
    }


# --- offsets ------------------------------------------------------------------------------------


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


def metadata_too_large(metadata: str) -> bool:
    """Whether a committed offset's metadata is beyond Kafka's limit."""
    return len(metadata.encode("utf-16-le")) > 2 * MAX_OFFSET_METADATA


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


# --- administration -----------------------------------------------------------------------------


def describe_groups(node: Node, request: Request) -> Message:
    """A group that is not there is "Dead", not an error."""
    operations = _ALL_OPERATIONS if request.body["include_authorized_operations"] else -(2**31)
    described = []
    for group_id in request.body["groups"]:
        group = node.groups.get(group_id)
        known = _described(group) if group is not None else {"group_state": State.DEAD}
        described.append({"group_id": group_id, "authorized_operations": operations, **known})
    return {"groups": described}


def _described(group: Group) -> Message:
    protocol = group.protocol_name if group.state is State.STABLE else None
    return {
        "group_state": group.state,
        "protocol_type": group.protocol_type or "",
        "protocol_data": protocol or "",
        "members": [
            {
                "member_id": member.id,
                "group_instance_id": member.instance_id,
                "client_id": member.client_id,
                "client_host": member.client_host,
                "member_metadata": member.metadata(protocol),
                "member_assignment": member.assignment,
            }
            for member in group.roster.all()
        ],
    }


def list_groups(node: Node, request: Request) -> Message:
    """All groups of the states and types asked for; all groups here are "classic"."""
    states = {state.lower() for state in request.body["states_filter"]}
    types = {kind.lower() for kind in request.body["types_filter"]}
    if types and "classic" not in types:
        return {"groups": []}
    return {
        "groups": [
            {
                "group_id": group.id,
                "protocol_type": group.protocol_type or "",
                "group_state": group.state,
                "group_type": "classic",
            }
            for group in node.groups
            if not states or group.state.lower() in states
        ]
    }


def delete_groups(node: Node, request: Request) -> Message:
    results = []
    for group_id in dict.fromkeys(request.body["groups_names"]):
        code = Code.NONE
        try:
            node.groups.delete(group_id)
        except RefusedError as refused:
            code = refused.code
        results.append({"group_id": group_id, "error_code": code})
    return {"results": results}


HANDLERS: dict[int, Handler] = {
    messages.OFFSET_COMMIT.key: offset_commit,
    messages.OFFSET_FETCH.key: offset_fetch,
    messages.FIND_COORDINATOR.key: find_coordinator,
    messages.JOIN_GROUP.key: join_group,
    messages.SYNC_GROUP.key: sync_group,
    messages.HEARTBEAT.key: heartbeat,
    messages.LEAVE_GROUP.key: leave_group,
    messages.DESCRIBE_GROUPS.key: describe_groups,
    messages.LIST_GROUPS.key: list_groups,
    messages.DELETE_GROUPS.key: delete_groups,
    messages.OFFSET_DELETE.key: offset_delete,
}
