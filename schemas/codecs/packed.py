"""Packed feature events: Protobuf (packed.proto) with the floats last.

Layout of every payload that `Encoder` writes, little-endian, `f` features:

    0x0A len event_id | 0x11 sfixed64 event_time_ms | 0x19 fixed64 schema_id
    | 0x22 varint(4 f) float32[f]

Everything after the event id has one length for one schema, so the tails of a batch are one
NumPy buffer. Other writers leave a zero `event_time_ms` out (proto3) or send features one by one;
`decode` accepts every valid encoding of the message, except the groups that proto3 dropped.
"""

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from schemas.errors import EventError, Reason
from schemas.features import MAX_EXACT_INTEGER, Dtype, Feature, FeatureSchema

CONTENT_TYPE = "application/vnd.thalweg.packed"
MAX_EVENT_ID_BYTES = 127
"""So that the length of an event id is one byte."""

_FIXED = struct.Struct("<BqBQB")
_EVENT_ID, _EVENT_TIME, _SCHEMA_ID, _FEATURES, _ONE_FEATURE = 0x0A, 0x11, 0x19, 0x22, 0x25
"""Tags: field number << 3 | wire type. `_ONE_FEATURE` is a feature outside a packed run."""
_VARINT, _LEN = 0, 2
_NAN = float("nan")
_FIXED_SIZES = {1: 8, 5: 4}
"""Bytes of the wire types I64 and I32."""


def varint(value: int) -> bytes:
    """Protobuf's base-128 encoding of a non-negative integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tail_dtype(n_features: int) -> np.dtype[np.void]:
    """The structured dtype of everything after the event id."""
    return np.dtype(
        [
            ("time_tag", "u1"),
            ("event_time_ms", "<i8"),
            ("schema_tag", "u1"),
            ("schema_id", "<u8"),
            ("features_tag", "u1"),
            ("features_length", "u1", (len(varint(4 * n_features)),)),
            ("features", "<f4", (n_features,)),
        ]
    )


class Encoder:
    """Encodes rows of values, in schema order, as packed feature events."""

    content_type = CONTENT_TYPE

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._length = varint(4 * len(schema))
        self._codes = {
            index: {name: float(code) for code, name in enumerate(feature.categories)}
            for index, feature in enumerate(schema.features)
            if feature.dtype is Dtype.CATEGORY
        }
        self._integers = [
            index for index, feature in enumerate(schema.features) if feature.dtype is Dtype.INTEGER
        ]

    def encode(
        self, event_id: str, event_time_ms: int | None, row: Sequence[float | bool | str | None]
    ) -> bytes:
        """One event; a missing value is None. Raises ValueError when `row` does not fit the schema.

        A category that the schema does not list travels as -1.
        """
        features, values = self._schema.features, list(row)
        if len(values) != len(features):
            raise ValueError(f"{len(values)} values, the schema has {len(features)} features")
        for index, codes in self._codes.items():
            values[index] = _category(features[index], codes, values[index])
        suspects = range(len(values)) if str in map(type, values) else self._integers
        for index in suspects:
            values[index] = _number(features[index], values[index])
        # NumPy makes NaN of None.
        return self.encode_floats(event_id, event_time_ms, np.array(values, dtype="<f4"))

    def encode_floats(
        self,
        event_id: str,
        event_time_ms: int | None,
        features: np.ndarray[tuple[int], np.dtype[np.float32]],
    ) -> bytes:
        """One event whose features are already float32[n_features]."""
        if features.shape != (len(self._schema),):
            raise ValueError(f"{features.shape} features, the schema has {len(self._schema)}")
        name = event_id.encode()
        if len(name) > MAX_EVENT_ID_BYTES:
            raise ValueError(
                f"an event id has at most {MAX_EVENT_ID_BYTES} bytes, this one {len(name)}"
            )
        try:
            fixed = _FIXED.pack(
                _EVENT_TIME, event_time_ms or 0, _SCHEMA_ID, self._schema.id, _FEATURES
            )
        except struct.error as error:
            raise ValueError(f"event time {event_time_ms!r} is not a 64-bit integer") from error
        head = bytes((_EVENT_ID, len(name)))
        return b"".join((head, name, fixed, self._length, features.astype("<f4").tobytes()))


def decode(
    payload: bytes,
) -> tuple[str, int | None, int, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Event id, event time, schema id and features of any valid encoding; raises EventError."""
    event_id, event_time_ms, schema_id, features = "", 0, 0, bytearray()
    try:
        for tag, value in _fields(payload):
            if tag == _EVENT_ID:
                event_id = value.decode()
            elif tag == _EVENT_TIME:
                event_time_ms = int.from_bytes(value, "little", signed=True)
            elif tag == _SCHEMA_ID:
                schema_id = int.from_bytes(value, "little")
            elif tag in (_FEATURES, _ONE_FEATURE):
                if len(value) % 4:
                    raise ValueError(f"{len(value)} bytes are no run of float32")
                features += value
    except ValueError as error:
        raise EventError(Reason.MALFORMED, f"not a packed event: {error}") from error
    return event_id, event_time_ms or None, schema_id, np.frombuffer(features, dtype="<f4")


def _fields(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each field, in the order they come; raises ValueError where it is torn."""
    at = 0
    while at < len(payload):
        tag, at = _read_varint(payload, at)
        kind = tag & 7
        if not 8 <= tag < 2**32:
            raise ValueError(f"tag {tag}")
        start = at
        if kind == _VARINT:
            _, at = _read_varint(payload, at)
        elif kind == _LEN:
            size, start = _read_varint(payload, at)
            at = start + size
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(payload):
            raise ValueError("a field runs past the end")
        yield tag, payload[start:at]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The integer at `at` and where it ends; ValueError when it is torn or exceeds 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a varint runs past the end")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
    else:
        raise ValueError("a varint of more than 10 bytes")
    if value >= 2**64:
        raise ValueError("a varint of more than 64 bits")
    return value, at


def _category(feature: Feature, codes: dict[str, float], value: float | str | None) -> float:
    """What travels for a category's value."""
    if value is None:
        return _NAN
    if not isinstance(value, str):
        raise ValueError(f"feature {feature.name!r} takes a category name, not {value!r}")
    return codes.get(value, -1.0)


def _number(feature: Feature, value: float | str | None) -> float:
    """A number or None; ValueError for text, and for an integer that float32 would change.

    2^24 + 1 would become 2^24 and pass the scorer's range check as a wrong value.
    """
    if value is None:
        return _NAN
    if isinstance(value, str):
        raise ValueError(f"feature {feature.name!r} takes a number, not {value!r}")
    if feature.dtype is Dtype.INTEGER and abs(value) > MAX_EXACT_INTEGER:
        raise ValueError(
            f"feature {feature.name!r}: {value!r} is beyond 2^24, which float32 cannot hold"
        )
    return value
