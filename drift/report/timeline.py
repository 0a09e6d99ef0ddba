"""When what moved: a lane for each thing with findings, marks where they were raised."""

from drift.findings import Finding, Level, ScanReport, Subject
from drift.report import numbers, plot, positions
from drift.report.markup import Markup, bdi, join, tag
from drift.report.plot import Axis
from drift.report.selection import findings_by_name
from drift.report.text import clip

MAX_LANES = 14
LANE_HEIGHT = 34.0
BUCKETS = 80
"""Places of one lane; of the findings that share a place the strongest is drawn."""

KIND_WORDS = {
    Subject.FEATURE: "",
    Subject.SCORE: " · score",
    Subject.LABEL: " · label",
    Subject.QUALITY: " · quality",
    Subject.MULTIVARIATE: " · several columns",
}


def timeline(report: ScanReport) -> Markup:
    """The figure; lanes by first finding, those beyond the limit together in the last one."""
    lanes = _lanes(report)
    axis = positions.axis(report)
    height = LANE_HEIGHT * max(len(lanes), 1)
    drawn = [_lane(axis, name, found, i) for i, (name, found) in enumerate(lanes)]
    if not lanes:
        nothing = f"no finding in {numbers.plural(report.n_windows, 'window')}"
        drawn = [
            plot.across(height - 10, class_="lane"),
            plot.label(nothing, "50%", 14, class_="lane-name middle"),
        ]
    svg = plot.drawing(
        _describe(report, lanes),
        height + 36,
        positions.grid(report, height),
        *drawn,
        positions.x_axis(report, height + 16),
    )
    legend = join(
        plot.key("notice", "notice"), plot.key("alert", "alert"), plot.key("change", "change point")
    )
    by = "row" if report.live is None else "event time (UTC)"
    return plot.figure(f"Notices and alerts by {by}", svg, class_="wide lanes", legend=legend)


def strongest(
    found: list[Finding] | tuple[Finding, ...], axis: Axis
) -> list[tuple[float, Finding]]:
    """(share of the width, finding), one for each place, alerts before notices."""
    kept: dict[int, tuple[float, Finding]] = {}
    for finding in found:
        share = axis.share(finding.row)
        held = kept.get(int(share * BUCKETS))
        if held is None or (finding.level is Level.ALERT and held[1].level is not Level.ALERT):
            kept[int(share * BUCKETS)] = (share, finding)
    return sorted(kept.values(), key=lambda pair: pair[1].level is Level.ALERT)  # drawn on top


def _lanes(report: ScanReport) -> list[tuple[str, list[Finding]]]:
    named = [
        (_lane_name(subject, name), found)
        for (subject, name), found in findings_by_name(report).items()
    ]
    if len(named) <= MAX_LANES:
        return named
    rest = [finding for _, found in named[MAX_LANES - 1 :] for finding in found]
    others = f"{len(named) - MAX_LANES + 1} more, together"
    return [*named[: MAX_LANES - 1], (others, sorted(rest, key=lambda each: each.row))]


def _lane_name(subject: Subject, name: str) -> str:
    shown = clip(name, 40) or "(no name)"
    return shown if shown == subject.value else shown + KIND_WORDS[subject]


def _lane(axis: Axis, name: str, found: list[Finding], index: int) -> Markup:
    base = LANE_HEIGHT * (index + 1) - 10
    changes = {each.change_point_row for each in found if each.change_point_row is not None}
    places = {int(axis.share(row) * BUCKETS): axis.share(row) for row in changes}
    return join(
        plot.across(base, class_="lane"),
        plot.label(name, 0, base - 9, class_="lane-name"),
        [plot.mark("change", share, base) for share in places.values()],
        [plot.mark(each.level.value, share, base) for share, each in strongest(found, axis)],
    )


def _describe(report: ScanReport, lanes: list[tuple[str, list[Finding]]]) -> str:
    words = [
        f"{name}: {numbers.plural(len(found), 'finding')}, "
        f"first at {positions.words(report, found[0].row)}"
        for name, found in lanes[:4]
    ]
    first = f"Timeline over {numbers.plural(report.n_windows, 'window')}. "
    return first + ("; ".join(words) + "." if words else "No finding.")


def finding_words(finding: Finding) -> Markup:
    """A finding in a line of text: its mark, its level, its sentence."""
    return tag("p", badge(finding.level), " ", bdi(finding.sentence, 400), class_="sentence")


def shares(finding: Finding, limit: int = 8) -> str | None:
    """The columns with the largest shares in a finding about several."""
    if not finding.contributions:
        return None
    named = finding.contributions[:limit]
    words = ", ".join(f"{clip(name, 40)} {numbers.percent(share)}" for name, share in named)
    more = len(finding.contributions) - len(named)
    return f"Largest shares: {words}" + (f", and {more} more." if more else ".")


def badge(level: Level) -> Markup:
    """The level in words, with the mark that plots have for it."""
    icon = tag("svg", plot.mark(level.value, 0.5, 7), width="14", height="14", aria_hidden="true")
    return tag("span", icon, level.value, class_=f"badge {level.value}")
