"""Topics hold messages of older versions: today's encoders write and decoders read them."""

import msgspec
import numpy as np
import pytest

from schemas.codecs import packed
from schemas.drift_events import (
    RetrainingDecision,
    RetrainingRequest,
    decode_alert,
    decode_retraining,
)
from schemas.events import DeadLetter, FeatureEvent, Label, Prediction
from schemas.features import FeatureSchema
from schemas.frames import decode_frame
from tests.golden import messages
from tests.golden.write import FOLDER, encoded


def _golden(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", sorted(set(encoded()) - {"scored_batch.arrow.bin"}))
def test_todays_encoder_writes_the_golden_bytes(name: str) -> None:
    assert encoded()[name] == _golden(name)


def test_packed_event_is_what_the_format_says_byte_by_byte() -> None:
    assert _golden("feature_event.packed.bin").hex(" ") == (
        "0a 07 74 78 2d c3 a9 2d 31"  # event_id = 1, 7 bytes
        " 11 7b e8 68 4e 41 01 00 00"  # event_time_ms = 2
        " 19 97 9b 27 e8 2a 98 5d de"  # schema_id = 3: the hash's first 8 bytes, reversed
        " 22 14 00 00 48 41 00 00 40 40 00 00 80 3f 00 00 80 3f 00 00 c0 7f"  # features = 4
    )


def test_packed_event_is_read() -> None:
    event_id, event_time_ms, schema_id, features = packed.decode(
        _golden("feature_event.packed.bin")
    )
    assert (event_id, event_time_ms) == (messages.EVENT_ID, messages.EVENT_TIME_MS)
    assert schema_id == messages.SCHEMA.id
    np.testing.assert_array_equal(features, np.array(messages.FLOATS, dtype=np.float32))


def test_json_event_is_read() -> None:
    event = msgspec.json.decode(_golden("feature_event.json"), type=FeatureEvent)
    features = dict(zip(messages.SCHEMA.names, messages.ROW, strict=True))
    assert event == FeatureEvent(
        event_id=messages.EVENT_ID, features=features, event_time_ms=messages.EVENT_TIME_MS
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prediction.json", messages.PREDICTION),
        ("label.json", messages.LABEL),
        ("dead_letter.json", messages.DEAD_LETTER),
    ],
)
def test_message_is_read(name: str, expected: Prediction | Label | DeadLetter) -> None:
    assert msgspec.json.decode(_golden(name), type=type(expected)) == expected


def test_drift_alert_is_read() -> None:
    assert decode_alert(_golden("drift_alert.json")) == messages.ALERT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("retraining_request.json", messages.REQUEST),
        ("retraining_decision.json", messages.DECISION),
    ],
)
def test_message_about_retraining_is_read(
    name: str, expected: RetrainingRequest | RetrainingDecision
) -> None:
    assert decode_retraining(_golden(name)) == expected


def test_feature_schema_keeps_its_hash() -> None:
    schema = msgspec.json.decode(_golden("feature_schema.json"), type=FeatureSchema)
    assert schema == messages.SCHEMA
    assert schema.hash == messages.SCHEMA_HASH


def test_scored_batch_is_read() -> None:
    # Arrow may lay the same frame out differently in another version: only reading is promised.
    frame, expected = decode_frame(_golden("scored_batch.arrow.bin")), messages.frame()
    assert frame.header == expected.header
    # As text: NaN is not equal to itself.
    assert str(frame.rows.to_pylist()) == str(expected.rows.to_pylist())
