"""`thalweg drift`: what the drift detectors say, of a file or of the live system."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from thalweg import drift_live
from thalweg.columns import Calendar, SeasonHours
from thalweg.context import DataDir, PipelineName, own_settings

if TYPE_CHECKING:
    from drift.findings import ScanReport

SHOWN = 12

drift_app = typer.Typer(
    help="Drift: of the live system (status, report), or by the same tests in a file of history.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class FailOn(StrEnum):
    NOTICE = "notice"
    ALERT = "alert"


File = Annotated[Path, typer.Argument(help="CSV or Parquet, rows in order of time.")]
Reference = Annotated[
    int | None,
    typer.Option(min=2, help="First rows to hold the rest against.", show_default="a fifth"),
]
Window = Annotated[
    int | None,
    typer.Option(min=10, help="Rows of a window.", show_default="a tenth of the reference"),
]
Label = Annotated[str | None, typer.Option(help="Column of the outcome, 0 or 1.")]
Score = Annotated[str | None, typer.Option(help="Column of a model's score.")]
Entity = Annotated[str | None, typer.Option(help="Column of who a row is about (a customer).")]
Time = Annotated[str | None, typer.Option(help="Column to put the rows in order by.")]
Arl0 = Annotated[
    float,
    typer.Option(
        min=10, max=1e6, help="Windows between false notices, on average, all tests together."
    ),
]


def register(app: typer.Typer) -> None:
    drift_live.register(drift_app)
    app.add_typer(drift_app, name="drift")


@drift_app.command()
def scan(
    file: File,
    *,
    reference: Reference = None,
    window: Window = None,
    label: Label = None,
    score: Score = None,
    model: Annotated[
        Path | None, typer.Option(help="Directory of a model of ours, to score the rows with.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Score from which a row is flagged.",
            show_default="the model's, or .5",
        ),
    ] = None,
    entity: Entity = None,
    time: Time = None,
    season_hours: SeasonHours = None,
    calendar: Calendar = None,
    arl0: Arl0 = 1_000.0,
    json: Annotated[Path | None, typer.Option(help="Write the findings here as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report here, one HTML page.")] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 when there is a finding of this level.")
    ] = None,
) -> None:
    """Say where a file's rows begin to differ from its first ones, and how sure that is.

    A notice is significant at the stated rate of false ones; an alert is large as well.
    """
    from deploy.scan.run import ScanRequest, scan_file
    from deploy.scan.table import Roles

    if score is not None and model is not None:
        raise ConfigurationError("give --score, a column, or --model, which makes one; not both")
    report = scan_file(
        ScanRequest(
            path=file,
            roles=Roles(label=label, score=score, entity=entity, time=time),
            model=model,
            n_reference=reference,
            window_rows=window,
            arl0=arl0,
            season_hours=season_hours,
            calendar=tuple(calendar or ()),
            threshold=threshold,
        )
    )
    if json is not None:
        from drift.report import to_json

        _write(json, to_json(report))
    if html is not None:
        from drift.report import to_html

        _write(html, to_html(report).encode())
    _show(report)
    failing = {FailOn.NOTICE: report.notices, FailOn.ALERT: report.alerts}
    if fail_on is not None and failing[fail_on]:
        raise typer.Exit(1)


@drift_app.command()
def calibrate(
    file: File,
    *,
    reference: Reference = None,
    window: Window = None,
    label: Label = None,
    score: Score = None,
    entity: Entity = None,
    time: Time = None,
    season_hours: SeasonHours = None,
    calendar: Calendar = None,
    arl0: Arl0 = 100.0,
) -> None:
    """Hold the stated rate of false notices against the realised one, on a stretch known to be
    stable: every notice there is a false one.
    """
    from deploy.scan.calibrate import calibrate_file
    from deploy.scan.run import ScanRequest
    from deploy.scan.table import Roles

    found = calibrate_file(
        ScanRequest(
            path=file,
            roles=Roles(label=label, score=score, entity=entity, time=time),
            n_reference=reference,
            window_rows=window,
            arl0=arl0,
            season_hours=season_hours,
            calendar=tuple(calendar or ()),
        )
    )
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(found.sentence)


@drift_app.command("reference")
def show_reference(
    *,
    model: Annotated[
        Path | None,
        typer.Option(help="Directory of a model.", show_default="the model of the pipeline"),
    ] = None,
    pipeline: PipelineName = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of a window.", show_default="a tenth of the reference"),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Show what the drift reference of a stored model holds, and what it is too short for."""
    from deploy.reference import describe_reference, load_reference

    if model is None:
        from schemas.pipeline import read_pipeline
        from storage.model_store import ModelStore

        settings = own_settings(data_dir, pipeline=pipeline)
        named = read_pipeline(settings.store, settings.pipeline)
        model = ModelStore(settings.store).path(named.model)
    for line in describe_reference(load_reference(model), window):
        typer.echo(line)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _show(report: "ScanReport") -> None:
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    n_windows = len(report.bounds)
    typer.echo(
        f"{report.n_rows:,} rows: {report.n_reference:,} of reference, {n_windows:,} windows of"
        f" {report.window_rows:,}; one false notice in {report.arl0:,.0f} windows is stated"
    )
    typer.echo(f"{len(report.notices)} notices, {len(report.alerts)} of them alerts")
    for finding in report.findings[:SHOWN]:
        typer.echo(f"{finding.level:>6}  row {finding.row:>9,}  {finding.sentence}")
    if len(report.findings) > SHOWN:
        typer.echo(
            f"        and {len(report.findings) - SHOWN} more: --json or --html has them all"
        )
