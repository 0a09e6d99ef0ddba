"""Pearson's chi-square test of homogeneity of two histograms."""

import numpy as np

from drift.nulls import FloatArray
from drift.window_tests.contract import Counts
from drift.window_tests.histogram import HistogramTest, per_size, unchanged


def chi_square_statistic(reference: Counts, window: Counts) -> FloatArray:
    """X2 of int64[..., B] and int64[..., B], without Yates' correction: float64[...].

    Bins that are empty on both sides add nothing.
    """
    n = reference.sum(axis=-1, keepdims=True)
    m = window.sum(axis=-1, keepdims=True)
    gap = reference / n - window / m
    x2: FloatArray = (n * (m * (gap**2 / np.maximum(reference + window, 1)))).sum(axis=-1)
    return x2


chi_square = HistogramTest(
    name="chi_square",
    standardised=chi_square_statistic,
    to_statistic=unchanged,
    to_effect=per_size,  # on PSI's scale, whatever n : m
    chi_square_from=50,
)
