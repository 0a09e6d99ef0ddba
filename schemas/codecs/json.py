"""JSON feature events: readable by anything, one object with the features by name."""

from collections.abc import Sequence

import msgspec

from schemas.events import FeatureEvent
from schemas.features import FeatureSchema

CONTENT_TYPE = "application/json"

_INFINITY = float("inf")


class Encoder:
    """Encodes rows of values, in schema order, as JSON feature events."""

    content_type = CONTENT_TYPE

    def __init__(self, schema: FeatureSchema) -> None:
        self._names = schema.names
        self._encoder = msgspec.json.Encoder()

    def encode(
        self, event_id: str, event_time_ms: int | None, row: Sequence[float | bool | str | None]
    ) -> bytes:
        """One event; a missing value is None or NaN. Raises ValueError when `row` does not fit.

        Infinity is refused: JSON has none, and null in its place would read as a missing value.
        """
        if _INFINITY in row or -_INFINITY in row:
            raise ValueError("infinity cannot be sent as JSON")
        features = dict(zip(self._names, row, strict=True))
        return self._encoder.encode(
            FeatureEvent(event_id=event_id, features=features, event_time_ms=event_time_ms)
        )
