"""The report for programs: JSON, and the types with which a reader decodes it."""

import math
from typing import Any

import msgspec

from drift.findings import Finding, Level, ScanReport, Subject
from drift.report.text import replace_surrogates


class FindingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. A number that is not finite, and a change point not known, is None."""

    row: int
    kind: Subject
    name: str
    detector: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect: float | None
    change_point_row: int | None
    level: Level
    n_reference: int
    n_window: int
    sentence: str


class ReportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `to_json` writes: `notices` are all findings by row, `alerts` the large ones again.

    `stated_false_notices` is the mean number of notices that this many windows hold where nothing
    moves: windows / arl0.
    """

    rows: int
    reference_rows: int
    window_rows: int
    windows: int
    arl0: float | None
    stated_false_notices: float | None
    notices: tuple[FindingEntry, ...]
    alerts: tuple[FindingEntry, ...]
    warnings: tuple[str, ...]


def to_json(report: ScanReport) -> bytes:
    """`report` as UTF-8 JSON, indented, a newline at its end; no NaN or infinity (null instead)."""
    encoded = msgspec.json.encode(document_of(report))
    return msgspec.json.format(encoded, indent=2) + b"\n"


def read_json(data: bytes) -> ReportDocument:
    """The document that `to_json` wrote; raises ValueError for anything else.

    Keys that a later version adds are passed over.
    """
    try:
        return msgspec.json.decode(data, type=ReportDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not the report of a drift scan: {error}") from error


def json_schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of what `to_json` writes."""
    return msgspec.json.schema(ReportDocument)


def document_of(report: ScanReport) -> ReportDocument:
    """`report` without its history: the sizes, what was found, the warnings."""
    ordered = sorted(report.notices, key=lambda finding: finding.row)
    alerts = sorted(report.alerts, key=lambda finding: finding.row)
    return ReportDocument(
        rows=int(report.n_rows),
        reference_rows=int(report.n_reference),
        window_rows=int(report.window_rows),
        windows=report.n_windows,
        arl0=_finite(report.arl0),
        stated_false_notices=_finite(report.stated_false_notices),
        notices=tuple(map(_entry_of, ordered)),
        alerts=tuple(map(_entry_of, alerts)),
        warnings=tuple(map(replace_surrogates, report.warnings)),
    )


def _entry_of(finding: Finding) -> FindingEntry:
    result = finding.result
    change = finding.change_point_row
    return FindingEntry(
        row=int(finding.row),
        kind=finding.subject,
        name=replace_surrogates(finding.name),
        detector=replace_surrogates(result.detector),
        statistic=_finite(result.statistic),
        threshold=_finite(result.threshold),
        p_value=_finite(result.p_value),
        effect=_finite(result.effect),
        change_point_row=None if change is None else int(change),
        level=finding.level,
        n_reference=int(result.n_reference),
        n_window=int(result.n_window),
        sentence=replace_surrogates(finding.sentence),
    )


def _finite(value: float) -> float | None:
    """`value` as a plain float (it may be NumPy's), None where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None
