"""`thalweg drift status` and `report`: what the live system found."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from thalweg.context import DataDir, PipelineName, find_settings

MAX_WINDOWS = 10_000


def register(drift_app: typer.Typer) -> None:
    drift_app.command()(status)
    drift_app.command()(report)


def status(
    *,
    pipeline: PipelineName = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show what a pipeline is watched by, and what was found: alerts, quality, the last decision
    on retraining.
    """
    import time

    from deploy.live_report.status import drift_status

    settings = find_settings(data_dir, pipeline=pipeline)
    found = drift_status(settings, round(time.time() * 1000))
    if as_json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        return
    from deploy.live_report.words import status_lines

    for line in status_lines(found):
        typer.echo(line)


def report(
    out: Annotated[Path, typer.Argument(help="Where to write it, one HTML page.")],
    *,
    pipeline: PipelineName = None,
    model: Annotated[
        str | None,
        typer.Option(help="Version of the model.", show_default="the pipeline's champion"),
    ] = None,
    windows: Annotated[
        int, typer.Option(min=1, max=MAX_WINDOWS, help="Newest closed windows to show.")
    ] = 500,
    data_dir: DataDir = None,
) -> None:
    """Write a page of what the live system saw: columns before and after, effects over time,
    alerts, quality, decisions, and the stated beside the realised rate of false notices.
    """
    from deploy.live_report.report import live_report
    from drift.report import to_html

    settings = find_settings(data_dir, pipeline=pipeline)
    found = live_report(settings, version=model, n_windows=windows)
    try:
        out.write_text(to_html(found), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror}") from error
    typer.echo(
        f"{out}: {found.n_windows:,} windows, {len(found.notices)} notices,"
        f" {len(found.alerts)} of them alerts"
    )
