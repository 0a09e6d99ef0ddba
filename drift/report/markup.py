"""HTML and SVG by small functions: a plain string is always escaped, only `Markup` is not."""

import html
from collections.abc import Iterable

from drift.report.text import clean, clip

MAX_TEXT = 600
"""Characters of any one piece of text; the middle of what is longer is left out."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Iterable[str | None] | None
"""What an element holds: text, Markup, several of them, or nothing."""

VOID = frozenset({"meta", "br", "hr", "wbr"})


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """The element `name`; `class_` is written "class" and underscores as hyphens, None left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(clean(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """The children one after another, strings escaped, None left out."""
    return Markup("".join(_render(child) for child in children))


def bdi(text: str, limit: int = 60) -> Markup:
    """A stranger's name: clipped, and its direction of writing kept to itself."""
    shown = clip(text, limit) or "(no name)"
    return tag("bdi", shown, title=clip(text, 300) if len(text) > limit else None)


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(clip(child, MAX_TEXT))
    return "".join(_render(each) for each in child)
