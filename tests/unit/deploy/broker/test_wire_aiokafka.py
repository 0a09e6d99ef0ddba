"""Our tables against an independent implementation: aiokafka writes the same bytes."""

import pytest
from aiokafka.protocol.admin import CreatePartitionsRequest_v1, DescribeConfigsRequest_v1
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest_v1
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.group import JoinGroupRequest_v2
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v1
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import TxnOffsetCommitRequest_v0

from deploy.local.broker.protocol.messages.admin import CREATE_PARTITIONS, DESCRIBE_CONFIGS
from deploy.local.broker.protocol.messages.data import (
    FETCH,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
)
from deploy.local.broker.protocol.messages.groups import FIND_COORDINATOR, JOIN_GROUP
from deploy.local.broker.protocol.messages.transactions import TXN_OFFSET_COMMIT
from deploy.local.broker.protocol.wire import Api, Message

RECORDS = b"\x00" * 70
AIOKAFKA: list[tuple[Api, Request, Message]] = [
    (
        PRODUCE,
        ProduceRequest_v7("tx", -1, 500, [("t", [(3, RECORDS)])]),
        {
            "transactional_id": "tx",
            "acks": -1,
            "timeout_ms": 500,
            "topic_data": [{"name": "t", "partition_data": [{"index": 3, "records": RECORDS}]}],
        },
    ),
    (
        FETCH,
        FetchRequest_v11(
            -1, 100, 1, 1 << 20, 1, 0, -1, [("t", [(3, 0, 10, -1, 1 << 19)])], [("u", [1, 2])], "r"
        ),
        {
            "max_wait_ms": 100,
            "min_bytes": 1,
            "max_bytes": 1 << 20,
            "isolation_level": 1,
            "topics": [
                {
                    "topic": "t",
                    "partitions": [
                        {
                            "partition": 3,
                            "current_leader_epoch": 0,
                            "fetch_offset": 10,
                            "partition_max_bytes": 1 << 19,
                        }
                    ],
                }
            ],
            "forgotten_topics_data": [{"topic": "u", "partitions": [1, 2]}],
            "rack_id": "r",
        },
    ),
    (
        JOIN_GROUP,
        JoinGroupRequest_v2("g", 6000, 7000, "m", "consumer", [("range", b"\x01\x02")]),
        {
            "group_id": "g",
            "session_timeout_ms": 6000,
            "rebalance_timeout_ms": 7000,
            "member_id": "m",
            "protocol_type": "consumer",
            "protocols": [{"name": "range", "metadata": b"\x01\x02"}],
        },
    ),
    (
        METADATA,
        MetadataRequest_v5(["a", "b"], False),
        {"topics": [{"name": "a"}, {"name": "b"}], "allow_auto_topic_creation": False},
    ),
    (
        LIST_OFFSETS,
        OffsetRequest_v1(-1, [("t", [(0, -2)])]),
        {
            "replica_id": -1,
            "topics": [{"name": "t", "partitions": [{"partition_index": 0, "timestamp": -2}]}],
        },
    ),
    (FIND_COORDINATOR, FindCoordinatorRequest_v1("g", 1), {"key": "g", "key_type": 1}),
    (
        CREATE_PARTITIONS,
        CreatePartitionsRequest_v1([("t", (3, [[1], [1]]))], 900, True),
        {
            "topics": [
                {
                    "name": "t",
                    "count": 3,
                    "assignments": [{"broker_ids": [1]}, {"broker_ids": [1]}],
                }
            ],
            "timeout_ms": 900,
            "validate_only": True,
        },
    ),
    (
        DESCRIBE_CONFIGS,
        DescribeConfigsRequest_v1([(2, "t", ["retention.ms"]), (4, "1", None)], True),
        {
            "resources": [
                {
                    "resource_type": 2,
                    "resource_name": "t",
                    "configuration_keys": ["retention.ms"],
                },
                {"resource_type": 4, "resource_name": "1", "configuration_keys": None},
            ],
            "include_synonyms": True,
        },
    ),
    (
        TXN_OFFSET_COMMIT,
        TxnOffsetCommitRequest_v0("tx", "g", 1000, 2, [("t", [(0, 42, "said")])]),
        {
            "transactional_id": "tx",
            "group_id": "g",
            "producer_id": 1000,
            "producer_epoch": 2,
            "topics": [
                {
                    "name": "t",
                    "partitions": [
                        {
                            "partition_index": 0,
                            "committed_offset": 42,
                            "committed_metadata": "said",
                        }
                    ],
                }
            ],
        },
    ),
]


@pytest.mark.parametrize(
    ("api", "request_", "message"), AIOKAFKA, ids=[api.name for api, *_ in AIOKAFKA]
)
def test_aiokafka_writes_the_same_bytes(api: Api, request_: Request, message: Message) -> None:
    assert api.key == request_.API_KEY
    encoded = request_.encode()
    assert api.encode_request(request_.API_VERSION, message) == encoded
    assert (
        api.encode_request(request_.API_VERSION, api.decode_request(request_.API_VERSION, encoded))
        == encoded
    )
