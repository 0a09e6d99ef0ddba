"""Windows held against how much windows of the reference itself vary."""

import numpy as np
import numpy.typing as npt

from drift.dependence.block_hotelling import Verdict

Floats = npt.NDArray[np.float64]

MIN_WINDOWS = 10
"""Fewer windows in the reference do not show how much a window varies."""

MAX_CORRELATION = 0.8
"""Neighbouring windows more alike than this leave no reference to speak of."""


def effective_df(covariance: Floats) -> float:
    """(tr S)^2 / tr S^2, within 1..g: how many directions the variance of windows fills.

    `covariance` float[g, g]. A day's mood moves few directions, and a sum of few has the heavier
    tail. Not freed of its bias, which is low: with ten windows the unbiased form (Bai and
    Saranadasa, 1996) is so noisy that it doubled false notices at 0.01, and a low count of
    directions only costs power.
    """
    trace = float(np.trace(covariance))
    squares = float((covariance * covariance).sum())
    return float(np.clip(trace * trace / squares, 1.0, len(covariance))) if squares else 1.0


def window_scale(window: Floats, reference_windows: Floats, *, alpha: float) -> Verdict:
    """X2 of the window over the mean X2 of the reference's own windows, against F.

    `window` [g] and `reference_windows` [K, g] are counts over the same pooled groups, none empty
    in the reference; windows of the reference are consecutive and about as long as the window.
    F = X2 / (d_w df) with d_w = sum X2_b / ((K - 1) df), at least 1, and X2 the two-sample
    chi-square. Degrees of freedom are f and f (K - 1), f from `effective_df` (Dempster's
    non-exact test, 1958; f = df where all directions vary alike). Where neighbouring windows
    still hang together (correlation r, as in an AR(1)), K counts as K (1 - r^2) / (1 + r^2) and
    the reference as n (1 - r) / (1 + r). The statistic is F. ValueError under 2 windows.
    """
    from scipy.special import fdtrc, fdtri

    k, g = reference_windows.shape
    if k < 2:
        raise ValueError("a window-scale test needs at least two windows in the reference")
    total = reference_windows.sum(axis=0)
    n, m = float(total.sum()), float(window.sum())
    p, df = total / n, g - 1
    rows = reference_windows.sum(axis=1, keepdims=True)
    scaled = (reference_windows - rows * p) / np.sqrt(rows * p)
    within = scaled.T @ scaled / (k - 1)
    trace = float(np.trace(within))
    lagged = float((scaled[:-1] * scaled[1:]).sum()) / (k - 1)
    r = min(max(0.0, lagged / trace + 1.0 / k) if trace else 0.0, MAX_CORRELATION)
    difference = window / m - p
    x2 = float((difference * difference / p).sum()) / (1.0 / m + (1.0 + r) / (1.0 - r) / n)
    dispersion = max(1.0, trace / df)
    f = min(effective_df(within), float(df))
    free = f * max(1.0, k * (1.0 - r * r) / (1.0 + r * r) - 1.0)
    statistic = x2 / (dispersion * df)
    return Verdict(statistic, float(fdtri(f, free, 1.0 - alpha)), float(fdtrc(f, free, statistic)))
