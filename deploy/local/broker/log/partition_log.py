"""The log of one partition: segments of record batches, in files that survive the process.

A batch is in the page cache when `append` returns: it survives SIGKILL, as with Apache Kafka's
defaults, and is not forced to disk. Everything here runs on one event loop; only the long part of
a compaction runs in a thread, on files that nobody writes to.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from deploy.local.broker.configs import TopicConfig
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import HEADER_SIZE, Batch, marker, placed
from deploy.local.broker.log.checks import check_batch
from deploy.local.broker.log.compactor import Compactor
from deploy.local.broker.log.index import replace_file
from deploy.local.broker.log.recovery import open_segments
from deploy.local.broker.log.retention import count_expired
from deploy.local.broker.log.segment import Segment, log_path, size_of

log = structlog.get_logger(__name__)

_START = "start"
# So much of the active segment may lie behind its index file: it is read at the next start.
_CHECKPOINT_BYTES = 16 * 1024 * 1024
_MAX_DELTA = 2**31 - 1


class PartitionLog:
    """Batches at offsets from `start_offset` up to, not including, `end_offset`.

    `watchers` are called after every append and marker, and on close(gone=True).
    """

    def __init__(self, directory: Path, config: TopicConfig) -> None:
        """Open what lies in `directory`, created where missing; raises OSError."""
        self.config = config
        self.watchers: set[Callable[[], None]] = set()
        self.gone = False
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._start = _read_start(directory)
        self._segments, self._producers = open_segments(directory)
        if not self._segments:
            self._segments.append(Segment(log_path(directory, self._start)))
        self._active = self._segments[-1]
        self._in_use = self._active
        self._start = max(self._start, self._segments[0].base_offset)
        self._producers.forget_aborted(self._start)
        self._compactor = Compactor(directory, self._segments, self._producers)

    @property
    def start_offset(self) -> int:
        return self._start

    @property
    def end_offset(self) -> int:
        """The offset that the next record gets."""
        return self._active.next_offset

    @property
    def stable_offset(self) -> int:
        """The first offset of the oldest open transaction, or the end: all below it is decided."""
        for first in self._producers.open.values():
            return max(first, self._start)
        return self._active.next_offset

    @property
    def open_transactions(self) -> Mapping[int, int]:
        """The first offset of each producer's open transaction."""
        return self._producers.open

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments)

    def append(self, batch: Batch, now_ms: int) -> int:
        """The batch's first offset; one that was appended before keeps the offset it got then.

        Raises RefusedError: what check_batch and Producers.check refuse, KAFKA_STORAGE_ERROR.
        """
        config, producers = self.config, self._producers
        check_batch(batch, config, now_ms)
        if batch.header.producer_id >= 0:
            duplicate = producers.check(batch.header)
            if duplicate is not None:
                return duplicate
        offset = self._active.next_offset
        batch = placed(batch, offset, now_ms if config.append_time else None)
        self._write(batch, now_ms)
        producers.record(batch.header, now_ms)
        self._notify()
        return offset

    def append_marker(
        self, producer_id: int, epoch: int, *, commit: bool, now_ms: int
    ) -> int | None:
        """End a producer's transaction here; the marker's offset, or None where none is open.

        Raises RefusedError: INVALID_PRODUCER_EPOCH for an older epoch, KAFKA_STORAGE_ERROR.
        """
        if producer_id not in self._producers.open:
            return None
        self._producers.check_marker(producer_id, epoch)
        offset = self._active.next_offset
        batch = placed(marker(producer_id, epoch, commit=commit, time_ms=now_ms), offset, None)
        self._write(batch, now_ms)
        self._producers.end(batch.header, commit=commit, now_ms=now_ms)
        self._notify()
        return offset

    def read(self, offset: int, max_bytes: int, *, upto: int, whole_batch: bool) -> bytes:
        """Batches from the one that holds `offset` on, of one segment, none at or above `upto`.

        At most `max_bytes`, and then the last batch may be cut short, but never the first: where
        that is larger, it comes alone with `whole_batch`, and b"" without. Where compaction left
        nothing at `offset`, the next batch comes first. Raises RefusedError(KAFKA_STORAGE_ERROR).
        """
        for number in range(self._number_at(offset), len(self._segments)):
            segment = self._used(self._segments[number])
            position = segment.locate(offset)
            end = segment.size if segment.next_offset <= upto else segment.locate(upto)
            if position < end:
                return _slice(segment, position, end - position, max_bytes, whole_batch)
            if segment.next_offset >= upto:
                break
        return b""

    def aborted(self, first: int, upto: int) -> list[tuple[int, int]]:
        """Producer id and first offset of the aborted transactions that overlap [first, upto)."""
        return self._producers.aborted_in(first, upto)

    def find_time(self, timestamp_ms: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record with this timestamp or a later one."""
        for segment in self._segments:
            if segment.max_timestamp >= timestamp_ms:
                found = self._used(segment).find_time(timestamp_ms, self._start)
                if found is not None:
                    return found
        return None

    def latest_time(self) -> tuple[int, int] | None:
        """Offset and timestamp of the first record that has the largest timestamp."""
        best = None
        for segment in self._segments:
            latest = segment.max_timestamp
            if best is None or latest > best[1]:
                found = self._used(segment).latest_time(self._start)
                if found is not None and (best is None or found[1] > best[1]):
                    best = found
        return best

    def delete_before(self, offset: int) -> int:
        """Forget the records below `offset`, for good; the new start, which never moves back.

        Raises RefusedError: OFFSET_OUT_OF_RANGE for an offset beyond the end, KAFKA_STORAGE_ERROR.
        """
        if not 0 <= offset <= self.end_offset:
            raise RefusedError(
                Code.OFFSET_OUT_OF_RANGE, f"{offset} is not from 0 to {self.end_offset}"
            )
        if offset > self._start:
            try:
                replace_file(self._directory / _START, str(offset).encode())
            except OSError as error:
                raise RefusedError(Code.KAFKA_STORAGE_ERROR, f"the new start: {error}") from error
            self._start = offset
            bases = [segment.base_offset for segment in self._segments]
            self._drop(bisect_right(bases, offset) - 1)
        return self._start

    def retain(self, now_ms: int) -> None:
        """Do what is due by time: roll, delete what retention lets go, forget silent producers.

        What the disk refuses is logged, and done the next time.
        """
        self._producers.expire(now_ms)
        if self._in_use is not self._active:
            self._in_use.rest()
        try:
            self._retain(now_ms)
        except OSError as error:
            log.error("retention_failed", directory=str(self._directory), error=str(error))

    async def clean(self, now_ms: int) -> None:
        """Compact the log where that is due; failures are logged. The loop stays free meanwhile."""
        if self.gone or not self.config.compacts:
            return
        try:
            if self._compactor.should_roll(self.config, now_ms, self.stable_offset):
                self._roll()
        except OSError as error:
            log.error("compaction_failed", directory=str(self._directory), error=str(error))
            return
        await self._compactor.run(self.config, now_ms, self._start, self.stable_offset)

    def close(self, *, gone: bool = False) -> None:
        """Close the files, and unless the topic is `gone`, spare the next start reading them."""
        self.gone = self.gone or gone
        self._compactor.cancel()
        if not gone and self._active.size > self._active.covered:
            try:
                self._active.save_index(self._producers.dump())
            except OSError as error:
                log.warning("index_not_saved", directory=str(self._directory), error=str(error))
        for segment in self._segments:
            segment.rest()
        if gone:
            self._notify()

    def _retain(self, now_ms: int) -> None:
        active = self._active
        if active.size and now_ms - active.first_append_ms >= self.config.segment_ms:
            self._roll()
        elif active.size - active.covered >= _CHECKPOINT_BYTES:
            active.save_index(self._producers.dump())
        n_expired = count_expired(self._segments, self.config, now_ms, self.stable_offset)
        if n_expired == len(self._segments):
            self._roll()
        self._drop(n_expired)

    def _write(self, batch: Batch, now_ms: int) -> None:
        active = self._active
        if active.size and (
            active.size + len(batch.data) > self.config.segment_bytes
            or now_ms - active.first_append_ms >= self.config.segment_ms
            or batch.header.last_offset - active.base_offset > _MAX_DELTA
        ):
            try:
                active = self._roll()
            except OSError as error:
                raise RefusedError(Code.KAFKA_STORAGE_ERROR, f"a new segment: {error}") from error
        active.append(batch, now_ms)

    def _roll(self) -> Segment:
        """Start a new segment."""
        self._active.seal(self._producers.dump())
        self._active = Segment(log_path(self._directory, self._active.next_offset))
        self._active.create()
        self._segments.append(self._active)
        return self._active

    def _drop(self, n_segments: int) -> None:
        """Delete the oldest segments; the start moves with them."""
        for segment in self._segments[:n_segments]:
            log.info("segment_deleted", segment=str(segment.path), bytes=segment.size)
            segment.remove()
        del self._segments[:n_segments]
        self._start = max(self._start, self._segments[0].base_offset)
        self._producers.forget_aborted(self._start)

    def _number_at(self, offset: int) -> int:
        """The number of the last segment that starts at or before `offset`, or 0."""
        if offset >= self._active.base_offset:
            return len(self._segments) - 1
        found = bisect_right(self._segments, offset, key=lambda segment: segment.base_offset)
        return max(found - 1, 0)

    def _used(self, segment: Segment) -> Segment:
        """The segment, whose file may be opened now; of the sealed ones one at most stays open."""
        if segment is not self._in_use and segment is not self._active:
            if self._in_use is not self._active:
                self._in_use.rest()
            self._in_use = segment
        return segment

    def _notify(self) -> None:
        for watcher in tuple(self.watchers):
            watcher()


def _slice(
    segment: Segment, position: int, available: int, max_bytes: int, whole_batch: bool
) -> bytes:
    length = min(available, max_bytes)
    data = segment.read(position, length) if length >= HEADER_SIZE else b""
    needed = size_of(data) if data else segment.batch_size(position)
    if needed <= len(data):
        return data
    return segment.read(position, needed) if whole_batch else b""


def _read_start(directory: Path) -> int:
    path = directory / _START
    return int(path.read_text()) if path.exists() else 0
