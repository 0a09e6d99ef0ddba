"""The G test: the likelihood ratio of "one distribution" against "two", with PSI as its effect.

G = 2 sum over bins and samples of O ln(O / E), twice the log likelihood ratio (Sokal and Rohlf,
Biometry). The main test: of those that were tried its null is the tamest at small samples.
"""

import numpy as np

from drift.nulls import FloatArray
from drift.window_tests.contract import Counts
from drift.window_tests.divergences import corrected_psi
from drift.window_tests.histogram import HistogramTest, per_size, unchanged


def g_statistic(reference: Counts, window: Counts) -> FloatArray:
    """G of int64[..., B] and int64[..., B]: float64[...], 0 for equal proportions.

    An empty bin adds nothing: x ln x is 0 at 0.
    """
    n, m = reference.sum(axis=-1), window.sum(axis=-1)
    bins = _x_ln_x(reference) + _x_ln_x(window) - _x_ln_x(reference + window)
    total = _x_ln_x(n + m) - _x_ln_x(n) - _x_ln_x(m)
    g: FloatArray = 2 * (bins.sum(axis=-1) + total)
    return g


def _x_ln_x(counts: Counts) -> FloatArray:
    logarithms: FloatArray = np.log(np.maximum(counts, 1))
    return counts * logarithms


g_test = HistogramTest(
    name="g_test",
    standardised=g_statistic,
    to_statistic=unchanged,
    to_effect=per_size,
    chi_square_from=20,
    effect=corrected_psi,
)
