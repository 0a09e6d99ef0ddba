"""What a statistic of two histograms does when nothing changed, at the actual sample sizes.

Three nulls:

- **Order statistics** (`Nulls.order_statistics`). The bins' edges are order statistics of the
  reference, r_k = round(k n / B). Whatever the column's distribution, the share of bin k is then
  Beta distributed, together p ~ Dirichlet(r_k - r_(k-1), the last + 1), and the window's counts
  are Multinomial(m, p). Two multinomials instead are off by up to 14x for small samples.
- **Permutation** (`Nulls.permutation`). Where the bins are values or categories, the rows of
  reference and window are exchangeable given the combined counts (multivariate hypergeometric).
- **Chi-square** (`ChiSquareNull`), the common limit for large samples.

All are functions of the seed and the sizes alone, so every process gives the same p-values.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Standardised = Callable[[IntArray, IntArray], FloatArray]
"""(reference int64[..., B], window int64[..., B]) to float64[...]; 0 for equal proportions, larger
for further apart, scaled by the sizes so that the limit does not depend on them."""

DRAWS_PER_CHUNK = 20_000
TAIL_DRAWS = 1_000
"""Draws that carry the exponential tail: its scale is then known to 3%."""
PERMUTATION_STAGES = (500, 5_000, 50_000)
ENOUGH_EXCEEDANCES = 50
MOST_TABLES = 20_000
"""Tables of two bins that are listed rather than drawn."""
TOLERANCE = 1e-9
"""Relative; the same table in another order of bins rounds differently by less."""


class Null(Protocol):
    """The distribution of one statistic when nothing changed."""

    @property
    def mean(self) -> float: ...

    def p_value(self, statistic: FloatArray) -> FloatArray:
        """P(T >= statistic), in 0..1, element by element."""

    def threshold(self, alpha: float) -> float:
        """The smallest statistic whose p-value is at most `alpha`."""


@dataclass(frozen=True, slots=True)
class ChiSquareNull:
    """Chi-square with `df` degrees of freedom; with none (one bin) nothing is ever exceeded."""

    df: int

    @property
    def mean(self) -> float:
        return float(self.df)

    def p_value(self, statistic: FloatArray) -> FloatArray:
        from scipy.special import gammaincc

        if self.df == 0:
            return np.ones_like(statistic)
        p: FloatArray = gammaincc(self.df / 2, statistic / 2)
        return p

    def threshold(self, alpha: float) -> float:
        return _chi_square_threshold(self.df, alpha) if self.df else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedNull:
    """Draws of a statistic, kept as a few hundred points of its survival function.

    Between points log p is linear. Beyond the last one p falls exponentially with the mean excess
    of the draws there, enlarged by its standard error: for tails whose hazard rises, as those of
    quadratic forms and of bounded distances do, that errs to the safe side (Barlow and Proschan).
    `values` float64[k] rises, `log_p` float64[k] falls from 0.
    """

    values: FloatArray
    log_p: FloatArray
    scale: float
    mean: float

    def p_value(self, statistic: FloatArray) -> FloatArray:
        t = statistic - TOLERANCE * (1 + np.abs(statistic))
        log_p = np.interp(t, self.values, self.log_p)
        beyond = np.maximum(t - self.values[-1], 0.0)
        p: FloatArray = np.exp(log_p - beyond / self.scale)
        return p

    def threshold(self, alpha: float) -> float:
        wanted = math.log(alpha)
        if wanted < self.log_p[-1]:
            t = float(self.values[-1] + self.scale * (self.log_p[-1] - wanted))
        else:
            t = float(np.interp(-wanted, -self.log_p, self.values))
        return t + TOLERANCE * (1 + abs(t))


def simulated_null(draws: FloatArray, *, tail_draws: int = TAIL_DRAWS) -> SimulatedNull:
    """Summarise `draws` float64[n]; the `tail_draws` largest (at most a tenth) shape the tail."""
    ordered = np.sort(draws)
    n = len(ordered)
    tail_draws = min(tail_draws, n // 10)
    exceeding = np.concatenate(
        [np.linspace(n, n / 10, 120), np.geomspace(n / 10, tail_draws, 200)]
    ).astype(np.int64)
    values = np.unique(ordered[n - exceeding])
    at_least = n - np.searchsorted(ordered, values - TOLERANCE * (1 + np.abs(values)))
    last = values[-1]
    excess = ordered[ordered > last + TOLERANCE * (1 + abs(last))] - last
    if len(excess):
        # With mass on `last` the truth is between the mean excess of those at or above it and of
        # those above it; for steps of a lattice their mean is just above.
        reached = n - np.searchsorted(ordered, last)
        scale = float(excess.sum() / reached + excess.mean()) / 2
        scale *= 1 + 1 / math.sqrt(len(excess))
    else:  # all of the tail is one value: fall by at most a factor e for a step as wide as the last
        scale = float(last - values[-2]) if len(values) > 1 else max(float(abs(last)), 1.0)
    return SimulatedNull(
        values=values,
        log_p=np.log(np.minimum((at_least + 1) / (n + 1), 1.0)),
        scale=scale,
        mean=float(draws.mean()),
    )


class Nulls:
    """Simulated nulls, cached: a few kilobytes each, at most `max_cached` of them.

    One instance serves one detector process; it is not thread safe. `n_draws` costs about 1 s per
    million and null, once.
    """

    def __init__(self, *, seed: int, n_draws: int = 1_000_000, max_cached: int = 512) -> None:
        if n_draws < 10_000:
            raise ValueError(f"a null needs at least 10,000 draws, not {n_draws}")
        self._seed = seed
        self._n_draws = n_draws
        self._max_cached = max_cached
        self._cache: OrderedDict[tuple[Standardised, int, int, int], SimulatedNull] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cache)

    def order_statistics(
        self, statistic: Standardised, *, n: int, m: int, n_bins: int
    ) -> SimulatedNull:
        """The null of `statistic` for a reference of `n` and a window of `m` values.

        Sizes above 64 are taken to the nearest of 8 per octave (`nearby_size`).
        """
        key = (statistic, nearby_size(n), nearby_size(m), n_bins)
        if (null := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            return null
        rng = np.random.default_rng([self._seed, *key[1:]])
        draws = draw_order_statistics(rng, *key, n_draws=self._n_draws)
        null = self._cache[key] = simulated_null(draws)
        if len(self._cache) > self._max_cached:
            self._cache.popitem(last=False)
        return null

    def permutation(
        self, statistic: Standardised, reference: IntArray, window: IntArray
    ) -> SimulatedNull:
        """The null of `statistic` given the combined counts of int64[B] and int64[B]; not cached.

        Exact for two bins, save huge ones. Else it draws in stages, and stops when enough exceed
        what was seen (Besag and Clifford 1991): 0.3 to 5 ms for a table where nothing happened, 30
        to 80 ms for one where something did.
        """
        combined = reference + window
        n, m = int(reference.sum()), int(window.sum())
        if len(combined) == 2 and min(n, m, combined.min()) < MOST_TABLES:
            return _two_bins_null(statistic, combined, m)
        observed = float(statistic(reference, window))
        rng = np.random.default_rng([self._seed, n, m, *combined.tolist()])
        drawn: list[FloatArray] = []
        n_drawn = n_exceeding = 0
        for stage in PERMUTATION_STAGES:
            for size in _chunks(stage - n_drawn):
                table = rng.multivariate_hypergeometric(combined, m, size=size, method="marginals")
                drawn.append(statistic(combined - table, table))
                n_exceeding += int(np.count_nonzero(drawn[-1] >= observed * (1 - TOLERANCE)))
            n_drawn = stage
            if n_exceeding >= ENOUGH_EXCEEDANCES:
                break
        return simulated_null(np.concatenate(drawn), tail_draws=max(50, n_drawn // 250))


def nearby_size(size: int) -> int:
    """The nearest of 8 sizes per octave above 64, so that few nulls serve all windows.

    At most 4.4% off, and a null at these sizes moves by less than 1% with it: the sizes act
    through 1/n and 1/m corrections only (tests/unit/drift/test_nulls.py).
    """
    return size if size <= 64 else round(2 ** (round(8 * math.log2(size)) / 8))


def expected_bin_counts(n: int, n_bins: int) -> IntArray:
    """int64[n_bins]: how many of `n` reference values lie in each bin cut at round(k n / B)."""
    ranks = [(2 * k * n + n_bins) // (2 * n_bins) for k in range(n_bins + 1)]
    return np.array([b - a for a, b in pairwise(ranks)], dtype=np.int64)


def hypergeometric(n: int, m: int, total: int) -> tuple[IntArray, FloatArray]:
    """How many of `total` events fall among m of n + m rows: (possible counts, probabilities)."""
    possible = np.arange(max(0, total - n), min(total, m) + 1)
    log_p = log_choose(m, possible) + log_choose(n, total - possible)
    p: FloatArray = np.exp(log_p - log_p.max())
    p /= p.sum()
    return possible, p


def log_choose(n: int, k: IntArray) -> FloatArray:
    """ln of n over k, element by element."""
    from scipy.special import betaln

    ways: FloatArray = betaln(n - k + 1.0, k + 1.0)
    return -ways - math.log(n + 1.0)


def _two_bins_null(statistic: Standardised, combined: IntArray, m: int) -> SimulatedNull:
    """All tables of two bins with these margins, weighed as the permutation does (Fisher)."""
    n = int(combined.sum()) - m
    first, weights = hypergeometric(n, m, int(combined[0]))
    tables = np.stack([first, m - first], axis=1)
    statistics = statistic(combined - tables, tables)
    order = np.argsort(statistics)
    values, weights = statistics[order], weights[order]
    at_least = np.cumsum(weights[::-1])[::-1]
    reached = at_least[np.searchsorted(values, values - TOLERANCE * (1 + np.abs(values)))]
    return SimulatedNull(
        values=values,
        log_p=np.log(np.clip(reached, 1e-300, 1.0)),
        scale=max(float(values[-1] - values[0]) / len(values), 1.0),
        mean=float(weights @ values),
    )


def draw_order_statistics(
    rng: np.random.Generator, statistic: Standardised, n: int, m: int, n_bins: int, *, n_draws: int
) -> FloatArray:
    """float64[n_draws] of `statistic` when reference and window share one distribution."""
    reference = expected_bin_counts(n, n_bins)
    spacings = reference.astype(np.float64)
    spacings[-1] += 1.0
    drawn = []
    for size in _chunks(n_draws):
        shares = rng.standard_gamma(spacings, size=(size, n_bins))
        shares /= shares.sum(axis=1, keepdims=True)
        drawn.append(statistic(reference, rng.multinomial(m, shares)))
    return np.concatenate(drawn)


def _chunks(total: int) -> list[int]:
    return [min(DRAWS_PER_CHUNK, total - start) for start in range(0, total, DRAWS_PER_CHUNK)]


@lru_cache(maxsize=4096)
def _chi_square_threshold(df: int, alpha: float) -> float:
    from scipy.special import gammainccinv

    return 2.0 * float(gammainccinv(df / 2, alpha))
