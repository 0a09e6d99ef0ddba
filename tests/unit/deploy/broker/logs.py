"""Batches and logs for the tests of the broker's log."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from deploy.local.broker.configs import TopicConfig, topic_config
from deploy.local.broker.log.batches import HEADER_SIZE, Batch, read_header, records_of, split
from deploy.local.broker.log.partition_log import PartitionLog

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
PLAIN = topic_config({})
COMPACTED = topic_config(
    {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "0"}
)


class Seen(NamedTuple):
    """A record as a reader gets it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


Pair = tuple[bytes | None, bytes | None]


def batch_of(
    *pairs: Pair | bytes,
    time_ms: int = NOW_MS,
    producer: tuple[int, int, int] = (-1, -1, -1),
    transactional: bool = False,
    codec: int = 0,
) -> Batch:
    """A batch of (key, value) pairs or plain values; `producer` is id, epoch, first sequence."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, *producer, 1 << 24)
    for number, pair in enumerate(pairs):
        key, value = (None, pair) if isinstance(pair, bytes) else pair
        builder.append(number, time_ms + number, key, value, [])
    (batch,) = split(bytes(builder.build()))
    return batch


def open_log(directory: Path, config: TopicConfig = PLAIN, **changes: object) -> PartitionLog:
    """A log whose configuration may have values that a topic's may not, such as tiny segments."""
    return PartitionLog(directory / "log", replace(config, **changes))  # type: ignore[arg-type]


def batches_in(data: bytes) -> Iterator[Batch]:
    """The whole batches in what a fetch returned."""
    at = 0
    while len(data) - at >= HEADER_SIZE:
        header = read_header(data, at)
        if header.size > len(data) - at:
            return
        yield Batch(header, data[at : at + header.size])
        at += header.size


def read_batches(log: PartitionLog, offset: int | None = None) -> list[Batch]:
    """All batches from `offset` (or the start), fetched as a consumer does."""
    offset = log.start_offset if offset is None else offset
    found: list[Batch] = []
    while data := log.read(offset, 1000, upto=log.end_offset, whole_batch=True):
        for batch in batches_in(data):
            assert batch.header.last_offset >= offset
            found.append(batch)
            offset = batch.header.last_offset + 1
    return found


def seen(batches: Sequence[Batch], start: int = 0) -> list[Seen]:
    """Their records from `start` on, markers left out."""
    return [
        Seen(record.offset, record.timestamp, record.key, record.value)
        for batch in batches
        if not batch.header.control
        for record in records_of(batch.data)
        if record.offset >= start
    ]


def read_records(log: PartitionLog, offset: int | None = None) -> list[Seen]:
    """All records a consumer gets from `offset` (or the start) on."""
    offset = log.start_offset if offset is None else offset
    return seen(read_batches(log, offset), offset)


def files(log_directory: Path, pattern: str) -> list[Path]:
    return sorted((log_directory / "log").glob(pattern))


def damaged(batch: Batch) -> bytes:
    """The batch with its last byte changed."""
    return bytes(batch.data[:-1]) + struct.pack("B", batch.data[-1] ^ 1)
