"""A client of the admin handlers, for unit tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.broker.handlers.admin import HANDLERS
from deploy.local.broker.node import Node, NodeOptions
from deploy.local.broker.protocol.messages.admin import (
    ALTER_CONFIGS,
    CREATE_PARTITIONS,
    CREATE_TOPICS,
    DELETE_RECORDS,
    DELETE_TOPICS,
    DESCRIBE_CONFIGS,
    INCREMENTAL_ALTER_CONFIGS,
)
from deploy.local.broker.protocol.wire import Api, Message
from deploy.local.broker.requests import Request

NO_ID = bytes(16)
SET, DELETE, APPEND, SUBTRACT = range(4)
TOPIC, BROKER = 2, 4


class Admin:
    """Requests as bytes, answers from bytes: what a client would see of the handlers."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def ask(self, api: Api, body: Message, version: int | None = None) -> Message:
        version = api.newest if version is None else version
        decoded = api.decode_request(version, api.encode_request(version, body))
        reply = HANDLERS[api.key](
            self.node, Request(api, version, "test", "127.0.0.1", ("127.0.0.1", 9092), decoded)
        )
        assert isinstance(reply, dict)
        return api.decode_response(version, b"".join(api.encode_response(version, reply)))

    def create(self, *topics: Message, validate_only: bool = False) -> list[Message]:
        given = [{"num_partitions": 1, "replication_factor": 1} | topic for topic in topics]
        body = {"topics": given, "validate_only": validate_only}
        return list(self.ask(CREATE_TOPICS, body)["topics"])

    def delete(self, *topics: tuple[str | None, bytes]) -> list[Message]:
        asked = [{"name": name, "topic_id": topic_id} for name, topic_id in topics]
        return list(self.ask(DELETE_TOPICS, {"topics": asked})["responses"])

    def grow(self, *topics: Message, validate_only: bool = False) -> list[int]:
        given = [{"assignments": None} | topic for topic in topics]
        body = {"topics": given, "validate_only": validate_only}
        return [each["error_code"] for each in self.ask(CREATE_PARTITIONS, body)["results"]]

    def describe(self, name: str, kind: int = TOPIC, **options: Any) -> Message:
        resource = {
            "resource_type": kind,
            "resource_name": name,
            "configuration_keys": options.pop("keys", None),
        }
        answer = self.ask(DESCRIBE_CONFIGS, {"resources": [resource], **options})
        (result,) = answer["results"]
        result["by_name"] = {config["name"]: config for config in result["configs"]}
        return dict(result)

    def alter(self, name: str, *configs: tuple[str, str | None], **options: Any) -> int:
        changes = [{"name": key, "value": value} for key, value in configs]
        return self._alter(ALTER_CONFIGS, name, changes, **options)

    def change(self, name: str, *configs: tuple[str, int, str | None], **options: Any) -> int:
        changes = [
            {"name": key, "config_operation": operation, "value": value}
            for key, operation, value in configs
        ]
        return self._alter(INCREMENTAL_ALTER_CONFIGS, name, changes, **options)

    def _alter(
        self, api: Api, name: str, changes: list[Message], kind: int = TOPIC, **options: Any
    ) -> int:
        resource = {"resource_type": kind, "resource_name": name, "configs": changes}
        (response,) = self.ask(api, {"resources": [resource], **options})["responses"]
        return int(response["error_code"])

    def delete_records(self, topic: str, partition: int, offset: int) -> tuple[int, int]:
        part = {"partition_index": partition, "offset": offset}
        body = {"topics": [{"name": topic, "partitions": [part]}]}
        (answer,) = self.ask(DELETE_RECORDS, body)["topics"]
        return answer["partitions"][0]["error_code"], answer["partitions"][0]["low_watermark"]


@contextmanager
def admin_of(directory: Path) -> Iterator[Admin]:
    """Of a node whose topics have three partitions where they do not say."""
    admin = Admin(Node(NodeOptions(directory, default_partitions=3)))
    yield admin
    admin.node.close()
