"""A segment: one file of record batches, one behind the other, named after its first offset."""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import (
    HEADER_SIZE,
    Batch,
    BatchHeader,
    Record,
    read_header,
    records_of,
)
from deploy.local.broker.log.index import NO_TIMESTAMP, IndexFile, SparseIndex, write_index

_WALK_BYTES = 4096
_SIZE_AT = struct.Struct(">8xi")
_LENGTH_COUNTS_FROM = 12
# Consumers read near the end: for the last batches their exact position is kept.
_RECENT = 512


def log_path(directory: Path, base_offset: int) -> Path:
    return directory / f"{base_offset:020d}.log"


class Segment:
    """Batches from `base_offset` on in the first `size` bytes of `path`; offsets may have holes.

    `next_offset` follows the last batch. `max_timestamp` (ms, NO_TIMESTAMP without records) leaves
    out transaction markers. The file is opened when needed; `rest` closes it until the next use.
    """

    __slots__ = (
        "_descriptor",
        "_recent_offsets",
        "_recent_positions",
        "base_offset",
        "covered",
        "first_append_ms",
        "index",
        "max_timestamp",
        "next_offset",
        "path",
        "size",
    )

    def __init__(self, path: Path) -> None:
        self.path = path
        self.base_offset = int(path.name.split(".")[0])
        self.next_offset = self.base_offset
        self.size = 0
        self.covered = 0
        self.max_timestamp = NO_TIMESTAMP
        self.first_append_ms = NO_TIMESTAMP
        self.index = SparseIndex()
        self._recent_offsets: list[int] = []
        self._recent_positions: list[int] = []
        self._descriptor: int | None = None

    @property
    def index_path(self) -> Path:
        return self.path.with_suffix(".index")

    def adopt(self, known: IndexFile) -> None:
        """Take over what an index file says of the start of this segment."""
        self.size = self.covered = known.covers
        self.next_offset = known.next_offset
        self.max_timestamp = known.max_timestamp
        self.first_append_ms = known.first_append_ms
        self.index = known.index

    def append(self, batch: Batch, now_ms: int) -> None:
        """Write a batch behind the last; raises RefusedError(KAFKA_STORAGE_ERROR)."""
        try:
            written = os.pwrite(self._open(create=not self.size), batch.data, self.size)
        except OSError as error:
            self._cut()
            raise RefusedError(Code.KAFKA_STORAGE_ERROR, f"{self.path.name}: {error}") from error
        if written != len(batch.data):
            self._cut()
            raise RefusedError(Code.KAFKA_STORAGE_ERROR, f"{self.path.name}: a write was cut short")
        self.note(batch.header, now_ms)

    def note(self, header: BatchHeader, now_ms: int) -> None:
        """Count a batch that lies at the end of what is known."""
        offset = header.base_offset
        self.index.note(offset, self.size, self.max_timestamp)
        if len(self._recent_offsets) >= _RECENT:
            del self._recent_offsets[: _RECENT // 2], self._recent_positions[: _RECENT // 2]
        self._recent_offsets.append(offset)
        self._recent_positions.append(self.size)
        if self.first_append_ms == NO_TIMESTAMP:
            self.first_append_ms = now_ms
        if header.max_timestamp > self.max_timestamp and header.records and not header.control:
            self.max_timestamp = header.max_timestamp
        self.next_offset = header.last_offset + 1
        self.size += header.size

    def read(self, position: int, length: int) -> bytes:
        """Up to `length` bytes of batches; raises RefusedError(KAFKA_STORAGE_ERROR)."""
        try:
            return os.pread(self._open(), min(length, self.size - position), position)
        except OSError as error:
            raise RefusedError(Code.KAFKA_STORAGE_ERROR, f"{self.path.name}: {error}") from error

    def locate(self, offset: int) -> int:
        """The position of the first batch whose last offset is `offset` or more; else `size`."""
        if offset >= self.next_offset:
            return self.size
        if offset <= self.base_offset:
            return 0
        recent = bisect_right(self._recent_offsets, offset)
        at = self._recent_positions[recent - 1] if recent else self.index.position_before(offset)
        for position, header in self.headers(at):
            if header.last_offset >= offset:
                return position
        return self.size

    def batch_size(self, position: int) -> int:
        """The bytes of the batch at `position`; raises RefusedError(KAFKA_STORAGE_ERROR)."""
        for _, header in self.headers(position):
            return header.size
        return 0

    def headers(self, position: int = 0) -> Iterator[tuple[int, BatchHeader]]:
        """Each batch's position and header, from the batch at `position` on.

        Raises RefusedError(KAFKA_STORAGE_ERROR), also where the file is not what it was.
        """
        window, start = b"", position
        while position < self.size:
            if position + HEADER_SIZE > start + len(window):
                window, start = self.read(position, _WALK_BYTES), position
            whole = len(window) - (position - start) >= HEADER_SIZE
            header = read_header(window, position - start) if whole else None
            if header is None or header.size < HEADER_SIZE:
                raise RefusedError(
                    Code.KAFKA_STORAGE_ERROR, f"{self.path.name}: no batch at {position}"
                )
            yield position, header
            position += header.size

    def find_time(self, timestamp: int, start_offset: int) -> tuple[int, int] | None:
        """The first record from `start_offset` on with this time or later: offset, timestamp."""
        if self.max_timestamp < timestamp:
            return None
        for position, header in self.headers(self.index.position_before_time(timestamp)):
            if header.max_timestamp < timestamp or header.control or not header.records:
                continue
            if header.last_offset < start_offset:
                continue
            for record in self._records(position, header.size):
                if record.timestamp >= timestamp and record.offset >= start_offset:
                    return record.offset, record.timestamp
        return None

    def latest_time(self, start_offset: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with the largest time from `start_offset` on."""
        if start_offset <= self.base_offset:
            return self.find_time(self.max_timestamp, start_offset)
        best: tuple[int, int] | None = None
        later = (self.size, NO_TIMESTAMP)
        for position, header in self.headers(self.locate(start_offset)):
            if header.control or not header.records:
                continue
            if header.base_offset < start_offset:
                best = self._latest_in(position, header.size, start_offset)
            elif header.max_timestamp > later[1] or later[0] == self.size:
                later = (position, header.max_timestamp)
        if later[0] < self.size and (best is None or later[1] > best[1]):
            return self._latest_in(later[0], self.batch_size(later[0]), start_offset)
        return best

    def _latest_in(self, position: int, n_bytes: int, start_offset: int) -> tuple[int, int] | None:
        best: tuple[int, int] | None = None
        for record in self._records(position, n_bytes):
            if record.offset >= start_offset and (best is None or record.timestamp > best[1]):
                best = (record.offset, record.timestamp)
        return best

    def latest_ms(self) -> int:
        """The largest timestamp; the time of the last write where no record has one."""
        if self.max_timestamp != NO_TIMESTAMP:
            return self.max_timestamp
        return int(self.path.stat().st_mtime * 1000) if self.size else NO_TIMESTAMP

    def create(self) -> None:
        """Make the file, so that a start knows where offsets go on. Raises OSError."""
        self._open(create=True)

    def save_index(self, producers: dict[str, Any]) -> None:
        """Write the index file; `producers` is their state as of this segment's end. OSError."""
        write_index(
            self.index_path,
            IndexFile(
                self.size,
                self.next_offset,
                self.max_timestamp,
                self.first_append_ms,
                self.index,
                producers,
            ),
        )
        self.covered = self.size

    def seal(self, producers: dict[str, Any]) -> None:
        """Nothing will be appended any more: keep the index, forget what only appends need."""
        self._cut()
        self.save_index(producers)
        self._recent_offsets, self._recent_positions = [], []
        self.rest()

    def rest(self) -> None:
        """Close the file until it is needed again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Delete the files; the log first, so that a crash leaves no log without its state."""
        self.rest()
        self.path.unlink(missing_ok=True)
        self.index_path.unlink(missing_ok=True)

    def _open(self, *, create: bool = False) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            self._descriptor = os.open(self.path, flags, 0o644)
        return self._descriptor

    def _records(self, position: int, n_bytes: int) -> Iterator[Record]:
        try:
            yield from records_of(self.read(position, n_bytes))
        except Exception as error:  # each compression codec raises errors of its own
            raise RefusedError(Code.CORRUPT_MESSAGE, f"{self.path.name}: {error}") from error

    def _cut(self) -> None:
        """Drop what a failed write may have left behind the last batch."""
        try:
            os.ftruncate(self._open(), self.size)
        except OSError:
            # The next append overwrites it, and a start finds it by its CRC.
            return


def size_of(data: bytes) -> int:
    """The size of the batch that `data` starts with; at least its first 12 bytes must be there."""
    length: int = _SIZE_AT.unpack_from(data)[0]
    return length + _LENGTH_COUNTS_FROM
