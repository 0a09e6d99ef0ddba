"""A column before and after: its bins in the reference, and in the window where it moved most."""

import math

import numpy as np

from drift.findings import ColumnHistory, Counts, ScanReport
from drift.report import numbers, plot, positions
from drift.report.intervals import shorten_intervals
from drift.report.markup import Markup, join, tag
from drift.report.plot import Floats
from drift.report.selection import Moved
from drift.report.text import clip, clip_wide

MAX_BINS = 24
ROW_HEIGHT = 26.0
MAX_LABEL = 17
"""Letters of a bin's label that fit beside its bars, wide ones (of Chinese) counted twice."""
SPECIAL = frozenset({"other", "unseen", "missing"})


def distribution_plot(report: ScanReport, moved: Moved) -> Markup:
    """Grouped bars, a bin a row; long lists keep the bins that differ most."""
    window = moved.peak
    if window is None:
        return plot.figure("Distribution", tag("p", "No window to compare.", class_="empty"))
    counts = moved.column.windows[window]
    labels, before, after, special = _rows_of(moved.column, counts)
    top = float(np.nanmax(np.r_[before, after, 1e-9])) if len(before) else 1.0
    short = shorten_intervals(labels)
    bars = [
        _bar(
            i,
            labels[i],
            short[i],
            before=float(before[i]),
            after=float(after[i]),
            top=top,
            special=special[i],
        )
        for i in range(len(labels))
    ]
    caption = f"Shares by bin, window of {positions.window_words(report, window)}"
    if counts.sum() == 0:
        caption += " (which has no rows)"
    title = f"Distribution of {clip(moved.column.name, 60)}: {_largest_move(labels, before, after)}"
    legend = join(plot.key("bar before", "reference"), plot.key("bar after", "window"))
    svg = plot.drawing(title, ROW_HEIGHT * len(labels) + 4, *bars)
    return plot.figure(caption, svg, class_="bins", legend=legend)


def _rows_of(column: ColumnHistory, counts: Counts) -> tuple[list[str], Floats, Floats, list[bool]]:
    """Labels, shares before and after, and which bins hold other than the reference's values."""
    before, after = _shares(column.reference), _shares(counts)
    n = len(column.labels)
    labels = list(column.labels)
    special = [i >= n - 2 and label in SPECIAL for i, label in enumerate(labels)]
    if n <= MAX_BINS:
        return labels, before, after, special
    moves = np.nan_to_num(np.abs(after - before)) + 1e-6 * np.nan_to_num(before)
    moves[special] = math.inf
    kept = np.sort(np.argsort(-moves, kind="stable")[: MAX_BINS - 1])
    rest = np.setdiff1d(np.arange(n), kept)
    pooled = f"{len(rest)} more bins, together"
    return (
        [*(labels[i] for i in kept), pooled],
        np.r_[before[kept], before[rest].sum()],
        np.r_[after[kept], after[rest].sum()],
        [*(special[i] for i in kept), False],
    )


def _shares(counts: Counts) -> Floats:
    total = counts.sum()
    return counts / total if total > 0 else np.full(len(counts), math.nan)


def _bar(
    index: int, text: str, shown: str, *, before: float, after: float, top: float, special: bool
) -> Markup:
    y = ROW_HEIGHT * index + 4
    words = f"{numbers.percent(before)} → {numbers.percent(after)}"
    return join(
        tag(
            "text",
            tag("title", clip(text, 200)),
            clip_wide(shown, MAX_LABEL) or "(empty)",
            x="-8",
            y=f"{y + 13:g}",
            class_="bin end special" if special else "bin end",
        ),
        plot.across(y - 2, class_="special-line") if special else None,
        _rect(before, top, y, "bar before"),
        _rect(after, top, y + 9, "bar after"),
        tag("text", words, x="100%", y=f"{y + 13:g}", dx="8", class_="value"),
    )


def _rect(share: float, top: float, y: float, class_: str) -> Markup | None:
    if math.isnan(share):
        return None
    width = f"{100 * share / top:.2f}%"
    return tag("rect", x="0", y=f"{y:g}", width=width, height="7", class_=class_)


def _largest_move(labels: list[str], before: Floats, after: Floats) -> str:
    moves = np.nan_to_num(np.abs(after - before))
    if not len(moves) or moves.max() == 0:
        return "no bin differs."
    i = int(moves.argmax())
    return (
        f"most moved is bin {clip(labels[i], 40)}, "
        f"{numbers.percent(before[i])} in the reference, {numbers.percent(after[i])} in the window."
    )
