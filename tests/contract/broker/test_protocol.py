"""The protocol itself: versions, order, and how little a bad request can do."""

import struct

import pytest
from aiokafka.protocol.admin import ApiVersionRequest_v0

from tests.contract.broker.clients import Cluster
from tests.contract.broker.wire import Closed, Wire, fetch_request, header

pytestmark = pytest.mark.every_broker

API_VERSIONS = 18
METADATA = 3
UNSUPPORTED_VERSION = 35

NEEDED = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    13: "LeaveGroup",
    14: "SyncGroup",
    15: "DescribeGroups",
    16: "ListGroups",
    18: "ApiVersions",
    19: "CreateTopics",
    20: "DeleteTopics",
    21: "DeleteRecords",
    22: "InitProducerId",
    23: "OffsetForLeaderEpoch",
    24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn",
    26: "EndTxn",
    28: "TxnOffsetCommit",
    32: "DescribeConfigs",
    33: "AlterConfigs",
    37: "CreatePartitions",
    42: "DeleteGroups",
    44: "IncrementalAlterConfigs",
    60: "DescribeCluster",
}


def test_every_api_that_our_clients_use_is_offered(cluster: Cluster) -> None:
    with Wire(cluster.servers) as wire:
        answer = wire.call(ApiVersionRequest_v0())

    assert answer["error_code"] == 0
    ranges = {each["api_key"]: each for each in answer["api_versions"]}
    assert {key: name for key, name in NEEDED.items() if key not in ranges} == {}
    assert all(0 <= each["min_version"] <= each["max_version"] for each in ranges.values())


def test_api_versions_3_is_answered_in_the_flexible_form_with_the_old_header(
    cluster: Cluster,
) -> None:
    """The header stays v0: a client that does not know the broker can read it (KIP-511)."""
    with Wire(cluster.servers) as wire:
        wire.send(header(API_VERSIONS, 3, 7) + b"\0" + b"\3me" + b"\0021" + b"\0")
        frame = wire.receive()

    correlation, code = struct.unpack_from(">ih", frame)
    assert (correlation, code) == (7, 0)
    n_apis = frame[6] - 1  # a compact array's length is one more, and below 128 it is one byte
    assert n_apis >= len(NEEDED)
    keys = {struct.unpack_from(">h", frame, 7 + 7 * index)[0] for index in range(n_apis)}
    assert set(NEEDED) <= keys


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(cluster: Cluster) -> None:
    """With the error and the range that the broker does know, so that the client asks again."""
    with Wire(cluster.servers) as wire:
        wire.send(header(API_VERSIONS, 99, 8) + b"\0")
        correlation, code, n_apis = struct.unpack_from(">ihi", frame := wire.receive())
        assert (correlation, code) == (8, UNSUPPORTED_VERSION)
        ranges = [struct.unpack_from(">hhh", frame, 10 + 6 * each) for each in range(n_apis)]
        assert [key for key, _, _ in ranges] == [API_VERSIONS]
        assert wire.call(ApiVersionRequest_v0())["error_code"] == 0


def test_requests_of_one_connection_are_answered_in_order(cluster: Cluster) -> None:
    """A fetch that waits holds back what was sent after it."""
    topic = cluster.topic()
    waiting = fetch_request(topic, wait_ms=500)
    with Wire(cluster.servers) as wire:
        wire.send(waiting.build_request_header(1, "wire").encode() + waiting.encode())
        for correlation in range(2, 20):
            wire.send(header(API_VERSIONS, 0, correlation))
        order = [struct.unpack_from(">i", wire.receive())[0] for _ in range(1, 20)]

    assert order == list(range(1, 20))


def test_a_request_in_pieces_is_a_request(cluster: Cluster) -> None:
    payload = header(API_VERSIONS, 0, 5)
    with Wire(cluster.servers) as wire:
        for byte in struct.pack(">i", len(payload)) + payload:
            wire.send_bytes(bytes([byte]))
        assert struct.unpack_from(">ih", wire.receive()) == (5, 0)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(header(METADATA, 1, 1) + struct.pack(">i", 2**30), id="a-huge-array"),
        pytest.param(header(METADATA, 1, 1) + b"\0\0\0\1\0\xff", id="a-string-past-the-end"),
        pytest.param(header(METADATA, 1, 1)[:9], id="half-a-header"),
        pytest.param(header(999, 0, 1), id="an-unknown-api"),
        pytest.param(header(METADATA, 99, 1), id="an-unknown-version"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff" * 64, id="noise"),
    ],
)
def test_a_malformed_request_closes_its_connection_and_no_other(
    cluster: Cluster, payload: bytes
) -> None:
    with Wire(cluster.servers) as other, Wire(cluster.servers) as wire:
        assert other.call(ApiVersionRequest_v0())["error_code"] == 0

        wire.send(payload)
        with pytest.raises(Closed):
            wire.receive()

        assert other.call(ApiVersionRequest_v0())["error_code"] == 0


@pytest.mark.parametrize("size", [2**31 - 1, 200 * 2**20, -1])
def test_a_size_that_no_request_has_closes_the_connection(cluster: Cluster, size: int) -> None:
    """Kafka takes 100 MiB (socket.request.max.bytes)."""
    with Wire(cluster.servers) as wire:
        wire.send_bytes(struct.pack(">i", size))
        with pytest.raises(Closed):
            wire.receive()
