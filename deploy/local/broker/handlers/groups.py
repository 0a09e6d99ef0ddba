"""Consumer groups: joining and syncing, and what administrators ask."""

import asyncio

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.groups.group import Group
from deploy.local.broker.groups.members import Join, Joined, Sync, Synced
from deploy.local.broker.groups.rules import State
from deploy.local.broker.handlers.committed import HANDLERS as OFFSET_HANDLERS
from deploy.local.broker.node import NODE_ID, Node
from deploy.local.broker.protocol.messages import groups as messages
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request

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
    **OFFSET_HANDLERS,
    messages.FIND_COORDINATOR.key: find_coordinator,
    messages.JOIN_GROUP.key: join_group,
    messages.SYNC_GROUP.key: sync_group,
    messages.HEARTBEAT.key: heartbeat,
    messages.LEAVE_GROUP.key: leave_group,
    messages.DESCRIBE_GROUPS.key: describe_groups,
    messages.LIST_GROUPS.key: list_groups,
    messages.DELETE_GROUPS.key: delete_groups,
}
