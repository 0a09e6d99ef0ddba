"""The sparse index of a segment, and the file beside the segment that keeps it.

The file holds what else a start would have to read the segment for: its largest timestamp, and
the producers' state as of its end. It speaks for the first `covers` bytes of the segment, which
never change; whatever lies behind them is read and checked.
"""

import json
import struct
import zlib
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# One entry for so many bytes of log: 4,096 entries of 24 bytes for a segment of 64 MiB.
INTERVAL_BYTES = 16 * 1024
NO_TIMESTAMP = -1

_PREFIX = struct.Struct(">4sIII")  # format, CRC-32 of the rest, bytes of JSON, entries
_FORMAT = b"twi1"


def _numbers() -> "array[int]":
    return array("q")


@dataclass(slots=True)
class SparseIndex:
    """For some batches: offset, position, and the largest timestamp of all batches before it."""

    offsets: "array[int]" = field(default_factory=_numbers)
    positions: "array[int]" = field(default_factory=_numbers)
    timestamps: "array[int]" = field(default_factory=_numbers)

    def note(self, offset: int, position: int, timestamp: int) -> None:
        """Add the batch at `position` unless the last entry is near."""
        if not self.positions or position - self.positions[-1] >= INTERVAL_BYTES:
            self.offsets.append(offset)
            self.positions.append(position)
            self.timestamps.append(timestamp)

    def position_before(self, offset: int) -> int:
        """A position at or before the batch that holds `offset`."""
        found = bisect_right(self.offsets, offset)
        return self.positions[found - 1] if found else 0

    def position_before_time(self, timestamp: int) -> int:
        """A position at or before the first batch that reaches `timestamp`."""
        found = bisect_left(self.timestamps, timestamp)
        return self.positions[found - 1] if found else 0


@dataclass(frozen=True, slots=True)
class IndexFile:
    """What is known of the first `covers` bytes of a segment; `producers` is a Producers.dump."""

    covers: int
    next_offset: int
    max_timestamp: int
    first_append_ms: int
    index: SparseIndex
    producers: dict[str, Any]


def write_index(path: Path, content: IndexFile) -> None:
    """Put `content` at `path`, all of it or, when the process dies, nothing; raises OSError."""
    facts = {
        "covers": content.covers,
        "next_offset": content.next_offset,
        "max_timestamp": content.max_timestamp,
        "first_append_ms": content.first_append_ms,
        "producers": content.producers,
    }
    text = json.dumps(facts, separators=(",", ":")).encode()
    index = content.index
    body = b"".join(
        (text, index.offsets.tobytes(), index.positions.tobytes(), index.timestamps.tobytes())
    )
    prefix = _PREFIX.pack(_FORMAT, zlib.crc32(body), len(text), len(index.offsets))
    replace_file(path, prefix + body)


def read_index(path: Path) -> IndexFile | None:
    """What `path` holds; None where it is missing or damaged, then the segment must be read."""
    try:
        data = path.read_bytes()
        form, crc, n_text, n_entries = _PREFIX.unpack_from(data)
    except (OSError, struct.error):
        return None
    body = memoryview(data)[_PREFIX.size :]
    n_column = n_entries * 8
    if form != _FORMAT or len(body) != n_text + 3 * n_column or zlib.crc32(body) != crc:
        return None
    columns = []
    for number in range(3):
        column = _numbers()
        start = n_text + number * n_column
        column.frombytes(body[start : start + n_column])
        columns.append(column)
    return IndexFile(index=SparseIndex(*columns), **json.loads(bytes(body[:n_text])))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is never seen half written; raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
