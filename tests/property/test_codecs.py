"""What is encoded is read back as float32; what is mutated is read or refused, never worse."""

import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.codecs import json, packed
from schemas.errors import EventError
from schemas.events import FeatureEvent
from schemas.features import Dtype, Feature, FeatureSchema

CATEGORIES = ("chip", "online", "")
_VALUES = {
    Dtype.FLOAT: st.floats(allow_infinity=False, allow_nan=False, width=32),
    Dtype.INTEGER: st.integers(-(2**24), 2**24),
    Dtype.BOOLEAN: st.booleans(),
    Dtype.CATEGORY: st.sampled_from(CATEGORIES),
}

schemas = st.lists(st.sampled_from(Dtype), min_size=1, max_size=40).map(
    lambda dtypes: FeatureSchema(
        tuple(
            Feature(
                name=f"f{i}",
                dtype=dtype,
                categories=CATEGORIES if dtype is Dtype.CATEGORY else (),
                nullable=True,
            )
            for i, dtype in enumerate(dtypes)
        )
    )
)
event_ids = st.text(st.characters(codec="utf-8"), max_size=31)
event_times = st.none() | st.integers(-(2**63), 2**63 - 1)


@st.composite
def events(draw: st.DrawFn) -> tuple[FeatureSchema, str, int | None, list[float | str | None]]:
    schema = draw(schemas)
    row = [draw(st.none() | _VALUES[feature.dtype]) for feature in schema.features]
    return schema, draw(event_ids), draw(event_times), row


def _as_float32(value: float | str | None) -> np.float32:
    if isinstance(value, str):
        return np.float32(CATEGORIES.index(value))
    return np.float32(math.nan if value is None else value)


@given(events())
def test_packed_events_round_trip(
    event: tuple[FeatureSchema, str, int | None, list[float | str | None]],
) -> None:
    schema, event_id, event_time_ms, row = event
    payload = packed.Encoder(schema).encode(event_id, event_time_ms, row)
    found_id, found_time, schema_id, features = packed.decode(payload)
    assert (found_id, found_time, schema_id) == (event_id, event_time_ms or None, schema.id)
    np.testing.assert_array_equal(features, np.array([_as_float32(value) for value in row]))


@given(events())
def test_json_events_round_trip(
    event: tuple[FeatureSchema, str, int | None, list[float | str | None]],
) -> None:
    schema, event_id, event_time_ms, row = event
    payload = json.Encoder(schema).encode(event_id, event_time_ms, row)
    found = msgspec.json.decode(payload, type=FeatureEvent)
    assert found == FeatureEvent(
        event_id=event_id,
        features=dict(zip(schema.names, row, strict=True)),
        event_time_ms=event_time_ms,
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid payload with bytes changed, cut out, put in, or cut off."""
    schema, event_id, event_time_ms, row = draw(events())
    payload = bytearray(packed.Encoder(schema).encode(event_id, event_time_ms, row))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(payload)))
        end = draw(st.integers(at, min(at + 8, len(payload))))
        payload[at:end] = draw(st.binary(max_size=12))
    return bytes(payload[: draw(st.integers(0, len(payload)))])


@given(mutated() | st.binary(max_size=200))
def test_a_mutated_payload_is_read_or_refused(payload: bytes) -> None:
    try:
        event_id, event_time_ms, schema_id, features = packed.decode(payload)
    except EventError:
        return
    assert len(event_id.encode()) + features.nbytes <= len(payload)
    assert event_time_ms is None or -(2**63) <= event_time_ms < 2**63
    assert 0 <= schema_id < 2**64


@given(st.integers(0, 2**64 - 1))
def test_varints_are_minimal_and_read_back(value: int) -> None:
    encoded = packed.varint(value)
    assert packed._read_varint(encoded, 0) == (value, len(encoded))
    assert len(encoded) == max(1, -(-value.bit_length() // 7))
