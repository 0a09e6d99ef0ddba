"""Messages about drift and retraining: what they refuse, and what survives the wire."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.findings import Level, Subject
from schemas.drift_events import (
    AlertKind,
    AlertLevel,
    DriftEvent,
    decode_alert,
    decode_retraining,
    encode_event,
    stable_id,
)
from tests.golden import messages

ALERT = messages.ALERT
EVENTS = [ALERT, messages.REQUEST, messages.DECISION]
REPLACE = msgspec.structs.replace


def changed(event: DriftEvent, **fields: Any) -> bytes:
    """The message with fields put in that its type may not admit."""
    return msgspec.json.encode(msgspec.json.decode(encode_event(event)) | fields)


def without(event: DriftEvent, field: str) -> bytes:
    found = msgspec.json.decode(encode_event(event))
    del found[field]
    return msgspec.json.encode(found)


def decode(event: DriftEvent, data: bytes) -> DriftEvent:
    return decode_alert(data) if event is ALERT else decode_retraining(data)


@pytest.mark.parametrize("event", EVENTS)
def test_a_message_survives_the_wire(event: DriftEvent) -> None:
    assert decode(event, encode_event(event)) == event


@pytest.mark.parametrize("event", EVENTS)
def test_fields_of_a_later_version_are_passed_over(event: DriftEvent) -> None:
    assert decode(event, changed(event, invented_later=1)) == event


@pytest.mark.parametrize(
    ("event", "field"), [(event, name) for event in EVENTS for name in event.__struct_fields__]
)
def test_a_missing_field_is_named(event: DriftEvent, field: str) -> None:
    with pytest.raises(ValueError, match=rf"^not .*{field}"):
        decode(event, without(event, field))


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "closed"},
        {"level": "warning"},
        {"kind": "row"},
        {"n_window": "2000"},
        {"n_window": 1.5},
        {"n_window": -1},
        {"n_windows": 0},
        {"p_value": 1.5},
        {"p_value": -0.1},
        {"alert_id": ""},
        {"pipeline": ""},
        {"window_end_ms": ALERT.window_start_ms - 1},
        {"window_end_ms": None},
        {"contributions": [["amount", "0.7"]]},
        {"contributions": {"amount": 0.7}},
        {"statistic": True},
    ],
    ids=str,
)
def test_a_value_that_no_alert_has_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^not a drift alert: "):
        decode_alert(changed(ALERT, **fields))


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (messages.REQUEST, {"training_to_ms": messages.REQUEST.training_from_ms}),
        (messages.REQUEST, {"n_labelled_since": -1}),
        (messages.REQUEST, {"request_id": ""}),
        (messages.REQUEST, {"type": "wish"}),
        (messages.DECISION, {"requested": True}),
        (messages.DECISION, {"request_id": "r-1"}),
        (messages.DECISION, {"reasons": "none"}),
        (messages.DECISION, {"policy": []}),
    ],
    ids=str,
)
def test_a_value_that_no_request_or_decision_has_is_refused(
    event: DriftEvent, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"^not about retraining: "):
        decode_retraining(changed(event, **fields))


def test_a_request_is_told_from_a_decision_by_its_type() -> None:
    with pytest.raises(ValueError, match="type"):
        decode_retraining(without(messages.REQUEST, "type"))
    assert type(decode_retraining(encode_event(messages.DECISION))) is type(messages.DECISION)


@given(st.binary(max_size=64) | st.just(b'{"policy":' + b"[" * 100_000))
def test_other_bytes_are_a_value_error(data: bytes) -> None:
    for decoder in (decode_alert, decode_retraining):
        with pytest.raises(ValueError, match=r"^not "):
            decoder(data)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_cannot_hold_is_none_on_both_sides(number: float) -> None:
    alert = REPLACE(ALERT, statistic=number, effect=number, contributions=(("a", number),))
    assert (alert.statistic, alert.effect, alert.contributions) == (None, None, (("a", None),))
    assert decode_alert(encode_event(alert)) == alert


def test_what_a_sender_builds_is_checked_as_what_a_reader_decodes() -> None:
    with pytest.raises(ValueError, match="window ends before"):
        REPLACE(ALERT, window_end_ms=ALERT.window_start_ms - 1)
    with pytest.raises(ValueError, match="p_value"):
        REPLACE(ALERT, p_value=2.0)


def test_the_id_of_an_alert_is_the_same_on_every_replay_and_on_every_machine() -> None:
    assert messages.alert_id() == ALERT.alert_id == "0bbebfc4f9a545e9"


@given(st.lists(st.text() | st.integers()), st.lists(st.text() | st.integers()))
def test_ids_of_different_parts_differ(one: list[str | int], other: list[str | int]) -> None:
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (stable_id(*one) == stable_id(*other)) == same
    assert stable_id(*one, "") != stable_id(*one)


def test_levels_and_kinds_are_those_that_the_detectors_know() -> None:
    assert [*AlertLevel] == [*Level]
    assert [*AlertKind] == [*Subject]
