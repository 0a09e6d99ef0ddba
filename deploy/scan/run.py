"""`thalweg drift scan`: read the file, score it where a model is given, watch it, write reports."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deploy.scan.table import Roles, ScanTable, read_table
from drift.rows import Rows, ScanOptions, default_sizes
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from drift.findings import ScanReport

MIN_ROWS = 200


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What the command line asks for; None is the default of `drift.rows.default_sizes`."""

    path: Path
    roles: Roles
    model: Path | None = None
    n_reference: int | None = None
    window_rows: int | None = None
    arl0: float = 1_000.0
    threshold: float | None = None
    season_hours: int | None = None
    calendar: tuple[str, ...] = ()
    seed: int = 0


def scan_file(request: ScanRequest) -> "ScanReport":
    """Watch a file's rows; raises ConfigurationError that says why a file cannot be used."""
    from drift.scan import scan

    if request.season_hours is not None and request.roles.time is None:
        raise ConfigurationError("a season needs to know when rows were: name their --time column")
    table = read_table(request.path, request.roles)
    if len(table) < MIN_ROWS:
        raise ConfigurationError(
            f"{request.path} has {len(table)} rows; a scan needs {MIN_ROWS} for a reference and"
            " something to hold against it"
        )
    threshold = request.threshold
    if request.model is not None:
        from deploy.scan.model import score_table

        table, model_threshold = score_table(request.model, table)
        threshold = model_threshold if threshold is None else threshold
    n_reference, window_rows = default_sizes(len(table), request.n_reference, request.window_rows)
    try:
        report = scan(
            _rows(table),
            ScanOptions(
                n_reference=n_reference,
                window_rows=window_rows,
                arl0=request.arl0,
                threshold=0.5 if threshold is None else threshold,
                season_hours=request.season_hours,
                calendar=request.calendar,
                seed=request.seed,
            ),
        )
    except ValueError as error:
        raise ConfigurationError(f"{request.path}: {error}") from error
    return replace(report, title=request.path.name, warnings=(*table.warnings, *report.warnings))


def _rows(table: ScanTable) -> Rows:
    return Rows(
        specs=table.specs,
        matrix=np.ascontiguousarray(table.matrix),
        labels=table.labels,
        scores=table.scores,
        entities=table.entities,
        times_ms=table.times_ms,
    )
