"""The wire format, held against bytes written by hand from the protocol guide and KIP-482."""

from typing import Any

import pytest

from deploy.local.broker.errors import MalformedError
from deploy.local.broker.protocol import primitives
from deploy.local.broker.protocol.messages.admin import DELETE_TOPICS
from deploy.local.broker.protocol.messages.data import (
    API_VERSIONS,
    FETCH,
    METADATA,
)
from deploy.local.broker.protocol.messages.groups import HEARTBEAT
from deploy.local.broker.protocol.primitives import Kind
from deploy.local.broker.protocol.tables import api
from deploy.local.broker.protocol.wire import MAX_ITEMS, Api, Message

NO_ID = bytes(16)
PRIMITIVES = [
    ("BOOL", True, "01", "01"),
    ("BOOL", False, "00", "00"),
    ("INT8", -2, "fe", "fe"),
    ("INT16", 0x0102, "0102", "0102"),
    ("INT32", -1, "ffffffff", "ffffffff"),
    ("INT64", 1, "0000000000000001", "0000000000000001"),
    ("UUID", bytes(range(16)), bytes(range(16)).hex(), bytes(range(16)).hex()),
    ("STRING", "", "0000", "01"),
    ("STRING", "hé", "000368c3a9", "0468c3a9"),
    ("STRING", None, "ffff", "00"),
    ("BYTES", b"", "00000000", "01"),
    ("BYTES", b"\x00\xff", "0000000200ff", "0300ff"),
    ("BYTES", None, "ffffffff", "00"),
    ("RECORDS", b"\x01", "0000000101", "0201"),
    ("RECORDS", None, "ffffffff", "00"),
    # 128 bytes: length plus one takes two bytes as a varint.
    ("BYTES", b"x" * 128, "00000080" + "78" * 128, "8101" + "78" * 128),
]


