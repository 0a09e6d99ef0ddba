"""Quality over time: what labels showed, and what scores alone had led to expect."""

import math

import numpy as np

from drift.findings import Finding, QualityHistory, ScanReport, Subject
from drift.report import numbers, plot
from drift.report.markup import Markup, join
from drift.report.plot import Axis, Floats
from drift.report.text import clip
from drift.report.timeline import row_axis, row_ticks, strongest, x_axis

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
    rows = row_axis(report)
    series = _series(report, history.values, history.standard_errors, axis, "now")
    if history.estimates is not None:
        errors = history.estimate_errors
        unknown = np.full(len(history.estimates), math.nan)
        spread = unknown if errors is None else errors
        series = _series(report, history.estimates, spread, axis, "estimate") + series
    ticks = [(value, numbers.number(value)) for value in axis.ticks(4)]
    grid = [plot.upright(share, 0, HEIGHT, class_="grid upright") for share, _ in row_ticks(report)]
    svg = plot.drawing(
        _describe(history),
        HEIGHT + 36,
        *grid,
        plot.y_ticks(axis, HEIGHT, ticks),
        _reference_line(history, axis),
        plot.stretched(HEIGHT, *series),
        *_marks(report, history, rows),
        x_axis(report, HEIGHT + 16),
    )
    return plot.figure(
        join(clip(history.name, 60) or "(no name)", " over time"), svg, legend=_legend(history)
    )


def _series(
    report: ScanReport, values: Floats, errors: Floats, axis: Axis, class_: str
) -> list[Markup]:
    known = np.where(np.isfinite(values), values, np.nan)
    kept = plot.thin(known)
    across = row_axis(report).place(report.bounds[kept, 1].astype(np.float64))
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
