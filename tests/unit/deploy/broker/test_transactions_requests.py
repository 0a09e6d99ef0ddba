"""The requests of transactions as each version of them is answered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.broker.errors import Code
from deploy.local.broker.handlers.transactions import HANDLERS
from deploy.local.broker.node import Node, NodeOptions
from deploy.local.broker.protocol.messages.transactions import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
    TXN_OFFSET_COMMIT,
)
from deploy.local.broker.protocol.wire import Api, Message
from deploy.local.broker.requests import Request

TXN = {"transactional_id": "t"}


class Client:
    """Requests through the wire format and back, so that versions are as a client has them."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def call(self, api: Api, version: int, **body: Any) -> Message:
        decoded = api.decode_request(version, api.encode_request(version, body))
        request = Request(api, version, "c", "127.0.0.1", ("127.0.0.1", 9092), decoded)
        reply = HANDLERS[api.key](self.node, request)
        assert isinstance(reply, dict)
        return api.decode_response(version, b"".join(api.encode_response(version, reply)))

    def init(self, version: int = 4, **body: Any) -> Message:
        return self.call(INIT_PRODUCER_ID, version, **{"transaction_timeout_ms": 1000, **body})

    def add(self, version: int, producer: Message, *topics: tuple[str, list[int]]) -> list[Code]:
        answer = self.call(
            ADD_PARTITIONS_TO_TXN,
            version,
            v3_and_below_transactional_id="t",
            v3_and_below_producer_id=producer["producer_id"],
            v3_and_below_producer_epoch=producer["producer_epoch"],
            v3_and_below_topics=[{"name": name, "partitions": some} for name, some in topics],
        )
        return [
            Code(partition["partition_error_code"])
            for topic in answer["results_by_topic_v3_and_below"]
            for partition in topic["results_by_partition"]
        ]

    def add_group(self, version: int, producer: Message) -> Code:
        answer = self.call(ADD_OFFSETS_TO_TXN, version, **named(producer), group_id="g")
        return Code(answer["error_code"])

    def end(self, version: int, producer: Message) -> Code:
        return Code(self.call(END_TXN, version, **named(producer), committed=True)["error_code"])

    def commit(
        self,
        producer: Message,
        *partitions: tuple[str, int],
        version: int = 3,
        metadata: str | None = "m",
        **body: Any,
    ) -> list[Code]:
        given = [
            {
                "name": name,
                "partitions": [
                    {
                        "partition_index": index,
                        "committed_offset": 5,
                        "committed_metadata": metadata,
                    }
                ],
            }
            for name, index in partitions
        ]
        body = {"group_id": "g", "topics": given, **named(producer), **body}
        answer = self.call(TXN_OFFSET_COMMIT, version, **body)
        return [Code(topic["partitions"][0]["error_code"]) for topic in answer["topics"]]


def named(producer: Message) -> Message:
    return {
        "transactional_id": "t",
        "producer_id": producer["producer_id"],
        "producer_epoch": producer["producer_epoch"],
    }


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    node = Node(NodeOptions(tmp_path))
    node.topics.create("orders", 2, {})
    yield Client(node)
    node.close()


@pytest.mark.parametrize("version", range(5))
def test_without_a_transactional_id_every_producer_is_new(client: Client, version: int) -> None:
    first = client.init(version, transactional_id=None)
    second = client.init(version, transactional_id=None)
    assert first["error_code"] == second["error_code"] == Code.NONE
    assert first["producer_epoch"] == second["producer_epoch"] == 0
    assert first["producer_id"] != second["producer_id"]
    assert client.node.store.transactions() == {}


@pytest.mark.parametrize("timeout_ms", [0, 900_001])
def test_a_refused_producer_has_no_id(client: Client, timeout_ms: int) -> None:
    answer = client.init(**TXN, transaction_timeout_ms=timeout_ms)
    assert answer["error_code"] == Code.INVALID_TRANSACTION_TIMEOUT
    assert (answer["producer_id"], answer["producer_epoch"]) == (-1, -1)


