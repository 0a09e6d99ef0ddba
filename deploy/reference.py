"""Drift references where models lie: the facts of a file's rows for one, and one read back."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from schemas.errors import ModelError
from schemas.model import REFERENCE_FILE, read_manifest
from schemas.pipeline import ColumnMapping

if TYPE_CHECKING:
    from drift.reference import Reference

_LARGEST_MS = 2**62


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What a file says of each row beside its features; None where it does not.

    `event_times` int64[n] in ms; a row without a time has that of the row before. `entities` are
    the keys that `thalweg replay` gives the events of these rows.
    """

    event_times: npt.NDArray[np.int64] | None = None
    entities: list[str] | None = None

    def taken(self, rows: npt.NDArray[np.int64]) -> "RowFacts":
        """The facts of `rows`, int64[k] row numbers, in that order."""
        return RowFacts(
            None if self.event_times is None else self.event_times[rows],
            None if self.entities is None else [self.entities[row] for row in rows.tolist()],
        )


def read_facts(path: Path, mapping: ColumnMapping) -> RowFacts:
    """The facts of a file's rows in file order; raises ConfigurationError for absent columns."""
    from producers.cells import event_time_ms, text
    from producers.files import read_columns

    names = [name for name in (mapping.time, mapping.entity) if name is not None]
    if not names:
        return RowFacts()
    times: list[int] = []
    entities: list[str] = []
    for batch in read_columns(path, names):
        for cell in [] if mapping.time is None else batch[mapping.time]:
            time_ms = event_time_ms(cell, mapping)
            if not isinstance(time_ms, int):
                time_ms = times[-1] if times else 0
            times.append(max(-_LARGEST_MS, min(time_ms, _LARGEST_MS)))
        for cell in [] if mapping.entity is None else batch[mapping.entity]:
            entities.append(f"row-{len(entities)}" if cell is None else text(cell))
    return RowFacts(
        None if mapping.time is None else np.array(times, dtype=np.int64),
        None if mapping.entity is None else entities,
    )


def load_reference(directory: Path) -> "Reference":
    """The reference of the model in a directory of the model store.

    Raises ModelError for a model that has none, and for one that is not what the manifest says.
    """
    from drift.reference_bytes import decode_reference
    from storage.model_store import read_reference

    path = directory / REFERENCE_FILE
    try:
        reference = decode_reference(read_reference(directory))
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error
    manifest = read_manifest(directory)
    names = reference.columns.names
    if names[:-1] != manifest.schema.names:
        raise ModelError(
            f"{path}: its columns are not the {len(manifest.schema)} features of model"
            f" {manifest.version} and the score"
        )
    if reference.fingerprint != manifest.reference_version:
        raise ModelError(
            f"{path}: the manifest expects version {manifest.reference_version[:12]}, found"
            f" {reference.fingerprint[:12]}"
        )
    return reference


def describe_reference(reference: "Reference", window_rows: int | None) -> list[str]:
    """What a reference holds, line by line; warnings for windows of so many rows come last.

    `window_rows` is a tenth of the reference unless given, as in a scan.
    """
    from drift.rows import MAX_WINDOW, MIN_WINDOW

    columns = reference.columns
    kinds = Counter(column.kind.value for column in columns)
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    lines = [
        f"reference {reference.fingerprint[:12]}",
        (
            f"{reference.n:,} rows in {len(reference.blocks)} blocks of {reference.block_rows:,};"
            f" {len(reference.sample):,} of them as a sample"
        ),
        f"{len(columns)} columns in {columns.n_bins} bins: {listed}",
        _entities_line(reference),
    ]
    if reference.season is not None:
        lines.append(_season_line(reference))
    if reference.calendar:
        lines.append(f"columns of the calendar: {', '.join(reference.calendar)}")
    if reference.segments:
        parts = (f"{segment.name} ({own.n:,} rows)" for segment, own in reference.segments)
        lines.append(f"segments: {', '.join(parts)}")
    width = max(len(column.name) for column in columns)
    missing = reference.summary.n_missing(columns)
    for column, n_missing in zip(columns, missing.tolist(), strict=True):
        gaps = f", {n_missing / reference.n:.1%} missing" if n_missing else ""
        lines.append(f"  {column.name:<{width}}  {column.kind.value}, {column.n_bins} bins{gaps}")
    window_rows = window_rows or min(max(reference.n // 10, MIN_WINDOW), MAX_WINDOW)
    warnings = reference.warnings(window_rows)
    lines.append(
        f"for windows of {window_rows:,} rows: {'' if warnings else 'no warnings'}".strip()
    )
    return [*lines, *(f"warning: {warning}" for warning in warnings)]


def _season_line(reference: "Reference") -> str:
    assert reference.season is not None
    season = reference.season
    following = ", ".join(reference.columns.names[i] for i in reference.seasonal) or "no column"
    said = f"{following} held against it" if season.is_usable else "not used"
    return (
        f"a season of {len(season.rows)} slots of {season.slot_hours} h over {season.weeks:.1f}"
        f" weeks: {said}"
    )


def _entities_line(reference: "Reference") -> str:
    customers = reference.customers
    if customers is None:
        return "no entity keys"
    rows_each = customers.n_rows / customers.n_entities
    return f"{customers.n_entities:,} entities of {rows_each:.1f} rows each, on average"
