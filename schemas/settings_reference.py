"""docs/settings.md, made from the settings tree so that it cannot go stale."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from schemas.settings import Settings, variable_name, walk

_HEAD = """\
# Settings

Made by `thalweg settings --markdown` from `schemas/settings.py`; do not edit by hand.

Every process reads its settings from the environment, once, at start. A setting that does not exist
is refused with the nearest one that does, an empty value counts as not given, and case does not
matter. A whole section may also be given as one JSON object, as in
`THALWEG_KAFKA='{"bootstrap_servers": "a:9092,b:9092"}'`; single variables win over it.
"""
_KINDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}


def settings_markdown() -> str:
    """Every setting with its type, default and meaning, as the text of docs/settings.md."""
    sections: dict[str, list[str]] = {}
    for path, info, explanation in walk(Settings):
        section = path[0] if len(path) > 1 else ""
        sections.setdefault(section, []).append(_row(path, info, explanation))
    return _HEAD + "".join(
        f"\n## {_title(section)}\n\n{_introduction(section)}"
        "| variable | value | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
        for section, rows in sections.items()
    )


def _title(section: str) -> str:
    return f"`{section}`" if section else "General"


def _introduction(section: str) -> str:
    model = Settings.model_fields[section].annotation if section else None
    if not (isinstance(model, type) and issubclass(model, BaseModel) and model.__doc__):
        return ""
    return " ".join(model.__doc__.split()) + "\n\n"


def _row(path: tuple[str, ...], info: FieldInfo, explanation: str) -> str:
    cells = (
        f"`{variable_name(path)}`",
        _value(info),
        _default(info),
        " ".join(explanation.split()),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _value(info: FieldInfo) -> str:
    return ", ".join((_kind(info.annotation), *_limits(info.metadata)))


def _kind(annotation: Any) -> str:
    """A type in words."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    members = [each for each in get_args(annotation) if each is not NoneType]
    return _kind(members[0]) if members else _KINDS[annotation]


def _limits(metadata: Iterable[object]) -> list[str]:
    words: Mapping[str, str] = {"gt": "above", "ge": "from", "le": "to", "pattern": "matching"}
    return [
        f"{word} `{getattr(limit, name)}`"
        for limit in metadata
        for name, word in words.items()
        if getattr(limit, name, None) is not None
    ]


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "see there"
    if info.default is None or info.default == "":
        return ""
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else info.default}`"
