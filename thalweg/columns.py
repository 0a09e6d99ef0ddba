"""Options of several commands that say what the columns of a file are."""

from typing import Annotated

import typer

Entity = Annotated[str | None, typer.Option(help="Column of the entity.")]
EventId = Annotated[str | None, typer.Option(help="Column of the event id.")]
Time = Annotated[str | None, typer.Option(help="Column of the event time.")]
SeasonHours = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=84,
        help="Hold windows against the same hours of the reference's weeks, in slots of so many"
        " hours, which divide 168; needs --time.",
    ),
]
Calendar = Annotated[
    list[str] | None,
    typer.Option(
        help="Column that follows the calendar (hour, weekday), as often as there are: tested"
        " against the season, or not at all."
    ),
]
TimeOrigin = Annotated[
    str | None, typer.Option(help="What a numeric time counts from, e.g. 2013-09-01.")
]
