"""What a JSON feature event becomes, and why a bad one is rejected."""

import math

import msgspec
import numpy as np
import pytest

from schemas.codecs.json import Encoder
from schemas.errors import ConfigurationError, Reason
from schemas.features import Feature, FeatureSchema
from tests.unit.inference.events import (
    APPENDED_MS,
    GOOD_ROW,
    SCHEMA,
    decode,
    json_event,
    rejection,
)


def test_every_dtype_becomes_its_float32() -> None:
    decoded = decode([json_event(time=5)])
    assert decoded.features.tolist() == [GOOD_ROW]
    assert decoded.features.dtype == np.float32
    assert decoded.features.flags.c_contiguous
    assert decoded.event_times_ms.tolist() == [5]
    assert decoded.rejections == []


def test_encoded_rows_decode_to_the_float32_of_their_values() -> None:
    schema = FeatureSchema.of_floats([f"V{index}" for index in range(30)])
    values = np.random.default_rng(0).normal(size=(50, 30)) * 1e3
    encoder = Encoder(schema)
    payloads = [encoder.encode(f"e{at}", at + 1, row.tolist()) for at, row in enumerate(values)]
    decoded = decode(list(payloads), schema=schema)
    assert (decoded.features == values.astype(np.float32)).all()
    assert decoded.event_ids == [f"e{at}" for at in range(50)]
    assert decoded.event_times_ms.tolist() == list(range(1, 51))


def test_an_event_without_a_time_takes_its_append_time() -> None:
    assert decode([json_event()]).event_times_ms.tolist() == [APPENDED_MS]
    assert decode([b'{"event_time_ms":null,' + json_event()[1:]]).rejections == []


@pytest.mark.parametrize("missing", [..., None])
def test_a_nullable_feature_that_is_missing_or_null_is_nan(missing: object) -> None:
    decoded = decode([json_event(age_days=missing), json_event()])
    assert decoded.rows.tolist() == [0, 1]
    assert math.isnan(decoded.features[0, 4])
    assert decoded.features[1].tolist() == GOOD_ROW


def test_an_unseen_category_is_minus_one_where_that_is_allowed() -> None:
    assert decode([json_event(channel="phone")]).features[0, 5] == -1
    assert decode([json_event(channel="\0\0\0\0")]).features[0, 5] == -1


def test_a_category_outside_ascii_is_found() -> None:
    assert decode([json_event(**{"class": "größe"})]).features[0, 3] == 2


def test_unknown_fields_and_features_are_ignored() -> None:
    payload = msgspec.json.decode(json_event(more=[1, {"deep": None}]))
    payload["trace"] = {"a": [1, 2]}
    assert decode([msgspec.json.encode(payload)]).features.tolist() == [GOOD_ROW]


def test_an_integral_float_is_an_integer() -> None:
    payload = json_event().replace(b'"n items":3', b'"n items":3.0')
    assert decode([payload]).features[0, 1] == 3


def test_the_last_of_a_repeated_key_counts() -> None:
    payload = json_event().replace(b'"amount":12.5', b'"amount":7,"amount":12.5')
    assert decode([payload]).features.tolist() == [GOOD_ROW]


def test_a_repeated_key_must_be_right_each_time() -> None:
    payload = json_event().replace(b'"amount":12.5', b'"amount":"x","amount":12.5')
    reason, explanation = rejection(payload)
    assert reason is Reason.MALFORMED
    assert "given twice" in explanation


def test_an_escaped_key_is_the_same_key() -> None:
    payload = json_event().replace(b'"amount"', b'"\\u0061mount"')
    assert decode([payload]).features.tolist() == [GOOD_ROW]


def test_names_that_are_no_identifiers_are_fine() -> None:
    names = ["def", "a b", "1", "größe", "__init__", "x.y", "f1", "f0", "__class__"]
    schema = FeatureSchema.of_floats(names)
    payload = Encoder(schema).encode("e", None, [float(at) for at in range(len(names))])
    assert decode([payload], schema=schema).features.tolist() == [list(range(len(names)))]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\0", "\ud800"])
def test_a_name_that_json_must_escape_is_refused_by_the_schema(name: str) -> None:
    with pytest.raises(ConfigurationError, match="rename it"):
        Feature(name=name)


