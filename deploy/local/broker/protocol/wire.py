"""The Kafka wire format: message tables compiled into readers and writers, one pair per version.

A message is a dict whose keys are the names of Kafka's own message definitions in snake case.
Fields that a version lacks read as their defaults; fields that a handler leaves out are written
as their defaults. Compact ("flexible") forms and tagged fields: KIP-482.
"""

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from deploy.local.broker.errors import MalformedError
from deploy.local.broker.protocol.primitives import (
    BYTES,
    INT32,
    STRING,
    Kind,
    Pieces,
    Read,
    Write,
    compact_length,
    read_compact_length,
    read_int32,
    read_uvarint,
    uvarint,
)

__all__ = ["MAX_ITEMS", "NEVER", "STRING", "Api", "Field", "Message", "read_uvarint"]

Message = dict[str, Any]

NEVER = 1 << 15
# Items of all arrays (and tagged fields) in one message. Two bytes on the wire can make a dict of
# 300: without a bound 100 MiB of request would become 15 GB, and hold up all other clients.
MAX_ITEMS = 100_000
_UNSET = object()


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
        if isinstance(self.kind, Kind):
            return self.kind.default
        return {field.name: field.absent() for field in self.kind}


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
        return b"".join(_encode(self.request, version, version >= self.flexible, message))

    def decode_response(self, version: int, body: bytes, at: int = 0) -> Message:
        """The response in `body` from `at` on; raises MalformedError when it is none."""
        return _decode(self.response, version, version >= self.flexible, body, at)

    def encode_response(self, version: int, message: Message) -> Pieces:
        """The response in pieces: record batches are not copied."""
        return _encode(self.response, version, version >= self.flexible, message)


class _Allowance(threading.local):
    """How many more items the message being decoded may have."""

    left = 0

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise MalformedError(f"more than {MAX_ITEMS} items in one message")


_allowance = _Allowance()


def _decode(
    fields: tuple[Field, ...], version: int, flexible: bool, body: bytes, at: int
) -> Message:
    _allowance.left = MAX_ITEMS
    try:
        message, _ = _reader(fields, version, flexible)(body, at)
    except (struct.error, IndexError) as error:
        raise MalformedError("the message ends too early") from error
    return message  # type: ignore[no-any-return]


def _encode(fields: tuple[Field, ...], version: int, flexible: bool, message: Message) -> Pieces:
    pieces: Pieces = []
    _writer(fields, version, flexible)(pieces, message)
    return pieces


# --- structs ------------------------------------------------------------------------------------


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
    if count:
        _allowance.take(count)
    for _ in range(count):
        tag, at = read_uvarint(buffer, at)
        size, at = read_uvarint(buffer, at)
        end = at + size
        if end > len(buffer):
            raise MalformedError("a tagged field is longer than its message")
        if tag in known:
            name, read_field = known[tag]
            message[name], at = read_field(buffer, at)
            if at != end:
                raise MalformedError(f"{name} is not of the size of its tagged field")
        at = end
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

    def write(out: Pieces, message: Message) -> None:
        for name, default, write_field in plain:
            write_field(out, message.get(name, default))
        if flexible:
            _write_tags(tagged, message, out)

    return write


def _write_tags(
    known: Sequence[tuple[int, str, Any, Write]], message: Message, out: Pieces
) -> None:
    given = [entry for entry in known if message.get(entry[1], entry[2]) != entry[2]]
    out.append(uvarint(len(given)))
    for tag, name, _, write_field in given:
        pieces: Pieces = []
        write_field(pieces, message[name])
        out += [uvarint(tag), uvarint(sum(map(len, pieces))), *pieces]


# --- fields and arrays --------------------------------------------------------------------------


def _field_reader(field: Field, version: int, flexible: bool) -> Read:
    nullable = version >= field.nullable
    if not field.many:
        return _item_reader(field, version, flexible, nullable=nullable)
    # Kafka has no array whose items may be null.
    read_item = _item_reader(field, version, flexible, nullable=False)
    return _array_reader(field.name, read_item, flexible, nullable)


def _item_reader(field: Field, version: int, flexible: bool, *, nullable: bool) -> Read:
    if not isinstance(field.kind, Kind):
        return _reader(field.kind, version, flexible)
    read = field.kind.read_compact if flexible else field.kind.read
    if nullable or field.kind not in (STRING, BYTES):
        return read
    return _required(field.name, read)


def _required(name: str, read: Read) -> Read:
    def read_required(buffer: bytes, at: int) -> tuple[Any, int]:
        value, at = read(buffer, at)
        if value is None:
            raise MalformedError(f"{name} is null")
        return value, at

    return read_required


def _array_reader(name: str, read_item: Read, flexible: bool, nullable: bool) -> Read:
    read_count = read_compact_length if flexible else read_int32

    def read(buffer: bytes, at: int) -> tuple[list[Any] | None, int]:
        count, at = read_count(buffer, at)
        if count < 0:
            if not nullable:
                raise MalformedError(f"{name} is null")
            return None, at
        # An item takes a byte at least.
        if count > len(buffer) - at:
            raise MalformedError(f"{name}: {count} items in {len(buffer) - at} bytes")
        _allowance.take(count)
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
    def write(out: Pieces, items: Sequence[Any] | None) -> None:
        count = -1 if items is None else len(items)
        if flexible:
            out.append(compact_length(count))
        else:
            INT32.write(out, count)
        for item in items or ():
            write_item(out, item)

    return write
