"""The report in a sentence or two, and its numbers."""

import math

from drift.findings import Finding, Level, ScanReport
from drift.report import numbers, positions
from drift.report.markup import Markup, bdi, join, tag
from drift.report.selection import COLUMN_SUBJECTS, Moved, findings_by_name

DAY_MS = 86_400_000.0
CHANCE = 0.05
"""Notices that are this likely or likelier without any drift are called few, not a movement."""


def headline(report: ScanReport, moved: list[Moved]) -> Markup:
    """What moved first and what moved most, or that nothing did."""
    if not report.n_windows:
        return join("There was nothing to compare: no full window after the reference.")
    if not report.findings:
        return join("Nothing moved.")
    first = next(iter(findings_by_name(report).values()))[0]
    start = _name(first), " moved first", _where(report, first)
    if not report.alerts and _chance_of_notices(report) > CHANCE:
        few = numbers.plural(len(report.notices), "notice")
        return join(f"Nothing moved beyond chance: {few}, the first about ", _name(first), ".")
    if not moved or not math.isfinite(moved[0].effect):
        return join(*start, ".")
    most = moved[0].column
    size = f"PSI {numbers.effect(moved[0].effect)}"
    if most.name == first.name:
        return join(_name(first), f" moved first and most ({size})", _where(report, first), ".")
    return join(*start, "; ", bdi(most.name), f" moved most ({size}).")


def lede(report: ScanReport, moved: list[Moved]) -> Markup:
    """How much was looked at, how much of it moved, and what chance alone would have given."""
    if not report.n_windows:
        rows = numbers.plural(report.n_rows, "row")
        return join(f"{rows}, {numbers.count(report.n_reference)} of them the reference.")
    looked = f"{numbers.plural(len(report.columns), 'column')} in "
    looked += f"{numbers.plural(report.n_windows, 'window')} of {positions.size_words(report)}"
    n_alerted = sum(each.has_alert for each in moved)
    what = (
        f"{looked}: {len(moved)} with a notice, {n_alerted} with an alert."
        if report.findings
        else f"{looked}: none left what chance allows."
    )
    return join(what, " ", _chance_words(report))


def summary_numbers(report: ScanReport) -> Markup:
    """The list of figures under the headline."""
    per_day = false_notices_a_day(report)
    rate = f"1 in {numbers.number(report.arl0)} windows"
    note = f"{numbers.number(report.stated_false_notices)} expected here"
    if per_day is not None:
        note += f"; {numbers.number(per_day)} a day"
    figures = [
        ("Rows", numbers.count(report.n_rows), None),
        ("Reference", numbers.count(report.n_reference), "rows"),
        (
            "Windows",
            numbers.count(report.n_windows),
            f"of {positions.size_words(report)}",
        ),
        ("Stated false notices", rate, note),
        ("Notices", numbers.count(len(report.notices)), _spread(report, None)),
        ("Alerts", numbers.count(len(report.alerts)), _spread(report, Level.ALERT)),
    ]
    return tag(
        "dl",
        [
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, None if note is None else tag("small", note)),
            )
            for name, value, note in figures
        ],
        class_="numbers",
    )


def false_notices_a_day(report: ScanReport) -> float | None:
    """The stated rate by the windows' own pace; None without times that span any."""
    if report.live is not None and report.arl0 > 0:
        return DAY_MS / report.live.window_ms / report.arl0
    if report.times_ms is None or len(report.times_ms) < 2 or not report.arl0 > 0:
        return None
    span_ms = float(report.times_ms[-1]) - float(report.times_ms[0])
    if span_ms <= 0:
        return None
    return (len(report.times_ms) - 1) * DAY_MS / span_ms / report.arl0


def _name(finding: Finding) -> Markup:
    if finding.subject in COLUMN_SUBJECTS:
        return bdi(finding.name)
    return join(bdi(finding.name), f" ({finding.subject.value})")


def _where(report: ScanReport, finding: Finding) -> str:
    known = f"known at {positions.words(report, finding.row)}"
    if finding.change_point_row is None:
        return f", {known}"
    return f", from about {positions.words(report, finding.change_point_row)} ({known})"


def _spread(report: ScanReport, level: Level | None) -> str | None:
    """Over how many things the findings of a level spread."""
    names = {(each.subject, each.name) for each in report.findings if level in (None, each.level)}
    return f"about {numbers.plural(len(names), 'thing')}" if names else None


def _chance_of_notices(report: ScanReport) -> float:
    return numbers.poisson_tail(len(report.notices), report.stated_false_notices)


def _chance_words(report: ScanReport) -> str:
    expected = report.stated_false_notices
    if not math.isfinite(expected):
        return ""
    words = f"Chance alone gives {numbers.number(expected)} notices in so many windows"
    if not report.findings:
        return f"{words}."
    probability = _chance_of_notices(report)
    shown = "under 0.001" if probability < 1e-3 else numbers.number(probability)
    return f"{words}; the probability of {numbers.count(len(report.notices))} or more is {shown}."
