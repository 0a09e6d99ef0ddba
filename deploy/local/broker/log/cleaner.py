"""Compaction: of each key the last record stays, with its offset and timestamp.

One pass reads the keys written since the last pass into a map (key to last offset), then writes
every segment anew without the records the map has a later offset for. It works on copies of what
the log knows, and on files that nobody writes to, so it may run in a thread. As in Apache Kafka:
tombstones and the markers of transactions without records stay until their delete horizon
(KIP-534), records of aborted transactions go, and records without a key go as well.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from deploy.local.broker.errors import RefusedError
from deploy.local.broker.log.batches import HEADER_SIZE, Batch, read_header, records_of
from deploy.local.broker.log.index import NO_TIMESTAMP, IndexFile, read_index, write_index
from deploy.local.broker.log.producers import Aborted
from deploy.local.broker.log.rewrite import delete_horizon, emptied, frames, rewritten
from deploy.local.broker.log.segment import Segment
from deploy.local.broker.log.swap import cleaned_index_path, cleaned_path

# About 100 MB of map; what does not fit is left to the next pass.
MAX_KEYS = 500_000
_DIGEST_BYTES = 16
_PAUSE_EVERY_BYTES = 64 * 1024
_PAUSE_S = 0.0002


class CancelledPassError(Exception):
    """The log was closed while a pass over it was running."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sealed segment to clean: its file, its bytes, and what to keep of its index file."""

    path: Path
    base_offset: int
    next_offset: int
    size: int
    first_append_ms: int

    @classmethod
    def of(cls, segment: Segment) -> "Source":
        return cls(
            segment.path,
            segment.base_offset,
            segment.next_offset,
            segment.size,
            segment.first_append_ms,
        )


