"""Options of `bootstrap` and `replay` that say which columns of a file are no features."""

from typing import Annotated

import typer

Entity = Annotated[str | None, typer.Option(help="Column of the entity.")]
EventId = Annotated[str | None, typer.Option(help="Column of the event id.")]
Time = Annotated[str | None, typer.Option(help="Column of the event time.")]
TimeOrigin = Annotated[
    str | None, typer.Option(help="What a numeric time counts from, e.g. 2013-09-01.")
]
