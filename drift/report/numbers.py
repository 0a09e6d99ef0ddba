"""Numbers in words and figures that people read."""

import math
from datetime import UTC, datetime

MINUS = "\N{MINUS SIGN}"
UNKNOWN = "\N{EN DASH}"


def count(value: float) -> str:
    """1,234,567."""
    return f"{int(value):,}".replace("-", MINUS)


def number(value: float) -> str:
    """Three significant digits; an en dash for NaN."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        digits, power = f"{value:.1e}".split("e")
        shown = f"{digits.removesuffix('.0')}e{int(power)}"
    elif abs(value) >= 1000:
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.3g}"
    return shown.replace("-", MINUS)


def effect(value: float) -> str:
    """Two decimals, as effect sizes are spoken of; very small ones are 0."""
    if not math.isfinite(value) or abs(value) >= 100:
        return number(value)
    shown = f"{value:.2f}"
    return "0.00" if shown == "-0.00" else shown.replace("-", MINUS)


def p_value(value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    return f"< 1e{MINUS}12" if value < 1e-12 else number(value)


def percent(value: float) -> str:
    return UNKNOWN if math.isnan(value) else f"{100 * value:.1f}%"


def plural(n: int, one: str, many: str | None = None) -> str:
    """ "1 notice", "2 notices"."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def moment(ms: int, *, minutes: bool = True) -> str | None:
    """An event time in UTC, None where no calendar has it."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime(
            "%Y-%m-%d %H:%M" if minutes else "%Y-%m-%d"
        )
    except (OverflowError, OSError, ValueError):
        return None


def duration(ms: float) -> str:
    """ "5 minutes", "1.5 hours", "3 days": in the largest unit that it fills."""
    units = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"))
    size, name = next((unit for unit in units if ms >= unit[0]), units[-1])
    shown = number(ms / size)
    return f"{shown} {name}" if shown == "1" else f"{shown} {name}s"


def poisson_tail(n: int, mean: float) -> float:
    """The probability of n or more where `mean` are expected (0 for a mean that is not known)."""
    if n <= 0:
        return 1.0
    if not 0 < mean < math.inf:
        return 0.0
    below = sum(
        math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(min(n, 10_000))
    )
    return min(1.0, max(0.0, 1.0 - below))
