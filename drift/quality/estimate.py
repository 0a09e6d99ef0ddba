"""A number with how sure it is."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric, its standard error, and the bounds of its 95% interval.

    nan throughout where the rows have no answer: precision without a flagged row, AUC of one class.
    """

    value: float
    standard_error: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan, math.nan)
Z95 = 1.959963984540054


def normal_estimate(
    value: float, variance: float, *, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """With the interval value +- 1.96 standard errors, cut to what the metric can be."""
    if not math.isfinite(value):
        return UNKNOWN
    error = math.sqrt(max(variance, 0.0))
    return Estimate(value, error, max(low, value - Z95 * error), min(high, value + Z95 * error))


def rate_estimate(hits: float, trials: float) -> Estimate:
    """`hits` of `trials` with Wilson's interval (1927).

    The standard error is the interval's half width over 1.96. It is not 0 at 0 of n
    or n of n, where the usual formula is.
    """
    if trials <= 0:
        return UNKNOWN
    rate = hits / trials
    shrink = 1 + Z95**2 / trials
    centre = (rate + Z95**2 / (2 * trials)) / shrink
    half = Z95 / shrink * math.sqrt(rate * (1 - rate) / trials + Z95**2 / (4 * trials**2))
    low, high = max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))
    return Estimate(rate, half / Z95, low, high)
