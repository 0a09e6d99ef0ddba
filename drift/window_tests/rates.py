"""Tests of rates: missing values, values of unseen categories, values out of range.

Counts are small (often 0 in the reference), so tails are exact up to `EXACT_COUNT` events. The
statistic is the normal deviate |z| of the p-value, so it compares between columns and sizes. The
effect is the difference of the rates (absolute, where a fall counts too) less its mean absolute
value when nothing changed, floor 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drift.binning import MAX_CATEGORIES
from drift.columns import Kind
from drift.nulls import Nulls, hypergeometric, log_choose
from drift.result import Result
from drift.window_tests.contract import (
    EVERY_KIND,
    WITH_UNSEEN,
    Counts,
    checked,
    n_value_bins,
    nothing_to_test,
)

EXACT_COUNT = 1_000
"""Events on both sides together up to which the tail is summed; above, the root of G is normal."""


@dataclass(frozen=True, slots=True)
class RateTest:
    """A `WindowTest` of one share of the rows, exact for small counts.

    `events` picks from counts int64[C, B] events and rows of the reference, then of the window,
    int64[C] each.
    """

    name: str
    kinds: frozenset[Kind]
    events: Callable[[Counts, Counts, Kind], tuple[Counts, Counts, Counts, Counts]]
    rise_only: bool = False

    def __call__(
        self, reference: Counts, window: Counts, *, kind: Kind, nulls: Nulls, alpha: float
    ) -> Result:
        return self.columns(reference[None], window[None], kind=kind, nulls=nulls, alpha=alpha)[0]

    def columns(
        self,
        reference: Counts,
        window: Counts,
        *,
        kind: Kind,
        nulls: Nulls,  # noqa: ARG002 - the contract's; these nulls are exact
        alpha: float,
    ) -> list[Result]:
        checked(self, reference, window, kind=kind, alpha=alpha)
        of_columns = self.events(reference, window, kind)
        return [
            compare_rates(self.name, *sizes, alpha=alpha, rise_only=self.rise_only)
            for sizes in zip(*(values.tolist() for values in of_columns), strict=True)
        ]


def compare_rates(
    name: str, x: int, n: int, y: int, m: int, *, alpha: float, rise_only: bool = False
) -> Result:
    """Whether `y` of `m` window rows and `x` of `n` reference rows come from one rate.

    Fisher's exact test (never above its rate), two-sided with doubled tails or only for a rise;
    G with 1 df for many events.
    """
    if n == 0 or m == 0:
        return nothing_to_test(name, n, m)
    fall, rise = _tails(x, n, y, m)
    p = rise if rise_only else min(1.0, 2 * min(fall, rise))
    gap = y / m - x / n
    rate = (x + y) / (n + m)
    by_chance = math.sqrt(rate * (1 - rate) * (1 / n + 1 / m) * 2 / math.pi)
    effect = (gap if rise_only else abs(gap)) - by_chance
    return _result(name, p, effect, (n, m), alpha)


def range_rate(x: int, n: int, y: int, m: int, *, alpha: float) -> Result:
    """Whether more of the window's values than of the reference's lie outside declared bounds.

    `x` of `n` and `y` of `m` values that are not missing.
    """
    return compare_rates("range_rate", x, n, y, m, alpha=alpha, rise_only=True)


def beyond_extremes(n: int, y: int, m: int, *, alpha: float) -> Result:
    """Whether too many, `y` of `m` window values, lie outside the reference's minimum and maximum.

    The reference has none by construction. Free of the distribution: the share beyond the extremes
    of n values is Beta(2, n - 1), and y window values beyond them mean that at most one of the
    first y + 1 of n + m exchangeable rows is the reference's. With ties p is too large, never too
    small.
    """
    if n < 2 or m == 0:
        return nothing_to_test("beyond_extremes", n, m)
    rows = np.array([y + 1])
    none = math.exp((log_choose(m, rows) - log_choose(n + m, rows))[0]) if y < m else 0.0
    one = n * math.exp((log_choose(m, rows - 1) - log_choose(n + m, rows))[0])
    return _result("beyond_extremes", min(1.0, none + one), y / m - 2 / (n + 1), (n, m), alpha)


def _result(name: str, p: float, effect: float, sizes: tuple[int, int], alpha: float) -> Result:
    return Result(
        detector=name,
        statistic=_deviate(p),
        threshold=_deviate(alpha),
        p_value=p,
        effect=max(0.0, effect),
        n_reference=sizes[0],
        n_window=sizes[1],
    )


def _deviate(p: float) -> float:
    from scipy.special import ndtri

    return max(0.0, -float(ndtri(max(p, 1e-300) / 2)))


def _tails(x: int, n: int, y: int, m: int) -> tuple[float, float]:
    """P(at most y) and P(at least y) of the x + y events among the window's m of n + m rows."""
    total = x + y
    if total == 0:
        return 1.0, 1.0
    if total > (n + m) // 2:  # the rarer of the two outcomes has the shorter sum
        rise, fall = _tails(n - x, n, m - y, m)
        return fall, rise
    if total > EXACT_COUNT:
        return _limits(x, n, y, m)
    possible, p = hypergeometric(n, m, total)
    at = y - int(possible[0])
    return min(1.0, float(p[: at + 1].sum())), min(1.0, float(p[at:].sum()))


def _limits(x: int, n: int, y: int, m: int) -> tuple[float, float]:
    """The tails by the signed root of G, which is near normal."""
    from scipy.special import ndtr

    total, size = x + y, n + m
    cells = (
        (x, n * total),
        (y, m * total),
        (n - x, n * (size - total)),
        (m - y, m * (size - total)),
    )
    g = 2 * sum(c * math.log(c * size / expected) for c, expected in cells if c)
    root = math.copysign(math.sqrt(max(g, 0.0)), y / m - x / n)
    return float(ndtr(root)), float(ndtr(-root))


def _missing(
    reference: Counts,
    window: Counts,
    kind: Kind,  # noqa: ARG001
) -> tuple[Counts, Counts, Counts, Counts]:
    return reference[:, -1], reference.sum(axis=1), window[:, -1], window.sum(axis=1)


def _unseen(reference: Counts, window: Counts, kind: Kind) -> tuple[Counts, Counts, Counts, Counts]:
    """Events: values that have no bin because the reference does not hold them.

    It has none by construction, though new ones are to be expected where many are rare. Their share
    is estimated by that of the values met once (Good 1953), so these count as the reference's
    events; of rarer categories that share a bin, where one cannot see it, all do.
    """
    n_bins = n_value_bins(reference.shape[1], kind)
    known = reference[:, :n_bins]
    expected = (known == 1).sum(axis=1)
    if n_bins > MAX_CATEGORIES:
        expected += np.where(known[:, -1] > 1, known[:, -1], 0)
    return (
        np.maximum(reference[:, -2], expected),
        reference[:, :-1].sum(axis=1),
        window[:, -2],
        window[:, :-1].sum(axis=1),
    )


null_rate = RateTest(name="null_rate", kinds=EVERY_KIND, events=_missing)
unseen_rate = RateTest(name="unseen_rate", kinds=WITH_UNSEEN, events=_unseen, rise_only=True)
