"""`thalweg bootstrap`: a pipeline out of labelled history, live at once."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from thalweg.columns import Calendar, Entity, EventId, SeasonHours, Time, TimeOrigin
from thalweg.context import DataDir, find_settings

if TYPE_CHECKING:
    from deploy.bootstrap import Bootstrapped
    from schemas.settings import Settings


class TimeUnit(StrEnum):
    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"


def register(app: typer.Typer) -> None:
    app.command()(bootstrap)


def bootstrap(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV, Parquet or JSONL with the known outcome in a column.",
            show_default="the history of the synthetic fraud stream",
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the outcome, 0 or 1.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the pipeline.", show_default="the file's, or fraud")
    ] = None,
    entity: Entity = None,
    event_id: EventId = None,
    time: Time = None,
    time_origin: TimeOrigin = None,
    time_unit: Annotated[TimeUnit, typer.Option(help="Unit of a numeric time.")] = TimeUnit.SECONDS,
    time_is_feature: Annotated[
        bool, typer.Option("--time-is-feature", help="The time column stays a feature too.")
    ] = False,
    season_hours: SeasonHours = None,
    calendar: Calendar = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a pipeline that has other features.")
    ] = False,
    segment: Annotated[
        list[str] | None,
        typer.Option(
            help="Category or boolean column: rows of each of its values are watched for drift by"
            " themselves too. Repeatable.",
            show_default="none, and those it has go",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a pipeline: schema from the columns, a first model, topics; live if a stack runs."""
    from deploy.bootstrap import bootstrap_file, bootstrap_fraud, pipeline_name, worker_starts
    from deploy.replay import parse_origin
    from schemas.pipeline import ColumnMapping

    settings = find_settings(data_dir)
    if file is None:
        wanted = name or settings.pipeline
        before = worker_starts(settings, wanted)
        done = bootstrap_fraud(settings, wanted, tuple(segment or ()))
    else:
        if label is None:
            raise ConfigurationError("name the column of the known outcome: --label COLUMN")
        mapping = ColumnMapping(
            label=label,
            entity=entity,
            event_id=event_id,
            time=time,
            time_origin_ms=parse_origin(time_origin) if time_origin else 0,
            time_unit=time_unit.value,
            time_is_feature=time_is_feature,
            season_hours=season_hours,
            calendar=tuple(calendar or ()),
        )
        before = worker_starts(settings, name or pipeline_name(file))
        done = bootstrap_file(
            settings, file, mapping, name=name, replace=replace, segments=tuple(segment or ())
        )
    typer.echo(_told(done))
    _go_live(settings, done, before)


def _go_live(settings: "Settings", done: "Bootstrapped", before: dict[str, int]) -> None:
    if "bootstrap_servers" not in settings.kafka.model_fields_set:
        typer.echo("no stack runs: `thalweg up` starts one with it")
        return
    from deploy.bootstrap import make_live

    topics = make_live(settings, done, before)
    if topics:
        typer.echo(f"created topics {', '.join(topics)}")
    typer.echo(f"pipeline {done.pipeline.name} is live")


def _told(done: "Bootstrapped") -> str:
    measures = ", ".join(
        f"{name.removeprefix('held_out_').replace('_', ' ')} {value:.4f}"
        for name, value in done.measures.items()
        if name.startswith("held_out_") and isinstance(value, float)
    )
    n_features = len(done.pipeline.schema)
    return (
        f"pipeline {done.pipeline.name} {done.change}: {n_features} features,"
        f" model {done.model_version} (on held-out rows: {measures})"
    )
