"""Why a JSON payload is no feature event of a schema; slow, for payloads known to be bad."""

from functools import cache

import msgspec

from inference.decode.event_id import check_event_id
from inference.decode.feature_types import EventTime, feature_type
from schemas.errors import EventError, Reason
from schemas.features import Dtype, Feature, FeatureSchema

_EXPECTED = {
    Dtype.FLOAT: "a number",
    Dtype.INTEGER: "an integer",
    Dtype.BOOLEAN: "true or false",
    Dtype.CATEGORY: "one of its categories",
}
_NUMBER_STARTS = b"-0123456789"


class JsonExplainer:
    """Decodes field by field with the types the fast path uses, so that the two never disagree."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._features = schema.features
        self._object = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._event_id = msgspec.json.Decoder(str)
        self._event_time = msgspec.json.Decoder(EventTime)
        self._value = cache(
            lambda index: msgspec.json.Decoder(feature_type(schema.features[index]))
        )

    def explain(self, payload: bytes) -> EventError:
        """The first thing that is wrong with `payload`."""
        try:
            fields = self._object.decode(payload)
            self._check_event_id(fields.get("event_id"))
            self._check_features(fields.get("features"))
            self._check_event_time(fields.get("event_time_ms"))
        except EventError as error:
            return error
        except Exception as error:  # as in the fast path: any failure is this event's own
            return EventError(Reason.MALFORMED, f"not a JSON feature event: {error}")
        # Only the last of a repeated key is looked at here; the typed decoder takes every one.
        return EventError(
            Reason.MALFORMED,
            f"a key given twice has a wrong value the first time: {shown(payload)}",
        )

    def _check_event_id(self, raw: msgspec.Raw | None) -> None:
        if raw is None:
            raise EventError(Reason.BAD_EVENT_ID, "event_id is missing")
        try:
            event_id = self._event_id.decode(raw)
        except msgspec.ValidationError as error:
            raise EventError(
                Reason.BAD_EVENT_ID, f"event_id is {shown(raw)}, expected a string"
            ) from error
        check_event_id(event_id)

    def _check_event_time(self, raw: msgspec.Raw | None) -> None:
        try:
            if raw is not None:
                self._event_time.decode(raw)
        except msgspec.ValidationError as error:
            raise EventError(
                Reason.BAD_EVENT_TIME,
                f"event_time_ms is {shown(raw)}, expected positive integer milliseconds since 1970",
            ) from error

    def _check_features(self, raw: msgspec.Raw | None) -> None:
        if raw is None:
            raise EventError(Reason.MISSING_FEATURE, "the event has no features object")
        try:
            given = self._object.decode(raw)
        except msgspec.ValidationError as error:
            raise EventError(
                Reason.WRONG_TYPE, f"features is {shown(raw)}, expected an object of values by name"
            ) from error
        for index, feature in enumerate(self._features):
            self._check_feature(index, feature, given.get(feature.name))

    def _check_feature(self, index: int, feature: Feature, raw: msgspec.Raw | None) -> None:
        if raw is None:
            if not feature.nullable:
                raise EventError(Reason.MISSING_FEATURE, f"feature {feature.name!r} is missing")
            return
        try:
            self._value(index).decode(raw)
        except msgspec.ValidationError as error:
            raise _bad_value(feature, bytes(raw)) from error


def _bad_value(feature: Feature, raw: bytes) -> EventError:
    value, name = shown(raw), f"feature {feature.name!r}"
    if raw == b"null":
        return EventError(Reason.MISSING_FEATURE, f"{name} is null, and it is not nullable")
    if feature.dtype is Dtype.CATEGORY and raw.startswith(b'"'):
        return EventError(
            Reason.UNKNOWN_CATEGORY,
            f"{name} is {value}, not one of its {len(feature.categories)} categories",
        )
    is_number = raw[:1] in _NUMBER_STARTS
    if is_number and feature.dtype is Dtype.FLOAT:
        return EventError(Reason.OUT_OF_RANGE, f"{name} is {value}, beyond what a float32 holds")
    if is_number and feature.dtype is Dtype.INTEGER and _is_integral(raw):
        return EventError(
            Reason.OUT_OF_RANGE,
            f"{name} is {value}, outside [{feature.lowest:g}, {feature.highest:g}]",
        )
    return EventError(Reason.WRONG_TYPE, f"{name} is {value}, expected {_EXPECTED[feature.dtype]}")


def _is_integral(raw: bytes) -> bool:
    number = float(raw)
    return number.is_integer() or number in (float("inf"), float("-inf"))


def shown(raw: bytes | msgspec.Raw | None, limit: int = 80) -> str:
    """`raw` as text for a message, cut to `limit` bytes."""
    data = bytes(raw or b"")
    text = data[:limit].decode("utf-8", "replace")
    return text if len(data) <= limit else f"{text}... ({len(data)} bytes)"
