"""A group as the store keeps it: JSON, so that a broker restart is no rebalance."""

import json
from base64 import b64decode, b64encode
from typing import Any

from deploy.local.broker.groups.group import Group
from deploy.local.broker.groups.members import Member


def write_group(group: Group) -> str:
    """The state of a Stable or Empty group; what it waits for is not part of it."""
    return json.dumps(
        {
            "generation": group.generation,
            "protocol_type": group.protocol_type,
            "protocol_name": group.protocol_name,
            "leader": group.roster.leader,
            "members": [_write_member(member) for member in group.roster.all()],
        },
        separators=(",", ":"),
    )


def read_group(text: str, group: Group) -> None:
    """Fill a new `group` with what `write_group` wrote; sessions begin anew."""
    stored = json.loads(text)
    for member in stored["members"]:
        group.roster.add(_read_member(member))
    group.roster.leader = stored["leader"]
    group.restore(stored["generation"], stored["protocol_type"], stored["protocol_name"])


def _write_member(member: Member) -> dict[str, Any]:
    return {
        "id": member.id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "session_timeout_ms": member.session_timeout_ms,
        "rebalance_timeout_ms": member.rebalance_timeout_ms,
        "protocols": [[name, _text(metadata)] for name, metadata in member.protocols],
        "assignment": _text(member.assignment),
    }


def _read_member(stored: dict[str, Any]) -> Member:
    protocols = tuple((name, b64decode(metadata)) for name, metadata in stored.pop("protocols"))
    assignment = b64decode(stored.pop("assignment"))
    size = sum(len(name) + len(metadata) for name, metadata in protocols)
    return Member(**stored, protocols=protocols, assignment=assignment, size=size)


def _text(data: bytes) -> str:
    return b64encode(data).decode()
