"""ARL0 of a one-sided CUSUM, the mean steps to a false alarm, and the threshold for a stated one.

Siegmund (1985, Sequential Analysis) has a closed form for normal steps. Sums of few rare errors are
skewed and reach the normal threshold far too soon (skewness 1.1, allowance 0.44,
ARL0 10,000 by Siegmund: 2,100 in truth), so the threshold comes from the chain of Brook and Evans
(1972, Biometrika 59) over Pearson III steps, which are normal at skewness 0.
"""

import math
from functools import lru_cache

import numpy as np

from drift.stream.contract import FloatArray

N_STATES = 151
HIGHEST_THRESHOLD = 1_000.0


def siegmund_arl0(threshold: float, allowance: float) -> float:
    """Mean steps until S = max(0, S + z - allowance), z standard normal, reaches `threshold`."""
    reach = threshold + 1.166
    exponent = 2 * allowance * reach
    return (math.exp(exponent) - 1 - exponent) / (2 * allowance**2)


def chain_arl0(threshold: float, allowance: float, skewness: float = 0.0) -> float:
    """The same for z of mean 0, variance 1 and the given skewness; infinite beyond 1e15."""
    width = 2 * threshold / (2 * N_STATES - 1)
    edges = np.arange(-N_STATES + 0.5, N_STATES, dtype=np.float64) * width + allowance
    below = pearson_cdf(edges, skewness)  # of a step from i to at most j at place j - i + N_STATES
    state = np.arange(N_STATES)
    place = state[None, :] - state[:, None] + N_STATES
    moves = below[place] - below[place - 1]
    moves[:, 0] = below[place[:, 0]]
    steps = np.linalg.solve(np.eye(N_STATES) - moves, np.ones(N_STATES))
    return float(steps[0]) if 0 < steps[0] < 1e15 else math.inf


@lru_cache(maxsize=256)
def cusum_threshold(arl0: float, allowance: float, skewness: float = 0.0) -> float:
    """The threshold at which a one-sided CUSUM raises a false alarm every `arl0` steps.

    `arl0` from 2 to 1e12 steps, `allowance` above 0, both for standardised steps.
    """
    if not 2 <= arl0 <= 1e12 or allowance <= 0:
        raise ValueError(f"no threshold for an ARL0 of {arl0} and an allowance of {allowance}")
    low, high = 0.0, 1.0
    while chain_arl0(high, allowance, skewness) < arl0:
        low, high = high, 2 * high
        if high > HIGHEST_THRESHOLD:
            raise ValueError(f"an allowance of {allowance} is too small for an ARL0 of {arl0}")
    while high - low > 1e-4:
        middle = (low + high) / 2
        if chain_arl0(middle, allowance, skewness) < arl0:
            low = middle
        else:
            high = middle
    return high


def pearson_cdf(x: FloatArray, skewness: float) -> FloatArray:
    """P(z <= x), float64[n], for z Pearson III with mean 0, variance 1 and this skewness."""
    from scipy.special import gammainc, gammaincc, ndtr

    if abs(skewness) < 0.01:
        return np.asarray(ndtr(x), dtype=np.float64)
    shape = 4 / skewness**2
    if skewness > 0:
        reach = np.maximum(shape + x * math.sqrt(shape), 0)
        return np.asarray(gammainc(shape, reach), dtype=np.float64)
    reach = np.maximum(shape - x * math.sqrt(shape), 0)
    return np.asarray(gammaincc(shape, reach), dtype=np.float64)
