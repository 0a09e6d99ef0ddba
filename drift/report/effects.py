"""A column's effect (PSI) over time, with the classic bands."""

import math

import numpy as np

from drift.findings import ColumnHistory, Level, ScanReport
from drift.report import numbers, plot, positions
from drift.report.distributions import ROW_HEIGHT
from drift.report.markup import Markup, join
from drift.report.plot import Axis, Floats
from drift.report.selection import Moved
from drift.report.text import clip
from drift.report.timeline import strongest

MIN_HEIGHT, MAX_HEIGHT = 150.0, 290.0
BANDS = ((0.1, "0.1 small"), (0.2, "0.2 medium"), (0.25, "0.25 large"))


def effect_plot(report: ScanReport, moved: Moved) -> Markup:
    """The effect at each window's end, marks where a finding was raised, a line at the change."""
    column = moved.column
    height = _height(column)
    axis = _effect_axis(column.effects)
    places = positions.axis(report)
    kept = plot.thin(np.where(np.isfinite(column.effects), column.effects, np.nan))
    across = places.place(report.bounds[kept, 1].astype(np.float64))
    down = height * (1 - axis.place(column.effects[kept]))
    svg = plot.drawing(
        _describe(report, moved),
        height + 36,
        positions.grid(report, height),
        _y_axis(axis, height),
        _bands(axis, height),
        _change(moved, places, height),
        plot.stretched(height, plot.curve(across, down, class_="curve now")),
        *_marks(report, moved, places, axis=axis, height=height),
        positions.x_axis(report, height + 16),
    )
    scale = ", square-root scale" if axis.root else ""
    return plot.figure(f"Effect over time (PSI{scale})", svg)


def _height(column: ColumnHistory) -> float:
    """About that of the bars beside the plot."""
    return min(max(ROW_HEIGHT * len(column.labels) - 16, MIN_HEIGHT), MAX_HEIGHT)


def _effect_axis(effects: Floats) -> Axis:
    """From 0 (or the lowest) to the highest; by square roots where it would hide the bands."""
    known = effects[np.isfinite(effects)]
    highest = max(0.3, 1.08 * float(known.max())) if len(known) else 0.3
    if highest > 1.2:
        return Axis(0.0, highest, root=True)
    return Axis(min(0.0, float(known.min())) if len(known) else 0.0, highest)


def _y_axis(axis: Axis, height: float) -> Markup:
    wanted = [0.0, axis.high] if axis.root else axis.ticks(3)
    shown = [(v, numbers.number(float(f"{v:.2g}"))) for v in wanted]
    return plot.y_ticks(axis, height, shown)


def _bands(axis: Axis, height: float) -> Markup:
    """Dashed lines, each with its words where they do not run into the words below."""
    written = []
    last = math.inf
    for bound, words in BANDS:
        y = height * (1 - axis.share(bound))
        written.append(plot.across(y, class_="bound"))
        if last - y >= 11:
            written.append(plot.label(words, 4, y - 3, class_="bound-name"))
            last = y
    return join(written)


def _change(moved: Moved, rows: Axis, height: float) -> Markup | None:
    known = [each.change_point_row for each in moved.findings if each.change_point_row is not None]
    if not known:
        return None
    share = rows.share(known[0])
    return join(
        plot.upright(share, 0, height, class_="change-line"), plot.mark("change", share, height)
    )


def _marks(
    report: ScanReport, moved: Moved, rows: Axis, *, axis: Axis, height: float
) -> list[Markup]:
    """A mark on the curve at each finding, at the bottom where the curve has no value."""
    ends = report.bounds[:, 1]
    marks = []
    for share, finding in strongest(moved.findings, rows):
        window = min(int(np.searchsorted(ends, finding.row)), len(ends) - 1)
        place = axis.share(float(moved.column.effects[window])) if len(ends) else math.nan
        y = height * (1 - (0.0 if math.isnan(place) else place))
        marks.append(plot.mark(finding.level.value, share, y))
    return marks


def _describe(report: ScanReport, moved: Moved) -> str:
    name = clip(moved.column.name, 60)
    n_alerts = sum(each.level is Level.ALERT for each in moved.findings)
    words = f"Effect of {name} over {numbers.plural(report.n_windows, 'window')}"
    if moved.peak is not None and math.isfinite(moved.effect):
        end = positions.words(report, report.bounds[moved.peak, 1])
        words += f": {numbers.effect(moved.effect)} at {end}"
    n_found = numbers.plural(len(moved.findings), "finding")
    return f"{words}; {n_found}, {numbers.plural(n_alerts, 'alert')}."


def largest(column: ColumnHistory) -> float:
    """The largest effect of any window, NaN where none is known."""
    known = column.effects[np.isfinite(column.effects)]
    return float(known.max()) if len(known) else math.nan


def smallest_p(column: ColumnHistory) -> float:
    known = column.p_values[~np.isnan(column.p_values)]
    return float(known.min()) if len(known) else math.nan
