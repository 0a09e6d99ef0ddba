"""Tests of rates: missing values, values of unseen categories, values out of range.

Counts are small (often 0 in the reference), so tails are exact up to `EXACT_COUNT` events. The
statistic is a root: the signed normal deviate z of the two-sided p-value, |z|, which is comparable
between columns and sizes; the effect is the difference of the rates in absolute value, less the
mean of that difference when nothing changed, floor 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drift.nulls import FloatArray, Nulls
from drift.result import Result
from drift.window_tests.contract import Counts, Kind, checked, n_value_bins, nothing_to_test

EXACT_COUNT = 1_000
"""Events on both sides together up to which the tail is summed; above, G with 1 df is within 1%."""


@dataclass(frozen=True, slots=True)
class RateTest:
    """A `WindowTest` of one share of the rows: two-sided, exact for small counts.

    `events` picks from counts int64[C, B] events and rows of the reference, then of the window,
    int64[C] each.
    """

    name: str
    kinds: frozenset[Kind]
    events: Callable[[Counts, Counts, Kind], tuple[Counts, Counts, Counts, Counts]]

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
            compare_rates(self.name, *sizes, alpha=alpha)
            for sizes in zip(*(values.tolist() for values in of_columns), strict=True)
        ]


def compare_rates(name: str, x: int, n: int, y: int, m: int, *, alpha: float) -> Result:
    """Whether `y` of `m` window rows and `x` of `n` reference rows come from one rate.

    Fisher's exact test with doubled tails (never above its rate); G with 1 df for many events.
    """
    if n == 0 or m == 0:
        return nothing_to_test(name, n, m)
    p = _two_sided(x, n, y, m)
    rate = (x + y) / (n + m)
    by_chance = math.sqrt(rate * (1 - rate) * (1 / n + 1 / m) * 2 / math.pi)
    return _result(name, p, abs(y / m - x / n) - by_chance, (n, m), alpha)


def range_rate(n: int, out_of_range: int, m: int, *, alpha: float) -> Result:
    """Whether too many of `m` window values lie outside the reference's own minimum and maximum.

    `n` and `m` count values that are not missing. Free of the distribution: the share beyond the
    extremes of n values is Beta(2, n - 1), so the count is beta-binomial; with ties it is smaller,
    and the test keeps below its rate. Only a rise counts. Bounds that are declared, not observed,
    have counts on both sides: use `compare_rates`.
    """
    if n < 2 or m == 0:
        return nothing_to_test("range_rate", n, m)
    p = _beta_binomial_tail(out_of_range, m, 2, n - 1)
    return _result("range_rate", p, out_of_range / m - 2 / (n + 1), (n, m), alpha)


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


def _two_sided(x: int, n: int, y: int, m: int) -> float:
    total = x + y
    if total > (n + m) // 2:  # the rarer of the two outcomes has the shorter sum
        x, y, total = n - x, m - y, n + m - total
    if total == 0:
        return 1.0
    if total > EXACT_COUNT:
        return _chi_square_tail(x, n, y, m)
    p = _hypergeometric(np.arange(max(0, total - n), min(total, m) + 1), n, m, total)
    at = y - max(0, total - n)
    return min(1.0, 2 * float(min(p[: at + 1].sum(), p[at:].sum())))


def _hypergeometric(y: Counts, n: int, m: int, total: int) -> FloatArray:
    """P(y of `total` events fall among the window's m rows of n + m)."""
    log_p = _log_choose(m, y) + _log_choose(n, total - y)
    p: FloatArray = np.exp(log_p - log_p.max())
    p /= p.sum()
    return p


def _log_choose(n: int, k: Counts) -> FloatArray:
    from scipy.special import betaln

    ways: FloatArray = betaln(n - k + 1.0, k + 1.0)
    return -ways - math.log(n + 1.0)


def _chi_square_tail(x: int, n: int, y: int, m: int) -> float:
    from scipy.special import erfc

    total, size = x + y, n + m
    cells = (
        (x, n * total),
        (y, m * total),
        (n - x, n * (size - total)),
        (m - y, m * (size - total)),
    )
    g = 2 * sum(c * math.log(c * size / expected) for c, expected in cells if c)
    return float(erfc(math.sqrt(max(g, 0.0) / 2)))


def _beta_binomial_tail(k: int, m: int, a: float, b: float) -> float:
    """P(K >= k) for K beta-binomial(m, a, b); the shorter side is summed."""
    from scipy.special import betaln

    upper = k > m // 2
    counts = np.arange(k, m + 1) if upper else np.arange(k)
    choose = _log_choose(m, counts)
    p = float(np.exp(choose + betaln(counts + a, m - counts + b) - betaln(a, b)).sum())
    return min(1.0, p if upper else max(0.0, 1 - p))


def _missing(
    reference: Counts,
    window: Counts,
    kind: Kind,  # noqa: ARG001
) -> tuple[Counts, Counts, Counts, Counts]:
    return reference[:, -1], reference.sum(axis=1), window[:, -1], window.sum(axis=1)


def _unseen(reference: Counts, window: Counts, kind: Kind) -> tuple[Counts, Counts, Counts, Counts]:
    """Events: values of categories without a bin.

    The reference has few or none by construction, though new ones are to be expected where many
    categories are rare. Good and Turing's estimate of their share is that of the categories met
    once, so these count as the reference's events.
    """
    n_bins = n_value_bins(reference.shape[1], kind)
    met_once = (reference[:, :n_bins] == 1).sum(axis=1)
    return (
        np.maximum(reference[:, -2], met_once),
        reference[:, :-1].sum(axis=1),
        window[:, -2],
        window[:, :-1].sum(axis=1),
    )


null_rate = RateTest(
    name="null_rate",
    kinds=frozenset({"numeric", "discrete", "categorical"}),
    events=_missing,
)
unseen_rate = RateTest(
    name="unseen_rate",
    kinds=frozenset({"categorical"}),
    events=_unseen,
)
