"""Compressed records made plain, within a bound: 9 KiB of zstd can say 300 MiB of zeros."""

import gzip
import io
from collections.abc import Callable

import cramjam
from aiokafka.codec import snappy_decode

# Far above what batches of a megabyte come to; a batch beyond it counts as one nobody can read.
MAX_BYTES = 64 << 20


class TooLargeError(ValueError):
    """More than MAX_BYTES when decompressed."""


def decompress(codec: int, body: bytes) -> bytes:
    """The records of a batch as they are without compression; `codec` as in its attributes.

    Raises TooLargeError, or what the codec raises on garbage.
    """
    if codec not in _DECODERS:
        raise ValueError(f"compression codec {codec}")
    return _DECODERS[codec](body)


def _gzip(body: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        plain = file.read(MAX_BYTES + 1)
    if len(plain) > MAX_BYTES:
        raise TooLargeError(f"gzip of more than {MAX_BYTES} bytes")
    return plain


def _snappy(body: bytes) -> bytes:
    # No bound of its own: its format cannot come to more than about 21 times its size.
    return bytes(snappy_decode(body))


def _into(decompress_into: Callable[[bytes, bytearray], int]) -> Callable[[bytes], bytes]:
    def decode(body: bytes) -> bytes:
        # Pages that are not written to cost nothing.
        room = bytearray(MAX_BYTES)
        n_bytes = decompress_into(body, room)
        return bytes(memoryview(room)[:n_bytes])

    return decode


_DECODERS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: _gzip,
    2: _snappy,
    3: _into(cramjam.lz4.decompress_into),
    4: _into(cramjam.zstd.decompress_into),
}
