"""Protocol tables as text: one field a line, nested fields indented below theirs.

A line is `name type [v3+ | v8-10] [null | null v2+] [= default] [tag 0]`: in which versions the
field is there, since when it may be null, what it is where it is left out, its tag. The type is a
primitive, `[]primitive`, `[]` for an array of structs or `{}` for a struct.
"""

import re
from textwrap import dedent

from deploy.local.broker.protocol import primitives
from deploy.local.broker.protocol.primitives import Kind
from deploy.local.broker.protocol.wire import NEVER, Api, Field

_KINDS: dict[str, Kind] = {
    "bool": primitives.BOOL,
    "int8": primitives.INT8,
    "int16": primitives.INT16,
    "int32": primitives.INT32,
    "int64": primitives.INT64,
    "uuid": primitives.UUID,
    "string": primitives.STRING,
    "bytes": primitives.BYTES,
    "records": primitives.RECORDS,
}
_LINE = re.compile(
    r"(?P<indent> *)(?P<name>\w+) (?P<many>\[\])?(?P<kind>\w+|\{\})?"
    r"(?: v(?P<since>\d+)(?:\+|-(?P<until>\d+)))?"
    r"(?P<null> null(?: v(?P<nullable>\d+)\+)?)?"
    r"(?: = (?P<default>\S+))?"
    r"(?: tag (?P<tag>\d+))?"
)
_CONSTANTS = {"null": None, "true": True}


def api(
    key: int,
    name: str,
    *,
    versions: tuple[int, int],
    flexible: int | None,
    request: str,
    response: str,
) -> Api:
    """A request type; `flexible` is its first flexible version, None when it has none."""
    first_flexible = NEVER if flexible is None else flexible
    return Api(key, name, *versions, first_flexible, parse(request), parse(response))


def parse(text: str) -> tuple[Field, ...]:
    """The fields of a table; raises ValueError that shows the line that is none."""
    fields, rest = _parse(dedent(text).strip("\n").splitlines(), 0)
    if rest:
        raise ValueError(f"not indented as a field: {rest[0]!r}")
    return fields


def _parse(lines: list[str], indent: int) -> tuple[tuple[Field, ...], list[str]]:
    fields = []
    while lines:
        match = _LINE.fullmatch(lines[0])
        if match is None:
            raise ValueError(f"not a field: {lines[0]!r}")
        if len(match["indent"]) != indent:
            break
        kind: Kind | tuple[Field, ...]
        if match["kind"] in (None, "{}"):
            kind, lines = _parse(lines[1:], indent + 4)
        else:
            kind, lines = _KINDS[match["kind"]], lines[1:]
        fields.append(_field(match, kind))
    return tuple(fields), lines


def _field(match: re.Match[str], kind: Kind | tuple[Field, ...]) -> Field:
    since = int(match["since"] or 0)
    default = match["default"]
    options = {}
    if default is not None:
        options["default"] = _CONSTANTS[default] if default in _CONSTANTS else int(default)
    return Field(
        match["name"],
        kind,
        many=match["many"] is not None,
        since=since,
        until=int(match["until"] or NEVER),
        nullable=int(match["nullable"] or since) if match["null"] else NEVER,
        tag=None if match["tag"] is None else int(match["tag"]),
        **options,
    )
