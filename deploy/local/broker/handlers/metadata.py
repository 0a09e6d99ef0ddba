"""What a client asks first: the versions spoken, the node, the topics."""

from typing import Any

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.handlers.fetch import LEADER_EPOCH
from deploy.local.broker.node import NODE_ID, Node
from deploy.local.broker.protocol.messages import APIS
from deploy.local.broker.protocol.messages.admin import DESCRIBE_CLUSTER
from deploy.local.broker.protocol.messages.data import API_VERSIONS, METADATA
from deploy.local.broker.protocol.wire import Api, Message
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.topics import Topic, check_name

_NO_ID = bytes(16)


def api_versions(_node: Node, _request: Request) -> Message:
    """Every request type with the versions this broker speaks."""
    return {"api_keys": [_range(api) for api in sorted(APIS.values(), key=lambda api: api.key)]}


def unsupported_version() -> Message:
    """The answer, as version 0, to an ApiVersions request of an unknown version: ask lower."""
    return {"error_code": Code.UNSUPPORTED_VERSION, "api_keys": [_range(API_VERSIONS)]}


def _range(api: Api) -> dict[str, int]:
    return {"api_key": api.key, "min_version": api.oldest, "max_version": api.newest}


def metadata(node: Node, request: Request) -> Message:
    """The node, and the topics that were asked for: all of them where none is named."""
    asked = request.body["topics"]
    everything = asked is None or (request.version == 0 and not asked)
    create = node.options.auto_create_topics and request.body["allow_auto_topic_creation"]
    topics = (
        [_described(topic) for topic in node.topics]
        if everything
        else [_asked(node, topic, create, by_id=request.version >= 12) for topic in asked]
    )
    return {
        "brokers": [_this_node(request, "node_id")],
        "cluster_id": node.store.cluster_id,
        "controller_id": NODE_ID,
        "topics": topics,
    }


def _asked(node: Node, asked: dict[str, Any], create: bool, *, by_id: bool) -> dict[str, Any]:
    name, topic_id = asked["name"], asked["topic_id"]
    if name is None and not by_id:
        # Versions 10 and 11 have the ids, but no answer without a name.
        return {"error_code": Code.INVALID_REQUEST, "name": ""}
    try:
        if name is None:
            return _described(node.topics.with_id(topic_id))
        topic = node.topics.get(name)
        if topic is None:
            check_name(name)
        if topic is None and create:
            topic = node.topics.create(name, node.options.default_partitions, {})
        return _described(topic or node.topics.named(name))
    except RefusedError as refused:
        return {"error_code": refused.code, "name": name, "topic_id": topic_id or _NO_ID}


def _described(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": topic.id,
        "partitions": [
            {
                "partition_index": index,
                "leader_id": NODE_ID,
                "leader_epoch": LEADER_EPOCH,
                "replica_nodes": [NODE_ID],
                "isr_nodes": [NODE_ID],
            }
            for index in range(len(topic.partitions))
        ],
    }


def describe_cluster(node: Node, request: Request) -> Message:
    """The cluster of one."""
    return {
        "cluster_id": node.store.cluster_id,
        "controller_id": NODE_ID,
        "brokers": [_this_node(request, "broker_id")],
    }


def _this_node(request: Request, id_field: str) -> dict[str, Any]:
    """The address is the one this client came by: it works for that client, whatever we bound."""
    host, port = request.reached_at
    return {id_field: NODE_ID, "host": host, "port": port}


HANDLERS: dict[int, Handler] = {
    API_VERSIONS.key: api_versions,
    METADATA.key: metadata,
    DESCRIBE_CLUSTER.key: describe_cluster,
}
