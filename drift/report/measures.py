"""Quality over time: what labels showed, and what scores alone had led to expect."""

import math

import numpy as np

from drift.findings import Counts, Finding, QualityHistory, ScanReport, Subject
from drift.report import numbers, plot, positions
from drift.report.markup import Markup, join, tag
from drift.report.plot import Axis, Floats
from drift.report.text import clip
from drift.report.timeline import strongest

HEIGHT = 210.0
Z95 = 1.96

CAVEAT = (
    "The estimate (CBPE) reads quality off calibrated scores: it sees what a change of the "
    "features does to it, but cannot see concept drift (the same features, another outcome) or "
    "a change in the base rate. Where estimate and labels disagree, believe the labels."
)


def quality_plot(report: ScanReport, history: QualityHistory) -> Markup:
    """Realised values and the estimate, each with its 95% band, and the reference's value."""
    axis = _value_axis(history)
    rows = positions.axis(report)
    at = report.bounds[:, 1] if history.ends is None else history.ends
    series = _series(report, at, history.values, history.standard_errors, axis=axis, class_="now")
    if history.estimates is not None:
        errors = history.estimate_errors
        unknown = np.full(len(history.estimates), math.nan)
        spread = unknown if errors is None else errors
        shown = _series(report, at, history.estimates, spread, axis=axis, class_="estimate")
        series = shown + series
    ticks = [(value, numbers.number(value)) for value in axis.ticks(4)]
    svg = plot.drawing(
        _describe(history),
        HEIGHT + 36,
        positions.grid(report, HEIGHT),
        plot.y_ticks(axis, HEIGHT, ticks),
        _reference_line(history, axis),
        plot.stretched(HEIGHT, *series),
        *_marks(report, history, rows),
        positions.x_axis(report, HEIGHT + 16),
    )
    figure = plot.figure(
        join(clip(history.name, 60) or "(no name)", " over time"), svg, legend=_legend(history)
    )
    return join(figure, tag("p", history.note, class_="note") if history.note else None)


def _series(
    report: ScanReport,
    at: Counts,
    values: Floats,
    errors: Floats,
    *,
    axis: Axis,
    class_: str,
) -> list[Markup]:
    known = np.where(np.isfinite(values), values, np.nan)
    kept = plot.thin(known)
    across = positions.axis(report).place(at[kept].astype(np.float64))
    middle, half = known[kept], Z95 * errors[kept]
    low, high = (HEIGHT * (1 - axis.place(each)) for each in (middle - half, middle + half))
    return [
        plot.band(across, low, high, class_=f"band {class_}"),
        plot.curve(across, HEIGHT * (1 - axis.place(middle)), class_=f"curve {class_}"),
    ]


def _value_axis(history: QualityHistory) -> Axis:
    """Wide enough for the reference, the values with their bands, and the estimates."""
    parts = [np.atleast_1d(history.reference), history.values]
    parts += [history.values + side * Z95 * history.standard_errors for side in (-1, 1)]
    if history.estimates is not None:
        parts.append(history.estimates)
    known = np.concatenate(parts)
    known = known[np.isfinite(known)]
    if not len(known):
        return Axis(0.0, 1.0)
    margin = 0.06 * max(float(np.ptp(known)), 1e-3)
    return Axis(float(known.min()) - margin, float(known.max()) + margin)


def _reference_line(history: QualityHistory, axis: Axis) -> Markup | None:
    if not math.isfinite(history.reference):
        return None
    return plot.across(HEIGHT * (1 - axis.share(history.reference)), class_="reference")


def _marks(report: ScanReport, history: QualityHistory, rows: Axis) -> list[Markup]:
    found: list[Finding] = [
        each
        for each in report.findings
        if each.subject is Subject.QUALITY and each.name == history.name
    ]
    return [
        plot.mark(each.level.value, share, HEIGHT - 8) for share, each in strongest(found, rows)
    ]


def _legend(history: QualityHistory) -> Markup:
    return join(
        plot.key("line curve now", "from labels, 95% band"),
        None
        if history.estimates is None
        else plot.key("line curve estimate", "estimated without labels (CBPE)"),
        plot.key("line reference", f"reference {numbers.number(history.reference)}")
        if math.isfinite(history.reference)
        else None,
    )


def _describe(history: QualityHistory) -> str:
    known = history.values[np.isfinite(history.values)]
    name = clip(history.name, 60)
    if not len(known):
        return f"{name}: no labelled window."
    return (
        f"{name} over time: {numbers.number(history.reference)} in the reference, "
        f"between {numbers.number(float(known.min()))} and {numbers.number(float(known.max()))} "
        f"in {numbers.plural(len(known), 'labelled window')}."
    )