@pytest.mark.parametrize(("name", "value", "plain", "compact"), PRIMITIVES)
def test_primitives_are_written_as_the_protocol_guide_says(
    name: str, value: Any, plain: str, compact: str
) -> None:
    kind: Kind = getattr(primitives, name)
    for write, read, expected in (
        (kind.write, kind.read, bytes.fromhex(plain)),
        (kind.write_compact, kind.read_compact, bytes.fromhex(compact)),
    ):
        pieces: list[bytes | memoryview] = []
        write(pieces, value)
        assert b"".join(pieces) == expected
        assert read(b"\x55" + expected, 1) == (value, 1 + len(expected))


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16383, "ff7f"),
        (16384, "808001"),
        (2**32 - 1, "ffffffff0f"),
    ],
)
def test_varints_have_seven_bits_a_byte_least_significant_first(value: int, wire: str) -> None:
    assert primitives.uvarint(value) == bytes.fromhex(wire)
    assert primitives.read_uvarint(bytes.fromhex(wire), 0) == (value, len(wire) // 2)


def test_a_varint_of_more_than_five_bytes_is_malformed() -> None:
    with pytest.raises(MalformedError):
        primitives.read_uvarint(b"\x80" * 5 + b"\x01", 0)


def test_text_that_is_no_utf8_reads_as_java_reads_it() -> None:
    assert primitives.STRING.read(b"\x00\x03a\xffb", 0) == ("a�b", 5)


def test_no_string_is_longer_than_older_versions_could_write() -> None:
    longest = b"x" * 0x7FFF
    assert primitives.STRING.read_compact(primitives.uvarint(0x8000) + longest, 0)[1] == 0x7FFF + 3
    with pytest.raises(MalformedError):
        primitives.STRING.read_compact(primitives.uvarint(0x8001) + longest + b"x", 0)


# What is asked of whom, and its bytes by hand
GOLDEN_REQUESTS: list[tuple[Api, int, Message, str]] = [
    (
        HEARTBEAT,
        0,
        {"group_id": "g", "generation_id": 7, "member_id": "m"},
        "000167 00000007 00016d",
    ),
    (
        HEARTBEAT,
        4,  # flexible; a null instance id; no tagged fields
        {"group_id": "g", "generation_id": 7, "member_id": "m"},
        "0267 00000007 026d 00 00",
    ),
    (METADATA, 1, {"topics": None}, "ffffffff"),
    (METADATA, 1, {"topics": []}, "00000000"),
    (METADATA, 4, {"topics": [{"name": "t", "topic_id": NO_ID}]}, "00000001 000174 01"),
    (
        METADATA,
        9,  # compact array of one struct; each struct ends in its count of tagged fields
        {
            "topics": [{"name": "t", "topic_id": NO_ID}],
            "include_cluster_authorized_operations": True,
        },
        "02 0274 00 01 01 00 00",
    ),
    (METADATA, 12, {"topics": None}, "00 01 00 00"),
    (API_VERSIONS, 3, {"client_software_name": "a", "client_software_version": "1"}, "0261023100"),
    (
        DELETE_TOPICS,
        6,
        {"topics": [{"name": None, "topic_id": bytes(15) + b"\x09"}], "timeout_ms": 16},
        "02 00 000000000000000000000000000000 09 00 00000010 00",
    ),
    (
        FETCH,
        12,
        {
            "cluster_id": "c",
            "max_wait_ms": 1,
            "min_bytes": 2,
            "max_bytes": 3,
            "isolation_level": 1,
            "topics": [],
            "rack_id": "",
        },
        # replica -1, wait, min, max, isolation, session 0, epoch -1, no topics, none forgotten, no
        # rack; then one tagged field: number 0, two bytes, a compact string.
        "ffffffff 00000001 00000002 00000003 01 00000000 ffffffff 01 01 01 01 00 02 0263",
    ),
]


@pytest.mark.parametrize(
    ("api", "version", "message", "wire"),
    GOLDEN_REQUESTS,
    ids=[f"{a.name}-{v}-{i}" for i, (a, v, *_) in enumerate(GOLDEN_REQUESTS)],
)
def test_requests_are_written_as_the_protocol_guide_says(
    api: Api, version: int, message: Message, wire: str
) -> None:
    body = bytes.fromhex(wire)
    assert api.encode_request(version, message) == body
    decoded = api.decode_request(version, body)
    assert {name: decoded[name] for name in message} == message


def test_a_response_is_written_as_the_protocol_guide_says() -> None:
    response = {
        "responses": [
            {
                "topic": "t",
                "partitions": [
                    {
                        "partition_index": 5,
                        "error_code": 3,
                        "high_watermark": 9,
                        "aborted_transactions": None,
                        "records": memoryview(b"\xaa\xbb"),
                    }
                ],
            }
        ]
    }
    partition = "00000005 0003 0000000000000009 ffffffffffffffff ffffffffffffffff"
    assert b"".join(FETCH.encode_response(11, response)) == bytes.fromhex(
        "00000000 0000 00000000 00000001 000174 00000001"
        + partition
        + "ffffffff ffffffff 00000002 aabb"
    )
    assert b"".join(FETCH.encode_response(12, response)) == bytes.fromhex(
        "00000000 0000 00000000 02 0274 02" + partition + "00 ffffffff 03 aabb 00 00 00"
    )


def test_record_batches_are_not_copied_into_a_response() -> None:
    records = memoryview(bytearray(1000))
    partition = {"partition_index": 0, "records": records}
    pieces = FETCH.encode_response(11, {"responses": [{"topic": "t", "partitions": [partition]}]})
    assert any(piece is records for piece in pieces)


def test_fields_of_other_versions_read_as_their_defaults() -> None:
    fetch = FETCH.decode_request(4, FETCH.encode_request(4, {"topics": []}))
    assert fetch["session_epoch"] == -1
    assert fetch["cluster_id"] is None
    assert fetch["forgotten_topics_data"] == []


def test_defaults_are_not_shared_between_messages() -> None:
    body = FETCH.encode_request(4, {"topics": []})
    FETCH.decode_request(4, body)["forgotten_topics_data"].append("mine")
    assert FETCH.decode_request(4, body)["forgotten_topics_data"] == []


def test_unknown_tagged_fields_are_passed_over() -> None:
    # count 2: tag 0 (cluster id "c"), then tag 1000 with three bytes
    plain = FETCH.encode_request(12, {"topics": []})
    tagged = plain[:-1] + bytes.fromhex("02 00 02 0263 e807 03 010203")
    assert FETCH.decode_request(12, tagged)["cluster_id"] == "c"


@pytest.mark.parametrize(
    ("why", "api", "version", "wire"),
    [
        ("nothing there", HEARTBEAT, 0, ""),
        ("ends in a string", HEARTBEAT, 0, "0005 61"),
        ("ends in a number", HEARTBEAT, 0, "000167 0000"),
        ("null where none may be", HEARTBEAT, 0, "ffff 00000007 00016d"),
        ("null where none may be, compact", HEARTBEAT, 4, "00 00000007 026d 00 00"),
        ("a null array where none may be", METADATA, 0, "ffffffff"),
        ("more items than bytes", METADATA, 1, "7fffffff 000174"),
        ("more items than bytes, compact", METADATA, 9, "ffffffff0f 0274 00"),
        ("a null item", DELETE_TOPICS, 1, "00000001 ffff 00000000"),
        ("a varint without end", METADATA, 9, "ffffffffffffffff"),
        ("a tagged field longer than all", API_VERSIONS, 3, "0261 0231 01 07 7f 00"),
        (
            "a tagged field longer than its value",
            FETCH,
            12,
            "ffffffff 00000001 00000002 00000003 01 00000000 ffffffff 01 01 0101 00 03 0263 00",
        ),
    ],
)
def test_what_is_no_message_is_malformed(why: str, api: Api, version: int, wire: str) -> None:
    with pytest.raises(MalformedError):
        api.decode_request(version, bytes.fromhex(wire))


def test_a_message_of_two_million_tiny_structs_is_refused() -> None:
    """4 MB that would be 600 MB of dicts."""
    body = b"\x00" + primitives.uvarint(2_000_001) + b"\x01\x00" * 2_000_000
    with pytest.raises(MalformedError, match="items"):
        METADATA.decode_request(9, body[1:])


def test_items_are_counted_over_all_arrays_of_a_message() -> None:
    topic = {"topic": "t", "partitions": [{"partition": i} for i in range(1000)]}
    n_topics = MAX_ITEMS // 1001
    fits = FETCH.encode_request(4, {"topics": [topic] * n_topics})
    assert len(FETCH.decode_request(4, fits)["topics"]) == n_topics
    for _ in range(2):  # refused again: each message is counted anew
        with pytest.raises(MalformedError, match="items"):
            FETCH.decode_request(4, FETCH.encode_request(4, {"topics": [topic] * (n_topics + 1)}))


def test_tagged_fields_are_counted_too() -> None:
    body = b"\x01\x01" + primitives.uvarint(MAX_ITEMS + 1) + b"\x07\x00" * (MAX_ITEMS + 1)
    with pytest.raises(MalformedError, match="items"):
        API_VERSIONS.decode_request(3, body)


def test_structs_without_fields_cost_no_more_than_their_bytes() -> None:
    """No table of ours has such: fields of another version only, and arrays within arrays."""
    hollow = api(
        99,
        "Hollow",
        versions=(0, 1),
        flexible=None,
        request="""
        outer []
            inner []
                later int32 v1+
        """,
        response="",
    )
    for body in ("00000001 7fffffff", "7fffffff", "00000100" + "00000100" * 256):
        with pytest.raises(MalformedError):
            hollow.decode_request(0, bytes.fromhex(body))
    assert hollow.decode_request(0, bytes.fromhex("00000002 00000000 00000000")) == {
        "outer": [{"inner": []}, {"inner": []}]
    }
