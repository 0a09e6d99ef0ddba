"""What the encoders refuse, and which encodings of the packed message are read."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.codecs import json, packed
from schemas.errors import EventError, Reason
from schemas.features import Dtype, Feature, FeatureSchema

SCHEMA = FeatureSchema(
    (
        Feature(name="amount"),
        Feature(name="count", dtype=Dtype.INTEGER),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("chip", "online")),
    )
)


@pytest.mark.parametrize(
    "row",
    [
        (1.0, 2),
        (1.0, 2, "chip", 3.0),
        ("1.0", 2, "chip"),
        (1.0, 2**24 + 1, "chip"),
        (1.0, 2, 7),
    ],
    ids=["short", "long", "text for a number", "integer beyond float32", "number for a category"],
)
def test_packed_refuses_a_row_that_does_not_fit(row: tuple[float | str, ...]) -> None:
    with pytest.raises(ValueError):
        packed.Encoder(SCHEMA).encode("e", 1, row)


@pytest.mark.parametrize(
    ("event_id", "event_time_ms"), [("x" * 128, 1), ("é" * 64, 1), ("e", 2**63)]
)
def test_packed_refuses_ids_and_times_that_do_not_fit(event_id: str, event_time_ms: int) -> None:
    with pytest.raises(ValueError):
        packed.Encoder(SCHEMA).encode(event_id, event_time_ms, (1.0, 2, "chip"))


def test_packed_sends_an_unseen_category_as_minus_one_and_a_missing_value_as_nan() -> None:
    payload = packed.Encoder(SCHEMA).encode("e", 1, (None, 2, "post"))
    np.testing.assert_array_equal(packed.decode(payload)[3], np.float32([np.nan, 2, -1]))


def test_json_refuses_infinity_and_sends_nan_as_null() -> None:
    encoder = json.Encoder(SCHEMA)
    for infinity in (float("inf"), float("-inf")):
        with pytest.raises(ValueError, match="infinity"):
            encoder.encode("e", 1, (infinity, 2, "chip"))
    event = msgspec.json.decode(encoder.encode("e", 1, (float("nan"), 2, "chip")))
    assert event["features"]["amount"] is None


def test_json_refuses_a_row_of_the_wrong_length() -> None:
    with pytest.raises(ValueError):
        json.Encoder(SCHEMA).encode("e", 1, (1.0,))


def test_the_tail_dtype_is_everything_after_the_event_id() -> None:
    for n_features in (1, 31, 32, 4096):
        schema = FeatureSchema.of_floats([f"f{i}" for i in range(n_features)])
        features = np.arange(n_features, dtype=np.float32)
        payload = packed.Encoder(schema).encode_floats("abc", 7, features)
        tail = np.frombuffer(payload[5:], dtype=packed.tail_dtype(n_features))
        assert tail["event_time_ms"] == 7
        assert tail["schema_id"] == schema.id
        np.testing.assert_array_equal(tail["features"][0], features)


def _event(**changes: bytes) -> bytes:
    parts = {
        "event_id": b"\x0a\x01e",
        "time": b"\x11" + struct.pack("<q", -5),
        "schema": b"\x19" + struct.pack("<Q", 2**64 - 1),
        "features": b"\x22\x08" + struct.pack("<2f", 1, 2),
    }
    return b"".join((parts | changes).values())


EXPECTED = ("e", -5, 2**64 - 1, [1.0, 2.0])


def _decoded(payload: bytes) -> tuple[str, int | None, int, list[float]]:
    event_id, event_time_ms, schema_id, features = packed.decode(payload)
    return event_id, event_time_ms, schema_id, features.tolist()


@pytest.mark.parametrize(
    "payload",
    [
        _event(),
        _event(features=b"\x25" + struct.pack("<f", 1) + b"\x25" + struct.pack("<f", 2)),
        _event(features=b"\x22\x04" + struct.pack("<f", 1) + b"\x22\x04" + struct.pack("<f", 2)),
        _event(features=b"\x22\x88\x00" + struct.pack("<2f", 1, 2)),
        _event(more=b"\x28\x96\x01" + b"\x32\x02hi" + b"\x39" + b"\0" * 8 + b"\x45" + b"\0" * 4),
        b"\x0a\x03old" + _event(),
        _event(event_id=b"", more=b"\x0a\x01e"),
    ],
    ids=[
        "ours",
        "features one by one",
        "features in two runs",
        "long varint",
        "unknown fields",
        "the last of two ids wins",
        "another order",
    ],
)
def test_every_valid_encoding_is_read(payload: bytes) -> None:
    assert _decoded(payload) == EXPECTED


def test_defaults_that_proto3_leaves_out_are_read() -> None:
    assert _decoded(b"") == ("", None, 0, [])
    assert _decoded(_event(time=b""))[1] is None


@pytest.mark.parametrize(
    "payload",
    [
        _event()[:-1],
        _event(features=b"\x22\x07" + b"\0" * 7),
        _event(features=b"\x22\x02\0\0\x22\x02\0\0"),
        _event(features=b"\x25\0\0\0"),
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\x01\xff",
        b"\x11\0\0",
        b"\x00\x00",
        b"\x0b\x0c",
        b"\x28" + b"\xff" * 10 + b"\x01",
        b"\x28" + b"\xff" * 9 + b"\x02",
        b"\xff\xff\xff\xff\xff\x01\x00",
        b'{"event_id": "e"}',
    ],
    ids=[
        "cut",
        "a run of 7 bytes",
        "a float in two runs",
        "cut float",
        "no length",
        "cut text",
        "no UTF-8",
        "cut time",
        "field 0",
        "a group",
        "11-byte varint",
        "65-bit varint",
        "a tag beyond 32 bits",
        "JSON",
    ],
)
def test_what_is_no_packed_event_is_malformed(payload: bytes) -> None:
    with pytest.raises(EventError) as caught:
        packed.decode(payload)
    assert caught.value.reason is Reason.MALFORMED


def test_a_payload_of_many_small_fields_is_read_in_linear_time() -> None:
    # 200,000 features one by one once took as many copies of all before them.
    n = 200_000
    payload = (b"\x25" + struct.pack("<f", 1)) * n
    assert len(packed.decode(payload)[3]) == n


def test_protobuf_itself_reads_and_writes_the_same() -> None:
    packed_event = _protobuf_class()
    message = packed_event(
        event_id="tx-é", event_time_ms=-5, schema_id=SCHEMA.id, features=[1.5, 2.0, 1.0]
    )
    ours = packed.Encoder(SCHEMA).encode("tx-é", -5, (1.5, 2, "online"))
    assert message.SerializeToString() == ours
    assert packed_event.FromString(ours) == message


def _protobuf_class() -> Any:
    """packed.proto, built without protoc; protobuf comes with the `train` extra's onnx."""
    pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = pb2.FileDescriptorProto(name="packed.proto", package="thalweg", syntax="proto3")
    message = file.message_type.add(name="PackedEvent")
    kinds = pb2.FieldDescriptorProto
    for number, (name, kind, label) in enumerate(
        [
            ("event_id", kinds.TYPE_STRING, kinds.LABEL_OPTIONAL),
            ("event_time_ms", kinds.TYPE_SFIXED64, kinds.LABEL_OPTIONAL),
            ("schema_id", kinds.TYPE_FIXED64, kinds.LABEL_OPTIONAL),
            ("features", kinds.TYPE_FLOAT, kinds.LABEL_REPEATED),
        ],
        start=1,
    ):
        message.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("thalweg.PackedEvent"))
