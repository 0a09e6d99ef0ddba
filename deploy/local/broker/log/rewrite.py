"""Batches with some of their records taken out: offsets, sequences and the rest stay as they were.

A batch whose tombstones (or marker) compaction keeps for a while carries the time from which they
may go, its delete horizon, in place of its first timestamp (KIP-534): attribute bit 6.
"""

import struct
from collections.abc import Callable, Iterator, Sequence

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

from deploy.local.broker.log.batches import HEADER, HEADER_SIZE, Batch, BatchHeader
from deploy.local.broker.log.compression import decompress

_CODEC = 0x07
_APPEND_TIME = 0x08
_HORIZON = 0x40
_CRC_AT = 17
_CRC_COVERS_FROM = 21
_LENGTH_COUNTS_FROM = 12

_ENCODERS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: codec.gzip_encode,
    2: codec.snappy_encode,
    3: codec.lz4_encode,
    4: codec.zstd_encode,
}


def delete_horizon(header: BatchHeader) -> int | None:
    """From when on (ms) the batch's tombstones or marker may go; None where that is not set yet."""
    return header.first_timestamp if header.attributes & _HORIZON else None


def frames(batch: Batch) -> list[bytes]:
    """The batch's records, each as its bytes, length included."""
    body = decompress(batch.header.attributes & _CODEC, bytes(batch.data[HEADER_SIZE:]))
    return list(_frames(body))


def rewritten(
    batch: Batch, kept: Sequence[bytes], max_timestamp: int, horizon: int | None
) -> Batch:
    """The batch with the frames in `kept` only; `horizon` is its delete horizon from now on."""
    header = batch.header
    attributes, first = header.attributes, header.first_timestamp
    if horizon is not None and first != horizon:
        kept = [_moved(frame, first - horizon) for frame in kept]
        first = horizon
    if horizon is not None:
        attributes |= _HORIZON
    if attributes & _APPEND_TIME:
        max_timestamp = header.max_timestamp
    body = _ENCODERS[attributes & _CODEC](b"".join(kept))
    header = header._replace(
        attributes=attributes,
        first_timestamp=first,
        max_timestamp=max_timestamp,
        records=len(kept),
    )
    return _sealed(header, body)


def emptied(batch: Batch) -> Batch:
    """A batch of no records and no producer that stands for the offsets of `batch`."""
    attributes = batch.header.attributes & _APPEND_TIME
    header = batch.header._replace(
        attributes=attributes, producer_id=-1, producer_epoch=-1, base_sequence=-1, records=0
    )
    return _sealed(header, b"")


def _sealed(header: BatchHeader, body: bytes) -> Batch:
    """Header and body as one batch, with its length and its CRC."""
    header = header._replace(length=HEADER_SIZE - _LENGTH_COUNTS_FROM + len(body))
    data = bytearray(HEADER.pack(*header)) + body
    crc = calc_crc32c(memoryview(data)[_CRC_COVERS_FROM:])
    struct.pack_into(">I", data, _CRC_AT, crc)
    return Batch(header._replace(crc=crc), bytes(data))


def _frames(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        length, start = _read_varint(body, at)
        yield body[at : start + length]
        at = start + length


def _moved(frame: bytes, by: int) -> bytes:
    """The frame with `by` added to its timestamp delta."""
    _, start = _read_varint(frame, 0)
    delta, rest = _read_varint(frame, start + 1)  # behind the attributes
    body = frame[start : start + 1] + _varint(delta + by) + frame[rest:]
    return _varint(len(body)) + body


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint and the position behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


def _varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
