"""Labels of intervals, short enough to stand beside a bar."""

import math
import re
from collections.abc import Sequence

from drift.report.numbers import MINUS

_INTERVAL = re.compile(r"\((\S+), (\S+)[\])]")
_FEWEST_DIGITS, _MOST_DIGITS = 3, 9


def shorten_intervals(labels: Sequence[str]) -> list[str]:
    """`labels`, intervals among them in as few digits as keep their edges apart.

    "(-inf, 1.23457]" becomes "≤ 1.23", "(1.23457, 2.5]" "1.23 to 2.5", "(2.5, inf)" "> 2.5".
    """
    bounds = [_bounds(label) for label in labels]
    edges = sorted({edge for pair in bounds if pair for edge in pair if math.isfinite(edge)})
    digits = _FEWEST_DIGITS
    while digits < _MOST_DIGITS and len({f"{edge:.{digits}g}" for edge in edges}) < len(edges):
        digits += 1
    return [
        label if pair is None else _words(*pair, digits)
        for label, pair in zip(labels, bounds, strict=True)
    ]


def _bounds(label: str) -> tuple[float, float] | None:
    found = _INTERVAL.fullmatch(label)
    if found is None:
        return None
    try:
        low, high = float(found[1]), float(found[2])
    except ValueError:  # a category that looks like an interval
        return None
    return (low, high) if low < high else None


def _words(low: float, high: float, digits: int) -> str:
    shown = [f"{edge:.{digits}g}".replace("-", MINUS) for edge in (low, high)]
    if math.isinf(low):
        return "all" if math.isinf(high) else f"≤ {shown[1]}"
    return f"> {shown[0]}" if math.isinf(high) else f"{shown[0]} to {shown[1]}"
