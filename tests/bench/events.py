"""Feature events as ready-made Kafka records: 100,000 of them a second cost next to nothing.

The generator shares its core with the broker: what it burns, the broker lacks. Every record of a
pool has one length; only the event id (a stamp and a running number) and the offset delta are
written per event.
"""

import struct
import time
from typing import Literal

import numpy as np
from aiokafka.record.util import calc_crc32c
from numpy.typing import NDArray

from schemas.codecs import CONTENT_TYPE_HEADER, packed
from schemas.codecs import json as json_codec
from tests.bench.model import SCHEMA

Format = Literal["json", "packed"]
FORMATS: tuple[Format, ...] = ("json", "packed")

N_TEMPLATES = 4096
MAX_BATCH_EVENTS = 1000
STAMP_DIGITS, SEQUENCE_DIGITS = 17, 10
_ID_WIDTH = STAMP_DIGITS + 1 + SEQUENCE_DIGITS
_PLACEHOLDER = "0" * STAMP_DIGITS + "-" + "0" * SEQUENCE_DIGITS
_BATCH_AFTER_CRC = struct.Struct(">hiqqqhii")
_BATCH_START = struct.Struct(">qiibI")


def parse_event_id(event_id: str) -> tuple[int, int]:
    """The stamp (nanoseconds of the machine-wide monotonic clock) and the running number."""
    stamp, _, sequence = event_id.partition("-")
    return int(stamp), int(sequence)


class EventPool:
    """Record batches of made-up events in one format; `sequence` numbers them without gaps."""

    def __init__(self, wire_format: Format) -> None:
        templates = _templates(wire_format)
        self._records = np.frombuffer(b"".join(templates), np.uint8).reshape(N_TEMPLATES, -1)
        self.record_bytes = self._records.shape[1]
        self._id_at = templates[0].index(_PLACEHOLDER.encode())
        deltas = [_padded_varint(index << 1) for index in range(MAX_BATCH_EVENTS)]
        self._deltas = np.frombuffer(b"".join(deltas), np.uint8).reshape(MAX_BATCH_EVENTS, 3)
        self._delta_at = _DELTA_AT
        self._powers = 10 ** np.arange(SEQUENCE_DIGITS - 1, -1, -1, dtype=np.int64)

    def batch(self, first_sequence: int, n: int, stamp_ns: int) -> bytes:
        """A Kafka record batch (v2, uncompressed) of `n` events, at most MAX_BATCH_EVENTS."""
        start = first_sequence % N_TEMPLATES
        rows = np.arange(start, start + n) % N_TEMPLATES
        records = self._records[rows]
        records[:, self._delta_at : self._delta_at + 3] = self._deltas[:n]
        stamp = np.frombuffer(b"%017d" % stamp_ns, np.uint8)
        records[:, self._id_at : self._id_at + STAMP_DIGITS] = stamp
        sequence = np.arange(first_sequence, first_sequence + n)[:, None]
        at = self._id_at + STAMP_DIGITS + 1
        records[:, at : at + SEQUENCE_DIGITS] = sequence // self._powers % 10 + ord("0")
        return record_batch(records.tobytes(), n)


def record_batch(records: bytes, n: int) -> bytes:
    """The batch header, with its checksum, before `n` encoded records."""
    now_ms = time.time_ns() // 1_000_000
    checked = _BATCH_AFTER_CRC.pack(0, n - 1, now_ms, now_ms, -1, -1, -1, n) + records
    crc = calc_crc32c(checked)
    return _BATCH_START.pack(0, 4 + 1 + 4 + len(checked), -1, 2, crc) + checked


_DELTA_AT = 3 + 1 + 1
"""Length (3 bytes), attributes and timestamp delta come before the offset delta."""


def _templates(wire_format: Format) -> list[bytes]:
    rng = np.random.default_rng(7)
    rows = np.clip(rng.standard_normal((N_TEMPLATES, len(SCHEMA))), -9, 9)
    now_ms = time.time_ns() // 1_000_000
    records = []
    for index, row in enumerate(rows):
        if wire_format == "packed":
            value = packed.Encoder(SCHEMA).encode_floats(
                _PLACEHOLDER, now_ms, row.astype(np.float32)
            )
            content_type = packed.CONTENT_TYPE
        else:
            value = _json_event(row, now_ms)
            content_type = json_codec.CONTENT_TYPE
        records.append(_record(b"c%07d" % index, value, content_type.encode()))
    assert len({len(record) for record in records}) == 1, "templates must be of one length"
    return records


def _json_event(row: NDArray[np.float64], event_time_ms: int) -> bytes:
    """As schemas.codecs.json writes it, with digits enough to make each number nine characters."""
    numbers = (f"{value:.6f}" if value < 0 else f"{value:.7f}" for value in row)
    features = ",".join(f'"{n}":{v}' for n, v in zip(SCHEMA.names, numbers, strict=True))
    start = f'{{"event_id":"{_PLACEHOLDER}","features":{{{features}}}'
    return f'{start},"event_time_ms":{event_time_ms}}}'.encode()


def _record(key: bytes, value: bytes, content_type: bytes) -> bytes:
    header = CONTENT_TYPE_HEADER.encode()
    body = b"".join(
        (
            b"\x00\x00",
            _padded_varint(0),
            packed.varint(len(key) << 1),
            key,
            packed.varint(len(value) << 1),
            value,
            packed.varint(1 << 1),
            packed.varint(len(header) << 1),
            header,
            packed.varint(len(content_type) << 1),
            content_type,
        )
    )
    return _padded_varint(len(body) << 1) + body


def _padded_varint(value: int) -> bytes:
    """Three bytes whatever the value: longer than need be, which the format allows."""
    return bytes((value & 127 | 128, value >> 7 & 127 | 128, value >> 14))
