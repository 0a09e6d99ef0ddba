"""The primitive types of the Kafka protocol, in their forms before and since flexible versions.

https://kafka.apache.org/protocol#protocol_types; compact forms are KIP-482's. Readers take what
they read from and the position, and return the value and the position behind it. They raise
MalformedError, or struct.error or IndexError where the bytes end too early.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.local.broker.errors import MalformedError

Pieces = list[bytes | memoryview]
Read = Callable[[bytes, int], tuple[Any, int]]
Write = Callable[[Pieces, Any], None]

# Kafka's bound, which is that of the 16-bit lengths before flexible versions: what came in with a
# longer length could not go out to an older client.
_LONGEST_STRING = 0x7FFF


# Compared by identity: there is one of each, and the compiled readers are kept by them.
@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A primitive type: its forms before and since flexible versions, and its default."""

    default: Any
    read: Read
    write: Write
    read_compact: Read
    write_compact: Write


def uvarint(value: int) -> bytes:
    """Unsigned varint, seven bits a byte, the least significant first."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_uvarint(buffer: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint of 32 bits: five bytes at most."""
    value = buffer[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in (7, 14, 21, 28):
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedError("a varint longer than five bytes")


_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")


def read_int16(buffer: bytes, at: int) -> tuple[int, int]:
    return _INT16.unpack_from(buffer, at)[0], at + 2


def read_int32(buffer: bytes, at: int) -> tuple[int, int]:
    return _INT32.unpack_from(buffer, at)[0], at + 4


def read_compact_length(buffer: bytes, at: int) -> tuple[int, int]:
    """A length written plus one, so that null (-1) is a zero."""
    length, at = read_uvarint(buffer, at)
    return length - 1, at


def compact_length(length: int) -> bytes:
    return uvarint(length + 1)


def _fixed(code: str, default: Any) -> Kind:
    layout = struct.Struct(">" + code)
    size, unpack, pack = layout.size, layout.unpack_from, layout.pack

    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        return unpack(buffer, at)[0], at + size

    def write(out: Pieces, value: Any) -> None:
        out.append(pack(value))

    return Kind(default, read, write, read, write)


def _sized(
    default: Any,
    from_bytes: Callable[[bytes], Any],
    to_bytes: Callable[[Any], bytes | memoryview],
    read_length: Callable[[bytes, int], tuple[int, int]],
    pack_length: Callable[[int], bytes],
) -> Kind:
    """A length and that many bytes; length -1 is null."""

    def reader(length_of: Callable[[bytes, int], tuple[int, int]]) -> Read:
        def read(buffer: bytes, at: int) -> tuple[Any, int]:
            length, at = length_of(buffer, at)
            if length < 0:
                return None, at
            end = at + length
            if end > len(buffer):
                raise MalformedError(f"{length} bytes announced, {len(buffer) - at} there")
            return from_bytes(buffer[at:end]), end

        return read

    def writer(length_bytes: Callable[[int], bytes]) -> Write:
        def write(out: Pieces, value: Any) -> None:
            if value is None:
                out.append(length_bytes(-1))
                return
            data = to_bytes(value)
            out.append(length_bytes(len(data)))
            out.append(data)

        return write

    return Kind(
        default,
        reader(read_length),
        writer(pack_length),
        reader(read_compact_length),
        writer(compact_length),
    )


def _text(data: bytes) -> str:
    if len(data) > _LONGEST_STRING:
        raise MalformedError(f"a string of {len(data)} bytes")
    # As Java reads it: bytes that are no UTF-8 become U+FFFD.
    return data.decode(errors="replace")


def _same(value: Any) -> Any:
    return value


BOOL = _fixed("?", False)
INT8 = _fixed("b", 0)
INT16 = _fixed("h", 0)
INT32 = _fixed("i", 0)
INT64 = _fixed("q", 0)
UUID = _fixed("16s", bytes(16))
STRING = _sized("", _text, str.encode, read_int16, _INT16.pack)
BYTES = _sized(b"", _same, _same, read_int32, _INT32.pack)
# Record batches: may be null in every version.
RECORDS = _sized(None, _same, _same, read_int32, _INT32.pack)
