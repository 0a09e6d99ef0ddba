"""What a packed feature event becomes, and why a bad one is rejected."""

import math
import struct

import numpy as np
import pytest

from schemas.codecs.packed import Encoder, varint
from schemas.errors import Reason
from schemas.features import FeatureSchema
from tests.unit.inference.events import (
    APPENDED_MS,
    GOOD_ROW,
    PACKED,
    SCHEMA,
    decode,
    packed_event,
    rejection,
)

NAN, INF = float("nan"), float("inf")


def row(**changes: float) -> list[float]:
    names = ["amount", "items", "online", "class", "age", "channel"]
    values = dict(zip(names, GOOD_ROW, strict=True)) | changes
    return [values[name] for name in names]


@pytest.mark.parametrize("n_features", [1, 30, 31, 32, 5000 // 4, 4096])
def test_encoded_rows_come_back_as_they_were(n_features: int) -> None:
    schema = FeatureSchema.of_floats([f"V{index}" for index in range(n_features)])
    encoder = Encoder(schema)
    values = np.random.default_rng(0).normal(size=(9, n_features)).astype(np.float32)
    ids = ["x" * (1 + at * 15) for at in range(8)] + ["ü"]
    payloads = [encoder.encode_floats(each, at * 7, values[at]) for at, each in enumerate(ids)]
    decoded = decode(list(payloads), [PACKED] * 9, schema)
    assert (decoded.features == values).all()
    assert decoded.features.flags.c_contiguous
    assert decoded.event_ids == ids
    assert decoded.event_times_ms.tolist() == [APPENDED_MS, *(at * 7 for at in range(1, 9))]


ID = b"\x0a\x07event-1"
TIME = b"\x11" + struct.pack("<q", 5)
HASH = b"\x19" + struct.pack("<Q", SCHEMA.id)
FLOATS = struct.pack("<6f", *GOOD_ROW)
FEATURES = b"\x22" + varint(len(FLOATS)) + FLOATS
UNKNOWN = b"\x78\x05"


@pytest.mark.parametrize(
    "payload",
    [
        ID + HASH + FEATURES,
        FEATURES + HASH + ID,
        ID + TIME + HASH + UNKNOWN + FEATURES,
        ID + TIME + HASH + b"".join(b"\x25" + FLOATS[at : at + 4] for at in range(0, 24, 4)),
        b"\x0a\x01x" + ID + TIME + HASH + FEATURES,
    ],
)
def test_any_valid_encoding_is_read_beside_the_usual_one(payload: bytes) -> None:
    decoded = decode([packed_event(), payload, packed_event()], [PACKED] * 3)
    assert decoded.rejections == []
    assert decoded.features.tolist() == [GOOD_ROW] * 3
    assert decoded.event_ids == ["event-1"] * 3
    assert decoded.event_times_ms[1] in {5, APPENDED_MS}


def test_nan_is_a_missing_value_where_nullable() -> None:
    decoded = decode([packed_event(row=row(age=NAN))], [PACKED])
    assert math.isnan(decoded.features[0, 4])


def test_minus_one_is_an_unseen_category_where_allowed() -> None:
    assert decode([packed_event(row=row(channel=-1.0))], [PACKED]).features[0, 5] == -1


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"amount": NAN}, Reason.NOT_FINITE, "'amount' is NaN"),
        ({"amount": INF}, Reason.NOT_FINITE, "'amount' is inf"),
        ({"age": -INF}, Reason.NOT_FINITE, "'age_days' is -inf"),
        ({"amount": 1000.5}, Reason.OUT_OF_RANGE, "'amount' is 1000.5, outside [0, 1000]"),
        ({"items": 2.0**25}, Reason.OUT_OF_RANGE, "'n items' is 33554432"),
        ({"items": 0.5}, Reason.WRONG_TYPE, "'n items' is 0.5, expected an integer"),
        ({"online": 0.5}, Reason.WRONG_TYPE, "'online' is 0.5"),
        ({"online": 2.0}, Reason.OUT_OF_RANGE, "'online' is 2"),
        ({"class": -1.0}, Reason.UNKNOWN_CATEGORY, "'class' is -1"),
        ({"class": 3.0}, Reason.UNKNOWN_CATEGORY, "'class' is 3"),
        ({"class": 0.5}, Reason.UNKNOWN_CATEGORY, "'class' is 0.5"),
        ({"channel": -2.0}, Reason.UNKNOWN_CATEGORY, "'channel' is -2"),
    ],
)
def test_a_bad_feature_is_rejected_by_name_and_value(
    changes: dict[str, float], reason: Reason, words: str
) -> None:
    found, explanation = rejection(packed_event(row=row(**changes)), PACKED)
    assert found is reason
    assert words in explanation


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.SCHEMA_MISMATCH),
        (b"\xff" * 50, Reason.MALFORMED),
        (packed_event()[:-1], Reason.MALFORMED),
        (packed_event() + b"\x00", Reason.MALFORMED),
        (b'{"event_id":"json"}', Reason.MALFORMED),
        (ID + TIME + FEATURES, Reason.SCHEMA_MISMATCH),
        (ID + TIME + b"\x19" + struct.pack("<Q", 7) + FEATURES, Reason.SCHEMA_MISMATCH),
        (ID + TIME + HASH, Reason.SCHEMA_MISMATCH),
        (ID + TIME + HASH + FEATURES + FEATURES, Reason.SCHEMA_MISMATCH),
        (TIME + HASH + FEATURES, Reason.BAD_EVENT_ID),
        (b"\x0a\x00" + TIME + HASH + FEATURES, Reason.BAD_EVENT_ID),
        (b"\x0a\x80\x01" + b"x" * 128 + TIME + HASH + FEATURES, Reason.BAD_EVENT_ID),
        (b"\x0a\x03a\xffb" + TIME + HASH + FEATURES, Reason.MALFORMED),
        (packed_event(time=-5), Reason.BAD_EVENT_TIME),
        (packed_event(time=APPENDED_MS + 60_001), Reason.BAD_EVENT_TIME),
        (packed_event(time=2**63 - 1), Reason.BAD_EVENT_TIME),
        (packed_event(time=-(2**63)), Reason.BAD_EVENT_TIME),
    ],
)
def test_a_bad_event_is_rejected(payload: bytes, reason: Reason) -> None:
    assert rejection(payload, PACKED)[0] is reason
