"""How sure: all p-values of all windows, which lie evenly in 0..1 where nothing moves."""

import numpy as np

from drift.findings import ScanReport
from drift.report import numbers, plot
from drift.report.markup import Markup, join, tag

HEIGHT = 120.0
N_BARS = 20


def p_value_plot(report: ScanReport) -> Markup | None:
    """The histogram of p-values against the even one; None without windows."""
    known = [column.p_values[np.isfinite(column.p_values)] for column in report.columns]
    values = np.concatenate(known) if known else np.empty(0)
    if not len(values):
        return None
    counts, _ = np.histogram(np.clip(values, 0, 1), bins=N_BARS, range=(0, 1))
    shares = counts / len(values)
    top = max(float(shares.max()), 1.6 / N_BARS) * 1.05
    width = 100 / N_BARS
    bars = [
        tag(
            "rect",
            x=f"{width * i + 0.4:.2f}%",
            width=f"{width - 0.8:.2f}%",
            y=f"{HEIGHT * (1 - share / top):.1f}",
            height=f"{HEIGHT * share / top:.1f}",
            class_="bar after",
        )
        for i, share in enumerate(shares)
    ]
    even = HEIGHT * (1 - 1 / N_BARS / top)
    svg = plot.drawing(
        f"Histogram of {numbers.count(len(values))} p-values: {numbers.percent(float(shares[0]))} "
        f"are under 0.05, where 5% would be without drift.",
        HEIGHT + 20,
        *bars,
        plot.across(HEIGHT, class_="lane"),
        plot.across(even, class_="reference"),
        plot.x_ticks([(0.0, "p = 0"), (0.5, "0.5"), (1.0, "1")], HEIGHT + 16),
    )
    legend = join(
        plot.key("bar after", "windows of all columns"), plot.key("line reference", "no drift")
    )
    return plot.figure(
        f"{numbers.count(len(values))} p-values, a column and a window each", svg, legend=legend
    )
