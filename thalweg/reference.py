"""`thalweg settings`: every setting, its default and what it does."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def register(app: typer.Typer) -> None:
    app.command()(settings)


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/settings.md.")] = False,
) -> None:
    """List every setting: environment variable, default, explanation."""
    from schemas.settings import Settings, variable_name, walk

    if markdown:
        from schemas.settings_reference import settings_markdown

        typer.echo(settings_markdown(), nl=False)
        return
    for path, info, text in walk(Settings):
        typer.echo(f"{variable_name(path)}={default_text(info)}\n    {' '.join(text.split())}")


def default_text(info: "FieldInfo") -> str:
    """The default as one would write it into the environment; empty where it depends."""
    if info.default_factory is not None:
        return ""
    value: Any = info.default
    return "" if value is None else str(value)
