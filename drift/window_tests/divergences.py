"""Divergences of two histograms as tests: PSI, Kullback-Leibler, Jensen-Shannon, Hellinger,
Wasserstein.

With `PSEUDOCOUNT` added to every bin where the formula has a logarithm of a ratio: shares are
(count + 0.5) / (total + 0.5 B), so empty bins stay finite and the choice is Jeffreys' prior.
Natural logarithms, except for Jensen-Shannon. Each is near a multiple of chi-square when nothing
changed: PSI about (1/n + 1/m) chi2(B - 1), which is what its correction takes off.
"""

import math

import numpy as np

from drift.nulls import FloatArray
from drift.window_tests.contract import Counts
from drift.window_tests.histogram import HistogramTest, per_size

PSEUDOCOUNT = 0.5


def psi(reference: Counts, window: Counts) -> FloatArray:
    """Population stability index, sum (q - p) ln(q / p), of int64[..., B]: float64[...].

    Uncorrected; the classic bands 0.1, 0.2 and 0.25 are meant for `corrected_psi`.
    """
    p, q = _shares(reference, PSEUDOCOUNT), _shares(window, PSEUDOCOUNT)
    index: FloatArray = ((q - p) * np.log(q / p)).sum(axis=-1)
    return index


def corrected_psi(reference: Counts, window: Counts) -> FloatArray:
    """PSI - (B - 1)(1/n + 1/m), floor 0: what is left once chance at these sizes is taken off.

    About delta^2 for a shift of delta standard deviations: 0.1 is 0.32 sigma, 0.2 is 0.45.
    """
    n, m = reference.sum(axis=-1), window.sum(axis=-1)
    by_chance = (reference.shape[-1] - 1) * (1 / n + 1 / m)
    corrected: FloatArray = np.maximum(psi(reference, window) - by_chance, 0.0)
    return corrected


def kl_divergence(reference: Counts, window: Counts) -> FloatArray:
    """Kullback-Leibler divergence of the window from the reference, sum q ln(q / p), in nats."""
    p, q = _shares(reference, PSEUDOCOUNT), _shares(window, PSEUDOCOUNT)
    divergence: FloatArray = (q * np.log(q / p)).sum(axis=-1)
    return np.maximum(divergence, 0.0)


def js_divergence(reference: Counts, window: Counts) -> FloatArray:
    """Jensen-Shannon divergence in nats, 0..ln 2; the test reports its square root in base 2."""
    p, q = _shares(reference), _shares(window)
    divergence: FloatArray = (_x_ln_x(p) / 2 + _x_ln_x(q) / 2 - _x_ln_x((p + q) / 2)).sum(axis=-1)
    return np.maximum(divergence, 0.0)


def squared_hellinger(reference: Counts, window: Counts) -> FloatArray:
    """Half the squared distance of the roots of the shares, 0..1."""
    roots = np.sqrt(_shares(reference)) - np.sqrt(_shares(window))
    squared: FloatArray = (roots**2).sum(axis=-1) / 2
    return squared


def wasserstein_distance(reference: Counts, window: Counts) -> FloatArray:
    """Earth mover's distance over bins one apart, as a share of their range: 0..1.

    Over bins of equal counts that is a distance in ranks: 0.1 means that the mean value moved past
    about a tenth of the reference. Bins must be in order.
    """
    gap = np.cumsum(_shares(window) - _shares(reference), axis=-1)[..., :-1]
    distance: FloatArray = np.abs(gap).sum(axis=-1) / max(reference.shape[-1] - 1, 1)
    return distance


def scale(reference: Counts, window: Counts) -> FloatArray:
    """n m / (n + m) of int64[..., B] and int64[..., B]: float64[...]."""
    n, m = reference.sum(axis=-1), window.sum(axis=-1)
    by_sizes: FloatArray = n * (m / (n + m))
    return by_sizes


def _shares(counts: Counts, pseudocount: float = 0.0) -> FloatArray:
    total = counts.sum(axis=-1, keepdims=True) + pseudocount * counts.shape[-1]
    shares: FloatArray = (counts + pseudocount) / total
    return shares


def _x_ln_x(x: FloatArray) -> FloatArray:
    x_ln_x: FloatArray = x * np.log(np.where(x > 0, x, 1.0))
    return x_ln_x


def _standardised_psi(reference: Counts, window: Counts) -> FloatArray:
    return psi(reference, window) * scale(reference, window)


def _standardised_kl(reference: Counts, window: Counts) -> FloatArray:
    return 2 * kl_divergence(reference, window) * scale(reference, window)


def _standardised_js(reference: Counts, window: Counts) -> FloatArray:
    return 8 * js_divergence(reference, window) * scale(reference, window)


def _standardised_hellinger(reference: Counts, window: Counts) -> FloatArray:
    return 8 * squared_hellinger(reference, window) * scale(reference, window)


def _standardised_wasserstein(reference: Counts, window: Counts) -> FloatArray:
    return wasserstein_distance(reference, window) ** 2 * scale(reference, window)


def _half(x: float, n: int, m: int) -> float:
    return x * (1 / n + 1 / m) / 2


def _js_distance(x: float, n: int, m: int) -> float:
    return math.sqrt(x * (1 / n + 1 / m) / 8 / math.log(2))


def _hellinger_distance(x: float, n: int, m: int) -> float:
    return math.sqrt(x * (1 / n + 1 / m) / 8)


def root_per_size(x: float, n: int, m: int) -> float:
    """The distance of which `x` is the square times n m / (n + m)."""
    return math.sqrt(x * (1 / n + 1 / m))


psi_test = HistogramTest(
    name="psi", standardised=_standardised_psi, to_statistic=per_size, to_effect=per_size
)
kullback_leibler = HistogramTest(
    name="kullback_leibler", standardised=_standardised_kl, to_statistic=_half, to_effect=_half
)
jensen_shannon = HistogramTest(
    name="jensen_shannon",
    standardised=_standardised_js,
    to_statistic=_js_distance,
    to_effect=_js_distance,
)
hellinger = HistogramTest(
    name="hellinger",
    standardised=_standardised_hellinger,
    to_statistic=_hellinger_distance,
    to_effect=_hellinger_distance,
)
wasserstein = HistogramTest(
    name="wasserstein",
    standardised=_standardised_wasserstein,
    to_statistic=root_per_size,
    to_effect=root_per_size,
    chi_square_from=None,
    ordered=True,
)