@dataclass(slots=True)
class Pass:
    """One pass over a log: `dirty_from` is where the last one ended, `start_offset` the log's.

    `upto` is where this one ends, known after `read_keys`; `horizon` is when the first of the
    tombstones and markers it kept may go, or None.
    """

    dirty_from: int
    start_offset: int
    aborted: Sequence[Aborted]
    now_ms: int
    delete_retention_ms: int
    max_keys: int = MAX_KEYS
    cancelled: threading.Event = field(default_factory=threading.Event)
    upto: int = 0
    horizon: int | None = None
    _latest: dict[bytes, int] = field(default_factory=dict)
    _ranges: dict[int, list[Aborted]] = field(default_factory=dict)
    _with_records: set[int] = field(default_factory=set)
    _unpaused_bytes: int = 0

    def read_keys(self, sources: Sequence[Source]) -> None:
        """Fill the map from `dirty_from` on; sets `upto`. Raises OSError, CancelledPassError."""
        for aborted in self.aborted:
            self._ranges.setdefault(aborted.producer_id, []).append(aborted)
        self.upto = sources[-1].next_offset
        for source in sources:
            if source.next_offset <= self.dirty_from:
                continue
            for batch in self._batches(source):
                if batch.header.last_offset < self.dirty_from or not self._has_records(batch):
                    continue
                if len(self._latest) >= self.max_keys:
                    self.upto = batch.header.base_offset
                    return
                self._note_keys(batch)

    def _note_keys(self, batch: Batch) -> None:
        # Batches are not looked into on arrival: one that nobody can read has no keys, and stays.
        with suppress(RefusedError):
            for record in records_of(batch.data):
                if record.key is not None:
                    self._latest[digest(record.key)] = record.offset

    def rewrite(self, group: Sequence[Source], directory: Path) -> bool:
        """Write one cleaned segment for `group`, beside it; whether it differs from what is there.

        Raises OSError, CancelledPassError.
        """
        path = cleaned_path(directory, group[0].base_offset)
        cleaned = Segment(path)
        last: Batch | None = None
        changed = len(group) > 1
        with path.open("wb") as file:
            for source in group:
                for batch in self._batches(source):
                    last = batch
                    kept = self._cleaned(batch)
                    changed = changed or kept is not batch
                    if kept is not None:
                        file.write(kept.data)
                        cleaned.note(kept.header, source.first_append_ms)
            if last is not None and cleaned.next_offset <= last.header.last_offset:
                # Readers reach the end of the segment by this batch, though nothing is in it.
                empty = emptied(last)
                file.write(empty.data)
                cleaned.note(empty.header, group[-1].first_append_ms)
        known = read_index(group[-1].path.with_suffix(".index"))
        if known is None:
            raise OSError(f"{group[-1].path.name} has no index file")
        content = IndexFile(
            cleaned.size,
            cleaned.next_offset,
            cleaned.max_timestamp,
            group[0].first_append_ms,
            cleaned.index,
            known.producers,
        )
        write_index(cleaned_index_path(directory, group[0].base_offset), content)
        return changed

    def _cleaned(self, batch: Batch) -> Batch | None:
        """The batch with what stays of it; None where nothing does."""
        header = batch.header
        if header.base_offset >= self.upto:
            return batch
        if header.last_offset < self.start_offset:
            return None
        if header.control:
            return self._marker(batch)
        return self._filtered(batch) if self._has_records(batch) else None

    def _filtered(self, batch: Batch) -> Batch | None:
        """The batch with its last records of each key; None where there are none."""
        header = batch.header
        try:
            records = list(records_of(batch.data))
        except RefusedError:
            return batch
        horizon = delete_horizon(header)
        due = self._is_due(batch)
        keep = [
            record.key is not None
            and self._latest.get(digest(record.key), NO_TIMESTAMP) <= record.offset
            and not (due and record.value is None)
            for record in records
        ]
        if not any(keep):
            return None
        if header.transactional:
            self._with_records.add(header.producer_id)
        if any(kept and record.value is None for kept, record in zip(keep, records, strict=True)):
            horizon = self._horizon(horizon)
        if all(keep) and horizon == delete_horizon(header):
            return batch
        kept_records = [record for kept, record in zip(keep, records, strict=True) if kept]
        kept_frames = [frame for kept, frame in zip(keep, frames(batch), strict=True) if kept]
        latest = max(record.timestamp for record in kept_records)
        return rewritten(batch, kept_frames, latest, horizon)

    def _marker(self, batch: Batch) -> Batch | None:
        """Markers stay as long as their transaction has records, and until their horizon."""
        if batch.header.producer_id in self._with_records:
            self._with_records.discard(batch.header.producer_id)
            return batch
        if self._is_due(batch):
            return None
        horizon = self._horizon(delete_horizon(batch.header))
        if horizon == delete_horizon(batch.header):
            return batch
        return rewritten(batch, frames(batch), batch.header.max_timestamp, horizon)

    def _horizon(self, known: int | None) -> int:
        """The batch's delete horizon, set now unless an earlier pass did."""
        horizon = self.now_ms + self.delete_retention_ms if known is None else known
        self.horizon = horizon if self.horizon is None else min(self.horizon, horizon)
        return horizon

    def _is_due(self, batch: Batch) -> bool:
        """Whether its tombstones or marker may go: not in the pass that sees them first.

        A start forgets aborted transactions below the end of the last pass; it must not know one
        whose marker is gone, or readers would take later records of its producer for aborted.
        """
        horizon = delete_horizon(batch.header)
        return (
            horizon is not None
            and horizon <= self.now_ms
            and batch.header.last_offset < self.dirty_from
        )

    def _has_records(self, batch: Batch) -> bool:
        """Whether the batch has records that count: it is no marker, not empty, not aborted."""
        header = batch.header
        if header.control or not header.records:
            return False
        ranges = self._ranges.get(header.producer_id) if header.transactional else None
        if not ranges:
            return True
        found = bisect_right(ranges, header.base_offset, key=lambda aborted: aborted.first_offset)
        return not found or header.base_offset > ranges[found - 1].marker_offset

    def _batches(self, source: Source) -> Iterator[Batch]:
        with source.path.open("rb") as file:
            left = source.size
            while left:
                start = file.read(HEADER_SIZE)
                header = read_header(start)
                data = start + file.read(header.size - HEADER_SIZE)
                if not HEADER_SIZE <= header.size == len(data):
                    raise OSError(f"{source.path.name} is not what it was")
                left -= header.size
                self._pause(header.size)
                yield Batch(header, data)

    def _pause(self, n_bytes: int) -> None:
        """Let the event loop have the interpreter now and then."""
        self._unpaused_bytes += n_bytes
        if self._unpaused_bytes >= _PAUSE_EVERY_BYTES:
            self._unpaused_bytes = 0
            time.sleep(_PAUSE_S)
        if self.cancelled.is_set():
            raise CancelledPassError


def digest(key: bytes) -> bytes:
    """The key itself where it is short, else a digest of it, which no short key is equal to."""
    if len(key) < _DIGEST_BYTES:
        return key
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()


def groups_of(sources: Sequence[Source], upto: int, segment_bytes: int) -> list[list[Source]]:
    """The segments that start below `upto`, in runs that fit into one segment each."""
    groups: list[list[Source]] = []
    size = 0
    for source in sources:
        if source.base_offset >= upto:
            break
        size += source.size
        fits = groups and size <= segment_bytes
        if not fits or source.next_offset - groups[-1][0].base_offset > 2**31 - 1:
            groups.append([])
            size = source.size
        groups[-1].append(source)
    return groups
