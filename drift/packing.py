"""Bytes of arrays: a MessagePack header and raw little-endian arrays, compressed, checked."""

import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

_DTYPES = ("|u1", "<u2", "<u4", "<u8", "<i8", "<f4", "<f8")

H = TypeVar("H")


class _Array(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    header: msgspec.Raw
    arrays: dict[str, _Array]


def pack(magic: bytes, header: object, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """`magic` (it names the format and its version), then `pack_body`, compressed."""
    return compress(magic, pack_body(header, arrays))


def compress(magic: bytes, body: bytes, level: int = 1) -> bytes:
    """What `pack` makes of a `pack_body`; at `level` 0 only framed, for what would not shrink."""
    return magic + zlib.compress(body, level)


def pack_body(header: object, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Header and arrays as bytes that are the same on every machine.

    int64 arrays without negative values travel in the narrowest unsigned type that holds them.
    """
    packed = _Packed(
        msgspec.Raw(msgspec.msgpack.encode(header)),
        {name: _pack_array(array) for name, array in arrays.items()},
    )
    return msgspec.msgpack.encode(packed)


def unpack(
    data: bytes, magic: bytes, header_type: type[H], max_bytes: int
) -> tuple[H, dict[str, NDArray[Any]]]:
    """Header and arrays (integers as int64 or uint64) of `pack`; raises ValueError for other bytes.

    At most `max_bytes` come out of the compression.
    """
    if data[: len(magic)] != magic:
        raise ValueError(f"it begins with {bytes(data[: len(magic)])!r} instead of {magic!r}")
    try:
        stream = zlib.decompressobj()
        body = stream.decompress(data[len(magic) :], max_bytes)
        if not stream.eof or stream.unused_data:
            raise ValueError(f"it is cut, has more behind it, or is above {max_bytes} bytes")
    except zlib.error as error:
        raise ValueError(f"broken: {error}") from error
    return unpack_body(body, header_type)


def unpack_body(body: bytes, header_type: type[H]) -> tuple[H, dict[str, NDArray[Any]]]:
    """Header and arrays of `pack_body`; raises ValueError for other bytes."""
    try:
        packed = msgspec.msgpack.decode(body, type=_Packed)
        header = msgspec.msgpack.decode(packed.header, type=header_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"broken: {error}") from error
    return header, {name: _unpack_array(array) for name, array in packed.arrays.items()}


def _pack_array(array: NDArray[Any]) -> _Array:
    if array.dtype == np.int64 and 0 <= array.min(initial=0) <= array.max(initial=0) < 2**32:
        array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    dtype = array.dtype.str
    assert dtype in _DTYPES, dtype
    return _Array(dtype, array.shape, array.tobytes())


def _unpack_array(packed: _Array) -> NDArray[Any]:
    if packed.dtype not in _DTYPES or any(size < 0 for size in packed.shape):
        raise ValueError(f"an array of {packed.dtype}{list(packed.shape)}")
    flat = np.frombuffer(packed.data, dtype=packed.dtype)
    array = flat.reshape(packed.shape)
    if array.dtype.kind == "u" and array.dtype.itemsize < 8:
        return array.astype(np.int64)
    return array.astype(array.dtype.newbyteorder("="))
