"""The Kafka wire format: message tables compiled into readers and writers, one pair per version.

Types, compact ("flexible", KIP-482) forms and tagged fields follow the protocol guide
(https://kafka.apache.org/protocol). A message is a dict whose keys are the names of Kafka's own
message definitions in snake case. Fields that a version lacks read as their defaults; fields that
a handler leaves out are written as their defaults.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from deploy.local.broker.errors import MalformedError

Read = Callable[[bytes, int], tuple[Any, int]]
Write = Callable[[list[bytes | memoryview], Any], None]
Message = dict[str, Any]

NEVER = 1 << 15
_UNSET = object()


# Compared by identity: tables are written once, and hashing them by value would be deep.
@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A primitive type: its forms before and since flexible versions, and its default."""

    default: Any
    read: Read
    write: Write
    read_compact: Read
    write_compact: Write


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field: in versions `since` to `until`, null allowed from version `nullable`.

    `kind` is a primitive or the fields of a nested struct; `many` makes it an array of those.
    A field with a `tag` is written after the others, and only where it is not its default.
    """

    name: str
    kind: "Kind | tuple[Field, ...]"
    many: bool = False
    since: int = 0
    until: int = NEVER
    nullable: int = NEVER
    default: Any = _UNSET
    tag: int | None = None

    def absent(self) -> Any:
        """What the field reads as where a version lacks it; never shared between messages."""
        if self.default is not _UNSET:
            return self.default
        if self.many:
            return []
        return self.kind.default if isinstance(self.kind, Kind) else None


@dataclass(frozen=True, slots=True, eq=False)
class Api:
    """One request type: its key, the versions spoken here, and its two tables."""

    key: int
    name: str
    oldest: int
    newest: int
    flexible: int
    request: tuple[Field, ...]
    response: tuple[Field, ...]

    def decode_request(self, version: int, body: bytes, at: int = 0) -> Message:
        """The request in `body` from `at` on; raises MalformedError when it is none."""
        return _decode(self.request, version, version >= self.flexible, body, at)

    def encode_request(self, version: int, message: Message) -> bytes:
        return _encode(self.request, version, version >= self.flexible, message)

    def decode_response(self, version: int, body: bytes, at: int = 0) -> Message:
        return _decode(self.response, version, version >= self.flexible, body, at)

    def encode_response(self, version: int, message: Message) -> list[bytes | memoryview]:
        """The response in pieces: record batches are not copied."""
        pieces: list[bytes | memoryview] = []
        _writer(self.response, version, version >= self.flexible)(pieces, message)
        return pieces


def _decode(
    fields: tuple[Field, ...], version: int, flexible: bool, body: bytes, at: int
) -> Message:
    try:
        message, _ = _reader(fields, version, flexible)(body, at)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedError(f"{error}") from error
    return message  # type: ignore[no-any-return]


def _encode(fields: tuple[Field, ...], version: int, flexible: bool, message: Message) -> bytes:
    pieces: list[bytes | memoryview] = []
    _writer(fields, version, flexible)(pieces, message)
    return b"".join(pieces)


# --- compiled structs ---------------------------------------------------------------------------


@cache
def _reader(fields: tuple[Field, ...], version: int, flexible: bool) -> Read:
    present = [field for field in fields if field.since <= version <= field.until]
    plain = [(f.name, _field_reader(f, version, flexible)) for f in present if f.tag is None]
    tagged = {
        f.tag: (f.name, _field_reader(f, version, flexible)) for f in present if f.tag is not None
    }
    missing = [f for f in fields if f not in present or f.tag is not None]

    def read(buffer: bytes, at: int) -> tuple[Message, int]:
        message: Message = {}
        for name, read_field in plain:
            message[name], at = read_field(buffer, at)
        for field in missing:
            message[field.name] = field.absent()
        if flexible:
            at = _read_tags(tagged, message, buffer, at)
        return message, at

    return read


def _read_tags(known: dict[int, tuple[str, Read]], message: Message, buffer: bytes, at: int) -> int:
    count, at = read_uvarint(buffer, at)
    for _ in range(count):
        tag, at = read_uvarint(buffer, at)
        size, at = read_uvarint(buffer, at)
        if at + size > len(buffer):
            raise MalformedError("a tagged field is longer than its message")
        if tag in known:
            name, read_field = known[tag]
            message[name], _ = read_field(buffer, at)
        at += size
    return at


@cache
def _writer(fields: tuple[Field, ...], version: int, flexible: bool) -> Write:
    present = [field for field in fields if field.since <= version <= field.until]
    plain = [
        (f.name, f.absent(), _field_writer(f, version, flexible)) for f in present if f.tag is None
    ]
    tagged = sorted(
        (f.tag, f.name, f.absent(), _field_writer(f, version, flexible))
        for f in present
        if f.tag is not None
    )

    def write(out: list[bytes | memoryview], message: Message) -> None:
        for name, default, write_field in plain:
            write_field(out, message.get(name, default))
        if flexible:
            _write_tags(tagged, message, out)

    return write


def _write_tags(
    known: Sequence[tuple[int, str, Any, Write]], message: Message, out: list[bytes | memoryview]
) -> None:
    given = [entry for entry in known if message.get(entry[1], entry[2]) != entry[2]]
    out.append(uvarint(len(given)))
    for tag, name, _, write_field in given:
        pieces: list[bytes | memoryview] = []
        write_field(pieces, message[name])
        out += [uvarint(tag), uvarint(sum(map(len, pieces))), *pieces]


def _field_reader(field: Field, version: int, flexible: bool) -> Read:
    nullable = version >= field.nullable
    if field.many:
        return _array_reader(_item_reader(field, version, flexible), flexible, nullable)
    if isinstance(field.kind, Kind):
        return _required(_item_reader(field, version, flexible), field, nullable)
    return _item_reader(field, version, flexible)


def _required(read: Read, field: Field, nullable: bool) -> Read:
    if nullable or field.kind not in (STRING, BYTES):
        return read

    def read_required(buffer: bytes, at: int) -> tuple[Any, int]:
        value, at = read(buffer, at)
        if value is None:
            raise MalformedError(f"{field.name} is null")
        return value, at

    return read_required


def _item_reader(field: Field, version: int, flexible: bool) -> Read:
    if isinstance(field.kind, Kind):
        return field.kind.read_compact if flexible else field.kind.read
    return _reader(field.kind, version, flexible)


def _array_reader(read_item: Read, flexible: bool, nullable: bool) -> Read:
    read_count = _read_compact_length if flexible else _read_int32

    def read(buffer: bytes, at: int) -> tuple[list[Any] | None, int]:
        count, at = read_count(buffer, at)
        if count < 0 and nullable:
            return None, at
        # An item takes a byte at least: a count beyond that is garbage, and must not cost memory.
        if not 0 <= count <= len(buffer) - at:
            raise MalformedError(f"an array of {count} items in {len(buffer) - at} bytes")
        items = []
        for _ in range(count):
            item, at = read_item(buffer, at)
            items.append(item)
        return items, at

    return read


def _field_writer(field: Field, version: int, flexible: bool) -> Write:
    if isinstance(field.kind, Kind):
        write_item = field.kind.write_compact if flexible else field.kind.write
    else:
        write_item = _writer(field.kind, version, flexible)
    return _array_writer(write_item, flexible) if field.many else write_item


def _array_writer(write_item: Write, flexible: bool) -> Write:
    def write(out: list[bytes | memoryview], items: Sequence[Any] | None) -> None:
        count = -1 if items is None else len(items)
        out.append(uvarint(count + 1) if flexible else _INT32.pack(count))
        for item in items or ():
            write_item(out, item)

    return write


# --- primitives ---------------------------------------------------------------------------------

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")


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


def _read_int32(buffer: bytes, at: int) -> tuple[int, int]:
    return _INT32.unpack_from(buffer, at)[0], at + 4


def _read_int16(buffer: bytes, at: int) -> tuple[int, int]:
    return _INT16.unpack_from(buffer, at)[0], at + 2


def _read_compact_length(buffer: bytes, at: int) -> tuple[int, int]:
    length, at = read_uvarint(buffer, at)
    return length - 1, at


def _fixed(code: str, default: Any) -> Kind:
    layout = struct.Struct(">" + code)
    size, unpack, pack = layout.size, layout.unpack_from, layout.pack

    def read(buffer: bytes, at: int) -> tuple[Any, int]:
        return unpack(buffer, at)[0], at + size

    def write(out: list[bytes | memoryview], value: Any) -> None:
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
        def write(out: list[bytes | memoryview], value: Any) -> None:
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
        reader(_read_compact_length),
        writer(lambda length: uvarint(length + 1)),
    )


def _same(value: Any) -> Any:
    return value


BOOL = _fixed("?", False)
INT8 = _fixed("b", 0)
INT16 = _fixed("h", 0)
INT32 = _fixed("i", 0)
INT64 = _fixed("q", 0)
UUID = _fixed("16s", bytes(16))
STRING = _sized("", lambda data: data.decode(), str.encode, _read_int16, _INT16.pack)
BYTES = _sized(b"", _same, _same, _read_int32, _INT32.pack)
# Record batches: nullable always.
RECORDS = _sized(None, _same, _same, _read_int32, _INT32.pack)
