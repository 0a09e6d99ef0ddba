"""Kolmogorov-Smirnov: the largest gap of two cumulative distributions, over bins or exactly."""

import math

import numpy as np
from numpy.typing import NDArray

from drift.nulls import FloatArray
from drift.result import Result
from drift.window_tests.contract import Counts, nothing_to_test
from drift.window_tests.divergences import root_per_size, scale
from drift.window_tests.histogram import HistogramTest


def binned_distance(reference: Counts, window: Counts) -> FloatArray:
    """The largest gap at the edges of int64[..., B] and int64[..., B]: float64[...] in 0..1."""
    below_reference = np.cumsum(reference, axis=-1) / reference.sum(axis=-1, keepdims=True)
    below_window = np.cumsum(window, axis=-1) / window.sum(axis=-1, keepdims=True)
    distance: FloatArray = np.abs(below_window - below_reference).max(axis=-1)
    return distance


def _standardised(reference: Counts, window: Counts) -> FloatArray:
    """Squared, so that its tail is exponential, as `drift.nulls` continues it."""
    return binned_distance(reference, window) ** 2 * scale(reference, window)


ks_binned = HistogramTest(
    name="ks_binned",
    standardised=_standardised,
    to_statistic=root_per_size,
    to_effect=root_per_size,
    chi_square_from=None,
    ordered=True,
)

MEAN_OF_KOLMOGOROV = math.sqrt(math.pi / 2) * math.log(2)


def ks_two_sample(
    reference: NDArray[np.floating], window: NDArray[np.floating], *, alpha: float
) -> Result:
    """The two-sample test on values themselves, float[n] and float[m]; NaN is left out.

    The p-value is scipy's: exact for up to 10,000 values a side, else from the distribution at
    n m / (n + m) values. The threshold is of the latter, moved to the statistic where the exact
    p-value decides otherwise. The effect is the distance less its mean when nothing changed.
    """
    from scipy.stats import ks_2samp, kstwo

    reference, window = reference[~np.isnan(reference)], window[~np.isnan(window)]
    n, m = len(reference), len(window)
    if n == 0 or m == 0:
        return nothing_to_test("ks_two_sample", n, m)
    answer = ks_2samp(reference, window)
    distance = float(answer.statistic)
    threshold = float(kstwo.isf(alpha, max(1, round(n * m / (n + m)))))
    if answer.pvalue <= alpha:
        threshold = min(threshold, distance)
    elif distance >= threshold:
        threshold = math.nextafter(distance, math.inf)
    unit = math.sqrt(1 / n + 1 / m)
    return Result(
        detector="ks_two_sample",
        statistic=distance,
        threshold=threshold,
        p_value=float(answer.pvalue),
        effect=max(0.0, distance - MEAN_OF_KOLMOGOROV * unit),
        n_reference=n,
        n_window=m,
    )
