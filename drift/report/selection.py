"""Which columns, findings and windows a page of bounded size shows, and in what order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drift.findings import ColumnHistory, Finding, Level, ScanReport, Subject

MAX_DETAILED = 30
"""Columns that are drawn."""
MAX_OF_SEGMENTS = 8
"""Of all segments together."""
MAX_STEADY = 3
"""Where none moved."""

COLUMN_SUBJECTS = frozenset({Subject.FEATURE, Subject.SCORE, Subject.LABEL})


@dataclass(frozen=True, slots=True)
class Moved:
    """A column and the findings about it, in row order; `peak` is the window to show (None: none).

    `effect` is the column's effect at that window, -inf where it has none; `telling` is the finding
    that says most, None without findings.
    """

    column: ColumnHistory
    findings: tuple[Finding, ...]
    peak: int | None
    effect: float
    telling: Finding | None

    @property
    def has_alert(self) -> bool:
        return any(finding.level is Level.ALERT for finding in self.findings)


def window_of(report: ScanReport, row: int) -> int | None:
    """The window that `row` is in or the end of; None where no window is so late."""
    window = int(np.searchsorted(report.bounds[:, 1], row)) if report.n_windows else 0
    return window if window < report.n_windows else None


def findings_by_name(report: ScanReport) -> dict[tuple[Subject, str], list[Finding]]:
    """Findings in row order, the things that moved in order of their first finding."""
    found: dict[tuple[Subject, str], list[Finding]] = {}
    for finding in sorted(report.findings, key=lambda each: each.row):
        found.setdefault((finding.subject, finding.name), []).append(finding)
    return found


def moved_columns(report: ScanReport, columns: Sequence[ColumnHistory]) -> list[Moved]:
    """Those with findings: with alerts first, then by effect, the largest first."""
    found = findings_by_name(report)
    moved = [
        _moved(report, column, found[column.subject, column.name])
        for column in columns
        if (column.subject, column.name) in found
    ]
    return sorted(moved, key=lambda each: (not each.has_alert, -each.effect))


def steady_columns(report: ScanReport, columns: Sequence[ColumnHistory], limit: int) -> list[Moved]:
    """Those without findings whose effects were largest."""
    found = findings_by_name(report)
    steady = [
        _moved(report, column, [])
        for column in columns
        if (column.subject, column.name) not in found
    ]
    return sorted(steady, key=lambda each: -each.effect)[:limit]


def _moved(report: ScanReport, column: ColumnHistory, found: list[Finding]) -> Moved:
    """At the window, of those with findings if there are any, where the effect is largest."""
    alerts = [each for each in found if each.level is Level.ALERT]
    windows = {window_of(report, each.row) for each in alerts or found} - {None}
    candidates = sorted(w for w in windows if w is not None) or list(range(report.n_windows))
    sized = [(_size(column, w), w) for w in candidates]
    effect, peak = max(sized, key=lambda pair: pair[0], default=(-math.inf, None))
    here = [each for each in alerts or found if window_of(report, each.row) == peak]
    telling = next(iter([*here, *found]), None)
    return Moved(column, tuple(found), peak, effect, telling)


def _size(column: ColumnHistory, window: int) -> float:
    effect = float(column.effects[window])
    return effect if math.isfinite(effect) else -math.inf
