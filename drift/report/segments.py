"""The segments of a live system: the columns of theirs that moved most, and a list of them all."""

import math
from collections.abc import Sequence

from drift.findings import Finding, Level, ScanReport, SegmentSummary
from drift.report import numbers
from drift.report.card import column_card
from drift.report.markup import Child, Markup, bdi, join, tag
from drift.report.selection import (
    COLUMN_SUBJECTS,
    MAX_OF_SEGMENTS,
    MAX_STEADY,
    moved_columns,
    steady_columns,
)
from drift.report.tables import figure, table

MAX_LISTED = 300


def segments(report: ScanReport) -> Markup | None:
    """A few cards and the list; None where there are none."""
    if not report.segments or not report.n_windows:
        return None
    moved = moved_columns(report, report.segment_columns)
    shown = moved[:MAX_OF_SEGMENTS]
    words = "Rows of one value of a feature, held against the reference's rows of that value. "
    n_moved = len({each.name for each in report.findings if _of_a_segment(each)})
    if n_moved > len(shown) > 0:
        words += f"The {len(shown)} that moved most, of {n_moved}; the list below counts all."
    elif moved:
        words += "Those with alerts first, then by the size of the effect."
    else:
        shown = steady_columns(report, report.segment_columns, MAX_STEADY)
        words += "None moved. To look at: those with the largest effects, all within chance."
    return join(
        tag("p", words), [column_card(report, each) for each in shown], _segments_table(report)
    )


def _segments_table(report: ScanReport) -> Markup:
    """Those with alerts first, then those with notices, then by effect."""
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.segment, []).append(finding)

    def rank(each: SegmentSummary) -> tuple[int, int, float]:
        own = found.get(each.name, [])
        effect = math.inf if math.isnan(each.effect) else -each.effect
        return -_n_alerts(own), -len(own), effect

    shown = sorted(report.segments, key=rank)[:MAX_LISTED]
    heads = ["Segment", "Rows of reference", "Windows", "Rows", "Largest effect", "of column"]
    heads += ["Smallest p", "Notices", "Alerts"]
    caption = numbers.plural(len(report.segments), "segment")
    if len(shown) < len(report.segments):
        caption += f", of which {len(shown)} are shown"
    return table(caption, heads, (_row(each, found.get(each.name, [])) for each in shown))


def _row(each: SegmentSummary, found: Sequence[Finding]) -> list[Child]:
    figures = [
        *(numbers.count(n) for n in (each.n_reference, each.n_windows, each.n_rows)),
        numbers.effect(each.effect),
    ]
    cells: list[Child] = [bdi(each.name, 120), *map(figure, figures), bdi(each.column, 80)]
    counts = numbers.count(len(found)), numbers.count(_n_alerts(found))
    return [*cells, *map(figure, (numbers.p_value(each.p_value), *counts))]


def _of_a_segment(finding: Finding) -> bool:
    return bool(finding.segment) and finding.subject in COLUMN_SUBJECTS


def _n_alerts(found: Sequence[Finding]) -> int:
    return sum(each.level is Level.ALERT for each in found)
