"""Record batches, magic 2 (https://kafka.apache.org/documentation/#recordbatch).

A batch is kept and served as it came: the broker reads its header, checks its CRC-32C, and writes
its offset (and, on LogAppendTime topics, the time). Records are only looked into where their
keys or times matter.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.compression import decompress

HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_SIZE = HEADER.size
MAGIC = 2
NO_PRODUCER = -1

# The length field counts what follows it; offset and length themselves take these bytes.
_LENGTH_COUNTS_FROM = 12
_EPOCH_AT = 12
_CRC_AT = 17
_CRC_COVERS_FROM = 21
_ATTRIBUTES_AT = 21
_MAX_TIMESTAMP_AT = 35
_CODEC = 0x07
_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20
_CONTROL_KEY = struct.Struct(">hh")
_ABORT, _COMMIT = 0, 1


class BatchHeader(NamedTuple):
    """The 61 bytes before the records, in the order of the wire."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + _LENGTH_COUNTS_FROM

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_delta

    @property
    def last_sequence(self) -> int:
        """The sequence of the last record; sequences wrap at 2^31."""
        return (self.base_sequence + self.last_delta) & 0x7FFFFFFF

    @property
    def transactional(self) -> bool:
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def control(self) -> bool:
        """Whether this is a transaction marker rather than records."""
        return bool(self.attributes & _CONTROL)


class Record(Protocol):
    """What a batch yields, as aiokafka's codec has it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]]: ...


class Batch(NamedTuple):
    """One batch: its header and all of its bytes, header included."""

    header: BatchHeader
    data: bytes | memoryview


def read_header(data: bytes | memoryview, at: int = 0) -> BatchHeader:
    """The header at `at`; raises struct.error when fewer than HEADER_SIZE bytes are there."""
    return BatchHeader._make(HEADER.unpack_from(data, at))


def crc_holds(data: bytes | memoryview, header: BatchHeader) -> bool:
    """Whether a whole batch has the CRC-32C its header states."""
    return bool(calc_crc32c(memoryview(data)[_CRC_COVERS_FROM:]) == header.crc)


def split(records: bytes) -> list[Batch]:
    """The batches of a produce request, each whole, of magic 2, and with a CRC that holds.

    Raises RefusedError: CORRUPT_MESSAGE, or UNSUPPORTED_FOR_MESSAGE_FORMAT for older formats.
    """
    batches = []
    view, at = memoryview(records), 0
    while at < len(view):
        if len(view) - at < HEADER_SIZE:
            raise RefusedError(Code.CORRUPT_MESSAGE, "a batch ends in its header")
        header = read_header(view, at)
        if header.magic != MAGIC:
            raise RefusedError(
                Code.UNSUPPORTED_FOR_MESSAGE_FORMAT, f"message format {header.magic}, not {MAGIC}"
            )
        if header.size < HEADER_SIZE or at + header.size > len(view):
            raise RefusedError(Code.CORRUPT_MESSAGE, "a batch is longer than its request")
        data = view[at : at + header.size]
        if not crc_holds(data, header):
            raise RefusedError(Code.CORRUPT_MESSAGE, "the CRC of a batch does not hold")
        if header.records < 1 or header.last_delta != header.records - 1:
            raise RefusedError(Code.INVALID_RECORD, "the counts of a batch disagree")
        batches.append(Batch(header, data))
        at += header.size
    return batches


def placed(batch: Batch, base_offset: int, append_time_ms: int | None) -> Batch:
    """The batch at its place in the log; its time replaced where `append_time_ms` is given."""
    data = bytearray(batch.data)
    struct.pack_into(">q", data, 0, base_offset)
    struct.pack_into(">i", data, _EPOCH_AT, 0)
    if append_time_ms is not None:
        attributes = batch.header.attributes | _APPEND_TIME
        struct.pack_into(">h", data, _ATTRIBUTES_AT, attributes)
        struct.pack_into(">q", data, _MAX_TIMESTAMP_AT, append_time_ms)
        struct.pack_into(">I", data, _CRC_AT, calc_crc32c(memoryview(data)[_CRC_COVERS_FROM:]))
    view = memoryview(data)
    return Batch(read_header(view), view)


def records_of(data: bytes | memoryview) -> Iterator[Record]:
    """The records of one batch, decompressed.

    Raises RefusedError(INVALID_RECORD) where there are none to read: a CRC holds for any bytes.
    """
    try:
        yield from DefaultRecordBatch(_plain(bytes(data)))
    except Exception as error:  # each compression codec raises errors of its own
        raise RefusedError(Code.INVALID_RECORD, f"the records cannot be read: {error}") from error


def _plain(data: bytes) -> bytes:
    """The batch without compression; its length and CRC, which nobody reads then, are as before."""
    attributes = read_header(data).attributes
    codec = attributes & _CODEC
    if codec == 0:
        return data
    head = bytearray(data[:HEADER_SIZE])
    struct.pack_into(">h", head, _ATTRIBUTES_AT, attributes & ~_CODEC)
    return bytes(head) + decompress(codec, data[HEADER_SIZE:])


def marker(producer_id: int, epoch: int, *, commit: bool, time_ms: int) -> Batch:
    """A control batch that ends a producer's transaction; its offset is set when it is placed."""
    key = _CONTROL_KEY.pack(0, _COMMIT if commit else _ABORT)
    value = struct.pack(">hi", 0, 0)  # version, coordinator epoch
    # Attributes, timestamp delta, offset delta, then key and value with zigzag lengths, no headers.
    record = b"\0\0\0" + bytes((len(key) << 1,)) + key + bytes((len(value) << 1,)) + value + b"\0"
    body = bytes((len(record) << 1,)) + record
    attributes = _TRANSACTIONAL | _CONTROL
    tail = struct.pack(">hiqqqhii", attributes, 0, time_ms, time_ms, producer_id, epoch, -1, 1)
    crc = calc_crc32c(tail + body)
    length = HEADER_SIZE - _LENGTH_COUNTS_FROM + len(body)
    data = struct.pack(">qiibI", 0, length, 0, MAGIC, crc) + tail + body
    return Batch(read_header(data), data)


def commits(batch: Batch) -> bool:
    """Whether a control batch commits its transaction; else it aborts it."""
    key = next(records_of(batch.data)).key
    return key is not None and _CONTROL_KEY.unpack_from(key)[1] == _COMMIT
