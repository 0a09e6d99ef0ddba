"""What all plots share: scales, thinning, axes and the figure around them.

A plot is as wide as its place: x is in percent of the width, y in pixels, so that letters keep
their size on a phone. Curves, which percentages cannot say, stand in an inner drawing that is
1,000 units wide and stretched; their strokes are not.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.report.markup import Child, Markup, join, tag

Floats = NDArray[np.float64]

MAX_POINTS = 400
"""Points of one curve, and marks of one lane; longer series are thinned."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps `low`..`high` to 0..1; `root` by the square root of the value over `low`."""

    low: float
    high: float
    root: bool = False

    def place(self, values: Floats | float) -> Floats:
        """float64, clipped to 0..1; NaN stays."""
        shares = np.asarray((np.asarray(values, dtype=np.float64) - self.low) / self.width)
        shares = np.clip(np.nan_to_num(shares, nan=np.nan, posinf=1.0, neginf=0.0), 0.0, 1.0)
        return np.asarray(np.sqrt(shares) if self.root else shares)

    def share(self, value: float) -> float:
        """`place` of one value, without NumPy's cost for it."""
        share = (float(value) - self.low) / self.width
        if not 0.0 <= share <= 1.0:  # NaN stays
            share = share if math.isnan(share) else float(share > 1.0)
        return math.sqrt(share) if self.root else share

    @property
    def width(self) -> float:
        return self.high - self.low if self.high > self.low else 1.0

    def ticks(self, about: int = 4) -> list[float]:
        """Round values in the range, about so many."""
        raw = self.width / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        n_steps = math.floor(self.high / step + 1e-9) - first
        return [(first + k) * step + 0.0 for k in range(min(n_steps + 1, 20))]


def thin(values: Floats, limit: int = MAX_POINTS) -> NDArray[np.intp]:
    """Places of at most `limit` values: of each stretch the lowest and the highest.

    A stretch with NaN only keeps its first, so that gaps stay.
    """
    if len(values) <= limit:
        return np.arange(len(values))
    kept: list[int] = []
    edges = np.linspace(0, len(values), limit // 2 + 1).astype(int)
    for begin, end in itertools.pairwise(edges):
        part = values[begin:end]
        if np.isnan(part).all():
            kept.append(int(begin))
        else:
            kept += sorted({int(begin + np.nanargmin(part)), int(begin + np.nanargmax(part))})
    return np.array(kept, dtype=np.intp)


def curve(x: Floats, y: Floats, *, class_: str) -> Markup:
    """A line through (x share, y pixel), broken where y is NaN; a lone point is a short dash."""
    path: list[str] = []
    pen_down = False
    for i, (across, down) in enumerate(zip(x * 1000, y, strict=True)):
        if math.isnan(down):
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{across:.0f} {down:.1f}")
        if not pen_down and (i + 1 == len(y) or math.isnan(y[i + 1])):
            path.append("h4")
        pen_down = True
    return tag("path", d="".join(path), class_=class_)


def band(x: Floats, low: Floats, high: Floats, *, class_: str) -> Markup:
    """The areas between `low` and `high` in pixels, one for each stretch without NaN."""
    shapes: list[str] = []
    known = ~(np.isnan(low) | np.isnan(high))
    edges = np.flatnonzero(np.diff(np.r_[False, known, False].astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        there = [
            f"{a * 1000:.0f} {b:.1f}" for a, b in zip(x[begin:end], high[begin:end], strict=True)
        ]
        back = [
            f"{a * 1000:.0f} {b:.1f}" for a, b in zip(x[begin:end], low[begin:end], strict=True)
        ]
        shapes.append("M" + "L".join(there + back[::-1]) + "Z")
    return tag("path", d="".join(shapes), class_=class_)


def stretched(height: float, *children: Child) -> Markup:
    """The inner drawing that curves and bands stand in."""
    return tag(
        "svg",
        *children,
        viewBox=f"0 0 1000 {height:g}",
        preserveAspectRatio="none",
        width="100%",
        height=f"{height:g}",
    )


def mark(kind: str, x_share: float, y: float) -> Markup:
    """A `notice` (ring), an `alert` (diamond) or a `change` point (flag) of the page's symbols."""
    return tag("use", href=f"#m-{kind}", x=_percent(x_share), y=f"{y:.1f}")


def across(y: float, *, class_: str) -> Markup:
    return tag("line", x1="0", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_=class_)


def upright(x_share: float, top: float, bottom: float, *, class_: str) -> Markup:
    x = _percent(x_share)
    return tag("line", x1=x, x2=x, y1=f"{top:g}", y2=f"{bottom:g}", class_=class_)


def label(text: Child, x: str | float, y: float, *, class_: str | None = None) -> Markup:
    return tag("text", text, x=x, y=f"{y:.1f}", class_=class_)


def x_ticks(ticks: Sequence[tuple[float, str]], y: float) -> Markup:
    """Labels under the plot at (share, text); those at the ends stay inside."""
    written = []
    for share, text in ticks:
        side = "start" if share < 0.08 else "end" if share > 0.92 else "middle"
        written.append(tag("text", text, x=_percent(share), y=f"{y:g}", class_=f"tick {side}"))
    return join(written)


def y_ticks(axis: Axis, height: float, texts: Sequence[tuple[float, str]]) -> Markup:
    """Grid lines with labels to the left of the plot."""
    written = []
    for value, text in texts:
        y = height * (1 - axis.share(value))
        written += [across(y, class_="grid"), label(text, -8, y + 4, class_="tick end")]
    return join(written)


def drawing(title: str, height: float, *children: Child) -> Markup:
    """The plot itself: an image to a screen reader, which reads `title`."""
    return tag(
        "svg", tag("title", title), *children, role="img", width="100%", height=f"{height:g}"
    )


def figure(caption: Child, svg: Markup, *, class_: str = "", legend: Child = None) -> Markup:
    return tag(
        "figure",
        tag("figcaption", caption),
        None if legend is None else tag("p", legend, class_="legend"),
        tag("div", svg, class_="plot"),
        class_=class_ or None,
    )


def key(kind: str, text: str) -> Markup:
    """An entry of a legend: the same mark, line or bar that the plot has, and what it means."""
    shapes = {
        "notice": mark("notice", 0.5, 7),
        "alert": mark("alert", 0.5, 7),
        "change": mark("change", 0.5, 7),
    }
    shape = shapes.get(kind) or tag("rect", x="1", y="4", width="18", height="7", class_=kind)
    if kind.startswith("line"):
        shape = tag("line", x1="0", x2="20", y1="7", y2="7", class_=kind)
    icon = tag("svg", shape, width="20", height="14", aria_hidden="true")
    return tag("span", icon, " ", text, class_="key")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
