"""`thalweg settings`: every setting, its default and what it does."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def register(app: typer.Typer) -> None:
    app.command()(settings)


def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a Markdown table.")] = False,
) -> None:
    """List every setting: environment variable, default, explanation."""
    from schemas.settings import Settings, variable_name, walk

    rows = [
        (variable_name(path), default_text(info), " ".join(text.split()))
        for path, info, text in walk(Settings)
    ]
    if markdown:
        typer.echo("| variable | default | |\n|---|---|---|")
        for name, default, text in rows:
            shown = f"`{default}`" if default else ""
            typer.echo(f"| `{name}` | {shown} | {text.replace('|', chr(92) + '|')} |")
        return
    for name, default, text in rows:
        typer.echo(f"{name}={default}\n    {text}")


def default_text(info: "FieldInfo") -> str:
    """The default as one would write it into the environment; empty where it depends."""
    if info.default_factory is not None:
        return ""
    value: Any = info.default
    return "" if value is None else str(value)
