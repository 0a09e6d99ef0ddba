"""Protocol tables as text: what a line may say."""

import pytest

from deploy.local.broker.protocol import primitives
from deploy.local.broker.protocol.tables import api, parse
from deploy.local.broker.protocol.wire import NEVER


def test_a_line_says_name_type_versions_nullability_default_and_tag() -> None:
    (field,) = parse("count []int32 v3-5 null v4+ = null tag 2")
    assert (field.name, field.kind, field.many) == ("count", primitives.INT32, True)
    assert (field.since, field.until, field.nullable) == (3, 5, 4)
    assert (field.default, field.tag) == (None, 2)


def test_a_name_and_a_type_are_enough() -> None:
    (field,) = parse("reason string")
    assert (field.since, field.until, field.nullable, field.tag) == (0, NEVER, NEVER, None)
    assert field.absent() == ""


def test_null_without_a_version_holds_since_the_field_is_there() -> None:
    (field,) = parse("reason string v2+ null")
    assert field.nullable == 2


@pytest.mark.parametrize(
    ("line", "absent"),
    [
        ("x bool = true", True),
        ("x bool", False),
        ("x int64 = -1", -1),
        ("x string null = null", None),
        ("x []int32", []),
        ("x records", None),
        ("x uuid", bytes(16)),
    ],
)
def test_what_a_field_is_where_it_is_left_out(line: str, absent: object) -> None:
    assert parse(line)[0].absent() == absent


def test_a_struct_left_out_is_its_fields_left_out() -> None:
    (field,) = parse("leader {}\n    id int32 = -1\n    host string")
    assert field.absent() == {"id": -1, "host": ""}


def test_nested_fields_are_indented() -> None:
    topics, timeout = parse(
        """
        topics []
            name string
            partitions []
                index int32
            error int16
        timeout int32
        """
    )
    assert isinstance(topics.kind, tuple)
    assert [field.name for field in topics.kind] == ["name", "partitions", "error"]
    assert timeout.name == "timeout"


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name text",
        "name string v",
        "name string = ",
        "topics []\n      name string",
        "name string\n    nested string",
        "name string\n\nother string",
    ],
)
def test_a_line_that_is_no_field_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse(text)


def test_an_api_without_flexible_versions_never_becomes_flexible() -> None:
    assert api(1, "A", versions=(0, 9), flexible=None, request="", response="").flexible > 9
