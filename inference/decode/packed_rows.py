"""Packed feature events of one schema: the fixed-length tails of a batch are one NumPy buffer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.decode.event_id import check_event_id
from inference.decode.texts import decode_all
from inference.decode.types import Longs, Matrix, Parsed, Rejected
from schemas.codecs import packed
from schemas.errors import EventError, Reason
from schemas.features import FeatureSchema

_ID_TAG, _TIME_TAG, _SCHEMA_TAG, _FEATURES_TAG = 0x0A, 0x11, 0x19, 0x22


class PackedRows:
    """Reads payloads of the usual layout all at once, and any other valid encoding one by one."""

    def __init__(self, schema: FeatureSchema) -> None:
        self._schema = schema
        self._tail = packed.tail_dtype(len(schema))
        self._features_length = np.frombuffer(packed.varint(4 * len(schema)), dtype=np.uint8)

    def parse(self, rows: Longs, payloads: Sequence[bytes]) -> Parsed:
        """Parse `payloads`, these `rows` of the batch; never raises for what a payload holds."""
        usual, tails = self._usual_layout(payloads)
        if len(usual) == len(payloads):
            try:
                event_ids = self._event_ids(payloads)
            except UnicodeDecodeError:
                pass
            else:
                features = np.ascontiguousarray(tails["features"])
                return Parsed(rows, features, event_ids, tails["event_time_ms"].copy(), [])
        return self._parse_mixed(rows, payloads, usual, tails)

    def _usual_layout(self, payloads: Sequence[bytes]) -> tuple[Longs, npt.NDArray[np.void]]:
        """Which payloads are laid out as `packed.Encoder` does for this schema, and their tails."""
        size = self._tail.itemsize
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
        at = np.flatnonzero(sizes > size + 2)  # tag and length of the event id, and one byte of it
        if not len(at):
            return at, np.empty(0, dtype=self._tail)
        data = np.frombuffer(b"".join(payloads), dtype=np.uint8)
        ends = np.cumsum(sizes)[at]
        sizes = sizes[at]
        starts = ends - sizes
        # Rows of this view are every window of `size` bytes; picking some copies just those: 3x as
        # fast as slicing each payload.
        windows: npt.NDArray[np.uint8] = np.ndarray(
            (len(data) - size + 1, size), np.uint8, buffer=data, strides=(1, 1)
        )
        tails = windows[ends - size].view(self._tail).reshape(len(at))
        usual = (
            (data[starts] == _ID_TAG)
            & (data[starts + 1] == sizes - size - 2)
            & (sizes - size - 2 <= packed.MAX_EVENT_ID_BYTES)
            & (tails["time_tag"] == _TIME_TAG)
            & (tails["schema_tag"] == _SCHEMA_TAG)
            & (tails["schema_id"] == np.uint64(self._schema.id))
            & (tails["features_tag"] == _FEATURES_TAG)
            & (tails["features_length"] == self._features_length).all(axis=1)
        )
        return (at, tails) if usual.all() else (at[usual], tails[usual])

    def _event_ids(self, payloads: Sequence[bytes]) -> list[str]:
        size = self._tail.itemsize
        return decode_all([payload[2:-size] for payload in payloads])

    def _parse_mixed(
        self,
        rows: Longs,
        payloads: Sequence[bytes],
        usual: Longs,
        tails: npt.NDArray[np.void],
    ) -> Parsed:
        n = len(payloads)
        features: Matrix = np.empty((n, len(self._schema)), dtype=np.float32)
        times: Longs = np.zeros(n, dtype=np.int64)
        features[usual], times[usual] = tails["features"], tails["event_time_ms"]
        event_ids = [""] * n
        rejections: list[Rejected] = []
        is_usual = np.zeros(n, dtype=np.bool_)
        is_usual[usual] = True
        good = np.ones(n, dtype=np.bool_)
        for at, payload in enumerate(payloads):
            try:
                if is_usual[at]:
                    event_ids[at] = self._event_id(payload)
                else:
                    event_ids[at], times[at], features[at] = self._decode(payload)
            except EventError as error:
                good[at] = False
                rejections.append(Rejected(int(rows[at]), error.reason, error.explanation))
        return Parsed(rows, features, event_ids, times, []).keep(good, rejections)

    def _event_id(self, payload: bytes) -> str:
        try:
            return payload[2 : -self._tail.itemsize].decode()
        except UnicodeDecodeError as error:
            raise EventError(Reason.MALFORMED, f"event_id is not UTF-8: {error}") from error

    def _decode(self, payload: bytes) -> tuple[str, int, npt.NDArray[np.float32]]:
        event_id, event_time_ms, schema_id, features = packed.decode(payload)
        if schema_id != self._schema.id:
            raise EventError(
                Reason.SCHEMA_MISMATCH,
                f"the event was packed for schema {schema_id:016x}, this pipeline's is"
                f" {self._schema.id:016x}",
            )
        if len(features) != len(self._schema):
            raise EventError(
                Reason.SCHEMA_MISMATCH,
                f"the event has {len(features)} features, the schema {len(self._schema)}",
            )
        check_event_id(event_id)
        return event_id, event_time_ms or 0, features