def test_bounds_are_compared_as_the_float32_that_travels() -> None:
    schema = FeatureSchema((Feature(name="rate", minimum=0.1, maximum=0.7),))
    encoder = Encoder(schema)
    decoded = decode([encoder.encode("e", None, [v]) for v in (0.1, 0.7, 0.69)], schema=schema)
    assert decoded.rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"amount": ...}, Reason.MISSING_FEATURE, "'amount' is missing"),
        ({"amount": None}, Reason.MISSING_FEATURE, "'amount' is null"),
        ({"amount": "12"}, Reason.WRONG_TYPE, "'amount' is \"12\", expected a number"),
        ({"amount": True}, Reason.WRONG_TYPE, "'amount' is true"),
        ({"amount": [1]}, Reason.WRONG_TYPE, "'amount' is [1]"),
        ({"amount": -1}, Reason.OUT_OF_RANGE, "'amount' is -1, outside [0, 1000]"),
        ({"amount": 1e39}, Reason.OUT_OF_RANGE, "'amount'"),
        ({"age_days": 1e39}, Reason.OUT_OF_RANGE, "'age_days' is inf as float32"),
        ({"age_days": "x"}, Reason.WRONG_TYPE, "'age_days'"),
        ({"n items": 3.5}, Reason.WRONG_TYPE, "'n items' is 3.5, expected an integer"),
        ({"n items": 3.000000001}, Reason.WRONG_TYPE, "'n items'"),
        ({"n items": 2**24 + 1}, Reason.OUT_OF_RANGE, "'n items' is 16777217, outside"),
        ({"n items": -(2**24) - 1}, Reason.OUT_OF_RANGE, "'n items'"),
        ({"n items": 2**63}, Reason.OUT_OF_RANGE, "'n items'"),
        ({"n items": False}, Reason.WRONG_TYPE, "'n items' is false"),
        ({"online": 1}, Reason.WRONG_TYPE, "'online' is 1, expected true or false"),
        ({"class": "books"}, Reason.UNKNOWN_CATEGORY, "'class' is \"books\""),
        ({"class": 1}, Reason.WRONG_TYPE, "'class' is 1, expected one of its categories"),
        ({"channel": 3}, Reason.WRONG_TYPE, "'channel' is 3"),
    ],
)
def test_a_bad_feature_is_rejected_by_name_and_value(
    changes: dict[str, object], reason: Reason, words: str
) -> None:
    found, explanation = rejection(json_event(**changes))
    assert found is reason
    assert words in explanation


@pytest.mark.parametrize("digits", [b"1" + b"0" * 400, b"9" * 9000, b"1e400", b"-1e999"])
@pytest.mark.parametrize("field", [b'"amount":12.5', b'"n items":3', b'"age_days":2.5'])
def test_a_huge_number_is_out_of_range(digits: bytes, field: bytes) -> None:
    name = field.partition(b":")[0]
    reason, explanation = rejection(json_event().replace(field, name + b":" + digits))
    assert reason is Reason.OUT_OF_RANGE
    assert name.decode().strip('"') in explanation
    assert len(explanation) < 300


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b"\xff\xfe\x00",
        json_event()[:-1],
        json_event() + b"}",
        json_event().replace(b"12.5", b"NaN"),
        json_event().replace(b"12.5", b"Infinity"),
        json_event().replace(b'"fuel"', b'"\\ud800"'),
        json_event().replace(b'"fuel"', b'"\xff"'),
        b'{"event_id":"a","x":' + b"[" * 4000 + b"]" * 4000 + b"}",
    ],
)
def test_what_is_no_json_object_is_malformed(payload: bytes) -> None:
    assert rejection(payload)[0] is Reason.MALFORMED


def test_missing_or_odd_features_objects_are_named() -> None:
    assert rejection(b'{"event_id":"a"}')[0] is Reason.MISSING_FEATURE
    assert rejection(b'{"event_id":"a","features":[1,2]}')[0] is Reason.WRONG_TYPE


@pytest.mark.parametrize("event_id", [..., None, "", 7, "x" * 128, "ü" * 64, "ü" * 127])
def test_a_bad_event_id_is_rejected(event_id: object) -> None:
    payload = json_event("REMOVE" if event_id is ... else event_id)
    payload = payload.replace(b'"event_id":"REMOVE",', b"")
    reason, explanation = rejection(payload)
    assert reason is Reason.BAD_EVENT_ID
    assert "event_id" in explanation


def test_an_event_id_may_have_127_bytes() -> None:
    decoded = decode([json_event("x" * 127), json_event("ü" * 63)])
    assert decoded.event_ids == ["x" * 127, "ü" * 63]


@pytest.mark.parametrize(
    "time", [0, -1, 1.5, "now", 10**30, 2**62, 2**53 + 2, APPENDED_MS + 60_001]
)
def test_an_absurd_event_time_is_rejected(time: object) -> None:
    reason, explanation = rejection(json_event(time=time))
    assert reason is Reason.BAD_EVENT_TIME
    assert str(time)[:10] in explanation


@pytest.mark.parametrize("time", [1, 1_378_000_000_000, APPENDED_MS, APPENDED_MS + 60_000])
def test_history_and_a_little_future_are_fine(time: int) -> None:
    assert decode([json_event(time=time)]).event_times_ms.tolist() == [time]


def test_the_schema_of_the_tests_has_every_dtype() -> None:
    assert len({feature.dtype for feature in SCHEMA.features}) == 4
