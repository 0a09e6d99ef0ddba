"""Our protocol tables against Apache Kafka's own message definitions, version by version."""

import json
import os
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.local.broker.protocol import primitives
from deploy.local.broker.protocol.messages import APIS
from deploy.local.broker.protocol.primitives import Kind
from deploy.local.broker.protocol.wire import NEVER, Api, Field

HOME = os.environ.get("KAFKA_HOME", "")
pytestmark = pytest.mark.skipif(not HOME, reason="KAFKA_HOME is not set: nothing to hold against")

every_api = pytest.mark.parametrize("api", APIS.values(), ids=[api.name for api in APIS.values()])
TYPES = {
    getattr(primitives, name.upper()): name
    for name in ("bool", "int8", "int16", "int32", "int64", "uuid", "string", "bytes", "records")
}
ZERO: dict[str, Any] = {"bool": False, "string": "", "bytes": b"", "uuid": bytes(16)}


@cache
def definition(name: str) -> dict[str, Any]:
    """Kafka's definition of one message: JSON with comments, in the jar of its clients."""
    (jar,) = Path(HOME, "libs").glob("kafka-clients-[0-9]*.jar")
    with zipfile.ZipFile(jar) as archive:
        text = archive.read(f"common/message/{name}.json").decode()
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))


def within(versions: str, version: int) -> bool:
    """Whether Kafka's "3", "3-5", "3+" or "none" holds `version`."""
    if versions == "none":
        return False
    first, _, last = versions.rstrip("+").partition("-")
    return int(first) <= version <= int(last or (NEVER if versions.endswith("+") else first))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Described(NamedTuple):
    """One field as one version has it."""

    name: str
    type: str
    many: bool
    nullable: bool
    default: Any
    tag: int | None
    nested: "list[Described]"


def default_of(field: dict[str, Any], kind: str, *, many: bool) -> Any:
    given = field.get("default", "")
    if given == "null":
        return None
    if many:
        return []
    if given == "":
        return ZERO.get(kind, 0)
    if kind == "bool":
        return str(given).lower() == "true"
    return int(str(given), 0) if kind.startswith("int") else given


def kafkas(fields: list[dict[str, Any]], commons: dict[str, Any], version: int) -> list[Described]:
    described = []
    for field in fields:
        if not within(field["versions"], version):
            continue
        kind = field["type"].removeprefix("[]")
        many = kind != field["type"]
        nested = field.get("fields") or commons.get(kind)
        described.append(
            Described(
                snake(field["name"]),
                "struct" if nested else kind,
                many,
                within(field.get("nullableVersions", "none"), version),
                None if unset(kind, many, nested) else default_of(field, kind, many=many),
                field["tag"] if within(field.get("taggedVersions", "none"), version) else None,
                kafkas(nested, commons, version) if nested else [],
            )
        )
    return described


def ours(fields: tuple[Field, ...], version: int) -> list[Described]:
    described = []
    for field in fields:
        if not field.since <= version <= field.until:
            continue
        nested = None if isinstance(field.kind, Kind) else field.kind
        kind = TYPES[field.kind] if nested is None else "struct"
        described.append(
            Described(
                field.name,
                kind,
                field.many,
                # Our records may be null always, as in Kafka.
                version >= field.nullable or kind == "records",
                None if unset(kind, field.many, nested) else field.absent(),
                field.tag,
                [] if nested is None else ours(nested, version),
            )
        )
    return described


def unset(kind: str, many: bool, nested: Any) -> bool:
    """A struct's default is that of its fields; records are never left out."""
    return kind == "records" or (nested is not None and not many)


def kafkas_message(name: str, version: int) -> list[Described]:
    found = definition(name)
    commons = {struct["name"]: struct["fields"] for struct in found.get("commonStructs", [])}
    return kafkas(found["fields"], commons, version)


@every_api
@pytest.mark.parametrize("side", ["Request", "Response"])
def test_every_field_of_every_version_is_kafkas(api: Api, side: str) -> None:
    fields = api.request if side == "Request" else api.response
    for version in range(api.oldest, api.newest + 1):
        assert ours(fields, version) == kafkas_message(api.name + side, version), version


@every_api
def test_key_and_versions_are_ones_that_kafka_speaks(api: Api) -> None:
    request = definition(f"{api.name}Request")
    assert request["apiKey"] == api.key
    assert "broker" in request["listeners"]
    assert request["validVersions"] == definition(f"{api.name}Response")["validVersions"]
    for version in (api.oldest, api.newest):
        assert within(request["validVersions"], version)


@every_api
@pytest.mark.parametrize("side", ["Request", "Response"])
def test_messages_are_flexible_from_the_version_they_are_in_kafka(api: Api, side: str) -> None:
    flexible = definition(api.name + side)["flexibleVersions"]
    for version in range(api.oldest, api.newest + 1):
        assert (version >= api.flexible) == within(flexible, version)
