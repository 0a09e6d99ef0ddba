"""Packed feature events: Protobuf (packed.proto) with the floats last.

Layout of every payload, little-endian, `f` features:

    0x0A len event_id | 0x11 sfixed64 event_time_ms | 0x19 fixed64 schema_id | 0x22 varint(4 f) float32[f]

Everything after the event id has one length for one schema, so the tails of a batch are one NumPy buffer.
proto3 leaves a zero `event_time_ms` out; `decode` accepts that and any other valid encoding of the message.
"""

import struct
from collections.abc import Sequence

import numpy as np

from schemas.errors import EventError, Reason
from schemas.features import Dtype, FeatureSchema

CONTENT_TYPE = "application/vnd.thalweg.packed"
MAX_EVENT_ID_BYTES = 127
"""So that the length of an event id is one byte."""

_FIXED = struct.Struct("<BqBQB")
_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5


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

    def encode(
        self, event_id: str, event_time_ms: int | None, row: Sequence[float | bool | str | None]
    ) -> bytes:
        """One event; a missing value is None. Raises ValueError when `row` does not fit the schema."""
        values: list[float] = []
        for index, value in enumerate(row):
            if value is None:
                values.append(float("nan"))
            elif index in self._codes:
                values.append(self._codes[index].get(str(value), -1.0))
            else:
                values.append(float(value))
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
        fixed = _FIXED.pack(0x11, event_time_ms or 0, 0x19, self._schema.id, 0x22)
        return b"".join(
            (
                b"\x0a",
                bytes((len(name),)),
                name,
                fixed,
                self._length,
                features.astype("<f4").tobytes(),
            )
        )


def decode(
    payload: bytes,
) -> tuple[str, int | None, int, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Event id, event time, schema id and features of any valid encoding; raises EventError."""
    event_id, event_time_ms, schema_id, features = "", None, 0, b""
    at, end = 0, len(payload)
    try:
        while at < end:
            tag, at = _read_varint(payload, at)
            number, kind = tag >> 3, tag & 7
            if number == 0:
                raise ValueError("field number 0")
            if kind == _LEN:
                size, at = _read_varint(payload, at)
                if at + size > end:
                    raise ValueError("a field runs past the end")
                if number == 1:
                    event_id = payload[at : at + size].decode()
                elif number == 4:
                    features += payload[at : at + size]
                at += size
            elif kind == _I64:
                (raw,) = struct.unpack_from("<Q", payload, at)
                if number == 2:
                    event_time_ms = raw - 2**64 if raw >> 63 else raw
                elif number == 3:
                    schema_id = raw
                at += 8
            elif kind == _I32:
                if number == 4:
                    features += payload[at : at + 4]
                if at + 4 > end:
                    raise ValueError("a field runs past the end")
                at += 4
            elif kind == _VARINT:
                _, at = _read_varint(payload, at)
            else:
                raise ValueError(f"wire type {kind}")
        return event_id, event_time_ms or None, schema_id, np.frombuffer(features, dtype="<f4")
    except (ValueError, IndexError, struct.error) as error:
        raise EventError(Reason.MALFORMED, f"not a packed event: {error}") from error


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than 10 bytes")
