"""One batch of raw records to one float32 matrix."""

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np

from inference.decode.explain_json import shown
from inference.decode.json_rows import JsonRows
from inference.decode.packed_rows import PackedRows
from inference.decode.texts import decode_all
from inference.decode.time_checks import settle_event_times
from inference.decode.types import Columns, Decoded, Longs, Parsed, Rejected
from inference.decode.value_checks import ValueChecks
from schemas.codecs import json, packed
from schemas.errors import Reason
from schemas.features import FeatureSchema

MAX_ENTITY_BYTES = 1024
"""Predictions carry the key: with one near the broker's limit they could never be delivered."""

_Format: TypeAlias = JsonRows | PackedRows


class BatchDecoder:
    """Decodes batches of one feature schema.

    Never raises for what a record holds: each row comes out good or rejected with a reason, exactly
    once, and a bad row changes nothing about its neighbours.
    """

    def __init__(
        self, schema: FeatureSchema, *, max_event_bytes: int, max_event_time_ahead_s: int
    ) -> None:
        self._json = JsonRows(schema)
        self._packed = PackedRows(schema)
        self._formats: dict[str, _Format] = {
            json.CONTENT_TYPE: self._json,
            packed.CONTENT_TYPE: self._packed,
        }
        self._values = ValueChecks(schema)
        self._max_event_bytes = max_event_bytes
        self._max_ahead_ms = max_event_time_ahead_s * 1000
        self._n_features = len(schema)

    def decode(self, columns: Columns) -> Decoded:
        """Decode every row of `columns`."""
        rows, rejections = self._admit(columns.values, columns.keys)
        parts: list[Parsed] = []
        for rows_format, own_rows in self._by_format(rows, columns, rejections):
            payloads = _take(columns.values, own_rows)
            parsed = rows_format.parse(own_rows, payloads)
            # JSON cannot say infinity: there it is a number that float32 cannot hold.
            infinite = Reason.OUT_OF_RANGE if rows_format is self._json else Reason.NOT_FINITE
            parsed = self._values.check(parsed, infinite=infinite)
            parts.append(
                settle_event_times(parsed, columns.append_times_ms, max_ahead_ms=self._max_ahead_ms)
            )
        whole = parts[0] if len(parts) == 1 else self._merge(parts)
        rejections.extend(whole.rejections)
        rejections.sort(key=lambda rejected: rejected.row)
        return Decoded(
            rows=whole.rows,
            features=whole.features,
            event_ids=whole.event_ids,
            entities=_entities(columns.keys, whole.rows),
            event_times_ms=whole.event_times_ms,
            rejections=rejections,
        )

    def _admit(
        self, values: Sequence[bytes | None], keys: Sequence[bytes | None]
    ) -> tuple[Longs, list[Rejected]]:
        """The rows worth decoding: those with a value, and neither value nor key too large."""
        limit = self._max_event_bytes
        refused: list[int] = []
        if None in values or max(map(len, cast("Sequence[bytes]", values)), default=0) > limit:
            refused = [
                row for row, value in enumerate(values) if value is None or len(value) > limit
            ]
        if max(map(len, filter(None, keys)), default=0) > MAX_ENTITY_BYTES:
            long = [row for row, key in enumerate(keys) if key and len(key) > MAX_ENTITY_BYTES]
            refused = sorted({*refused, *long})
        rows = np.arange(len(values))
        if not refused:
            return rows, []
        rejections = [self._refuse(row, values[row], keys[row]) for row in refused]
        return np.delete(rows, refused), rejections

    def _refuse(self, row: int, value: bytes | None, key: bytes | None) -> Rejected:
        if value is None:
            return Rejected(row, Reason.NULL_VALUE, "the record has no value")
        if key and len(key) > MAX_ENTITY_BYTES:
            return Rejected(
                row,
                Reason.TOO_LARGE,
                f"the key (entity) has {len(key)} bytes, at most {MAX_ENTITY_BYTES} are allowed",
            )
        return Rejected(
            row,
            Reason.TOO_LARGE,
            f"the event has {len(value)} bytes, at most {self._max_event_bytes} are allowed",
        )

    def _by_format(
        self, rows: Longs, columns: Columns, rejections: list[Rejected]
    ) -> list[tuple[_Format, Longs]]:
        """The rows of each format; rows of an unknown content type are added to `rejections`."""
        types = columns.content_types
        if not len(rows):
            return []
        if types is None:
            return [(self._json, rows)]
        formats = {given: self._format(given) for given in set(types)}
        if len(formats) == 1:
            (only,) = formats.values()
            if only is not None:
                return [(only, rows)]
        groups: dict[_Format, list[int]] = {}
        for row in rows.tolist():
            rows_format = formats[types[row]]
            if rows_format is None:
                explanation = (
                    f"content-type is {shown(types[row])!r}, known are {', '.join(self._formats)}"
                )
                rejections.append(Rejected(row, Reason.UNKNOWN_CONTENT_TYPE, explanation))
            else:
                groups.setdefault(rows_format, []).append(row)
        return [(each, np.array(own)) for each, own in groups.items()]

    def _format(self, content_type: bytes | None) -> _Format | None:
        """The format a `content-type` header names, parameters aside; None if unknown."""
        if content_type is None:
            return self._json
        name = content_type.partition(b";")[0].strip().lower().decode("utf-8", "replace")
        return self._formats.get(name)

    def _merge(self, parts: list[Parsed]) -> Parsed:
        """Several formats' rows in the order of the batch."""
        if not parts:
            empty: Longs = np.empty(0, dtype=np.int64)
            features = np.empty((0, self._n_features), dtype=np.float32)
            return Parsed(empty, features, [], empty, [])
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(rows)
        event_ids = [event_id for part in parts for event_id in part.event_ids]
        return Parsed(
            rows[order],
            np.concatenate([part.features for part in parts])[order],
            [event_ids[at] for at in order.tolist()],
            np.concatenate([part.event_times_ms for part in parts])[order],
            [rejected for part in parts for rejected in part.rejections],
        )


def _take(values: list[bytes | None], rows: Longs) -> list[bytes]:
    """The values of `rows`, none of which is null."""
    if len(rows) == len(values):
        return cast("list[bytes]", values)
    return cast("list[bytes]", [values[row] for row in rows.tolist()])


def _entities(keys: list[bytes | None], rows: Longs) -> list[str]:
    chosen = keys if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]
    return decode_all([key or b"" for key in chosen], errors="replace")
