"""The stated rate of false notices beside the realised one: in figures, and window by window."""

import math

import numpy as np

from drift.findings import ScanReport
from drift.realised_rate import Calibration, calibration
from drift.report import numbers, plot, positions
from drift.report.headline import false_notices_a_day
from drift.report.markup import Markup, join, tag
from drift.report.plot import Axis, Floats
from drift.report.tables import definitions

HEIGHT = 140.0


def false_alarms(report: ScanReport) -> Markup | None:
    """Both rates, and how windows with a notice added up; None where no rate was stated."""
    if not report.n_windows or not math.isfinite(report.stated_false_notices):
        return None
    found = calibration(report.n_windows, int(report.noticed.sum()), report.arl0)
    words = (
        "A notice of a stretch in which nothing changed is a false one; elsewhere true ones are "
        "among the realised, and only their number without drift can be held against the stated."
    )
    figures = definitions([("Stated", _stated(report)), ("Realised", _realised(report, found))])
    return join(tag("p", words), tag("div", figures, _added_up(report), class_="card"))


def _stated(report: ScanReport) -> str:
    per_day = false_notices_a_day(report)
    pace = "" if per_day is None else f", {numbers.number(per_day)} a day"
    expected = numbers.number(report.stated_false_notices)
    return (
        f"one false notice in {numbers.number(report.arl0)} windows{pace}; {expected} expected in"
        f" these {numbers.plural(report.n_windows, 'window')}"
    )


def _realised(report: ScanReport, found: Calibration) -> str:
    n = f"{numbers.count(found.n_noticed)} of {numbers.plural(found.n_windows, 'window')}"
    low, high = numbers.number(found.low), numbers.number(found.high)
    rate = f"one in {low} to {high}" if math.isfinite(found.high) else f"one in {low} or more"
    verdict = (
        "no more than the stated rate allows"
        if found.kept
        else "more than chance gives at the stated rate: something changed, or it is not kept"
    )
    words = f"{n} had a new notice: {rate} (95%, Poisson), {verdict}"
    if report.live is None or report.live.n_significant <= found.n_noticed:
        return words
    lasting = numbers.count(report.live.n_significant)
    return f"{words}. {lasting} windows had one, if known ones that lasted are counted"


def _added_up(report: ScanReport) -> Markup:
    """Windows with a new notice so far, over the 95% band of what the stated rate alone gives."""
    from scipy.stats import poisson

    so_far = np.cumsum(report.noticed).astype(np.float64)
    expected = np.arange(1, report.n_windows + 1) / report.arl0
    kept = plot.thin(so_far)
    most = poisson.ppf(0.975, expected[kept])
    top = max(float(so_far[-1]), float(most[-1]), 1.0) * 1.05
    axis = Axis(0.0, top)
    across = positions.axis(report).place(report.bounds[kept, 1].astype(np.float64))

    def down(values: Floats) -> Floats:
        return HEIGHT * (1 - axis.place(values))

    whole = [each for each in axis.ticks(3) if each == int(each)]
    svg = plot.drawing(
        f"Windows with a new notice: {numbers.count(so_far[-1])} by the end, where the stated rate"
        f" alone gives {numbers.count(most[-1])} at most (95%).",
        HEIGHT + 36,
        positions.grid(report, HEIGHT),
        plot.y_ticks(axis, HEIGHT, [(each, numbers.count(each)) for each in whole]),
        plot.stretched(
            HEIGHT,
            plot.band(across, down(np.zeros(len(kept))), down(most), class_="band estimate"),
            plot.curve(across, down(so_far[kept]), class_="curve now"),
        ),
        positions.x_axis(report, HEIGHT + 16),
    )
    legend = join(
        plot.key("line curve now", "realised"),
        plot.key("band estimate", "what the stated rate gives, 95%"),
    )
    return plot.figure("Windows with a new notice, added up", svg, legend=legend)