@pytest.mark.parametrize("claim", [{"producer_id": 5}, {"producer_epoch": 5}])
def test_half_a_claim_is_an_invalid_request(client: Client, claim: Message) -> None:
    claim = {"producer_id": -1, "producer_epoch": -1, **claim}
    assert client.init(**TXN, **claim)["error_code"] == Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("version", "code"), [(3, Code.INVALID_PRODUCER_EPOCH), (4, Code.PRODUCER_FENCED)]
)
def test_a_fenced_claim_is_told_as_its_version_knows_it(
    client: Client, version: int, code: Code
) -> None:
    old = client.init(**TXN)
    client.init(**TXN)
    assert client.init(version, **named(old))["error_code"] == code


@pytest.mark.parametrize("version", range(4))
def test_a_fenced_producer_is_told_as_its_version_knows_it(client: Client, version: int) -> None:
    old = client.init(**TXN)
    client.init(**TXN)
    code = Code.PRODUCER_FENCED if version >= 2 else Code.INVALID_PRODUCER_EPOCH
    assert client.add(version, old, ("orders", [0, 1])) == [code, code]
    assert client.add_group(version, old) is code
    assert client.end(version, old) is code
    # Kafka's group coordinator has the older code at every version.
    refused = client.commit(old, ("orders", 0), version=version)
    assert refused == [Code.INVALID_PRODUCER_EPOCH]


@pytest.mark.parametrize("version", range(4))
def test_a_transaction_goes_through_at_every_version(client: Client, version: int) -> None:
    producer = client.init(**TXN)
    assert client.add(version, producer, ("orders", [0, 1])) == [Code.NONE, Code.NONE]
    assert client.add_group(version, producer) is Code.NONE
    assert client.commit(producer, ("orders", 1), version=version) == [Code.NONE]
    assert dict(client.node.offsets.fetch("g")) == {}
    assert client.end(version, producer) is Code.NONE
    assert client.node.offsets.fetch("g")["orders", 1].offset == 5


def test_one_unknown_partition_fails_them_all(client: Client) -> None:
    producer = client.init(**TXN)
    codes = client.add(3, producer, ("orders", [0, 2]), ("nowhere", [0]))
    unknown = Code.UNKNOWN_TOPIC_OR_PARTITION
    assert codes == [Code.OPERATION_NOT_ATTEMPTED, unknown, unknown]
    check = client.node.transactions.check_produce
    fields = producer["producer_id"], producer["producer_epoch"]
    assert check("t", *fields, "orders", 0) is Code.INVALID_TXN_STATE


def test_offsets_are_refused_partition_by_partition(client: Client) -> None:
    producer = client.init(**TXN)
    client.add_group(3, producer)
    assert client.commit(producer, ("orders", 0), metadata="m" * 4097) == [
        Code.OFFSET_METADATA_TOO_LARGE
    ]
    codes = client.commit(producer, ("orders", 0), ("orders", 2), metadata=None)
    assert codes == [Code.NONE, Code.UNKNOWN_TOPIC_OR_PARTITION]
    assert client.end(3, producer) is Code.NONE
    assert set(client.node.offsets.fetch("g")) == {("orders", 0)}
    assert client.node.offsets.fetch("g")["orders", 0].metadata == ""


def test_offsets_of_a_member_that_is_gone_are_refused(client: Client) -> None:
    producer = client.init(**TXN)
    client.add_group(3, producer)
    codes = client.commit(producer, ("orders", 0), generation_id=3, member_id="gone")
    assert codes == [Code.ILLEGAL_GENERATION]
    assert not client.node.offsets.pending("g", ("orders", 0))


def test_a_fenced_producer_is_refused_before_its_group_is_looked_at(client: Client) -> None:
    old = client.init(**TXN)
    client.init(**TXN)
    codes = client.commit(old, ("orders", 0), generation_id=3, member_id="gone")
    assert codes == [Code.INVALID_PRODUCER_EPOCH]


def test_offsets_without_a_group_are_refused(client: Client) -> None:
    producer = client.init(**TXN)
    client.call(ADD_OFFSETS_TO_TXN, 3, **named(producer), group_id="")
    codes = client.commit(producer, ("orders", 0), group_id="")
    assert codes == [Code.INVALID_GROUP_ID]
