"""Hotelling's T2 of a window's proportions, with the variance that blocks of the reference show."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.dependence.blocks import Spread

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A statistic, its threshold at the asked rate, and its p-value."""

    statistic: float
    threshold: float
    p_value: float


def neighbour_inflation(blocks: Spread, n_window: int) -> float:
    """How much more a window of `n_window` rows varies than its blocks say, at least 1.

    Neighbouring blocks that still hang together add 2 (1 - 1/q) times their correlation to the
    variance of q of them (Bartlett's weights, cut after the first neighbour). One number for all
    directions: a matrix would cost the degrees of freedom that it gains.
    """
    q = n_window / blocks.n_rows
    return 1.0 + 2.0 * max(0.0, 1.0 - 1.0 / q) * max(0.0, blocks.neighbours)


def block_hotelling(
    difference: Floats, blocks: Spread, *, n_reference: int, n_window: int, alpha: float
) -> Verdict:
    """T = d' V^-1 d with V = c l S (1/m + 1/n), against Hotelling's T2(df, `blocks.freedom`).

    `difference` float[df]: proportions of the window less the reference's, without one group.
    S is the covariance of proportions over the K blocks of l rows, c `neighbour_inflation`. Needs
    K > df (ValueError); numpy's LinAlgError when S is singular.
    """
    from scipy.special import fdtrc, fdtri

    df, k = len(difference), blocks.n_blocks
    if k <= df + 1:
        raise ValueError(f"{k} blocks cannot show the covariance of {df} groups")
    scale = blocks.n_rows * (1.0 / n_window + 1.0 / n_reference)
    variance = neighbour_inflation(blocks, n_window) * scale * blocks.covariance
    statistic = float(difference @ np.linalg.solve(variance, difference))
    free = max(1.0, blocks.freedom - df + 1.0)
    to_f = free / (df * (free + df - 1.0))
    return Verdict(
        statistic,
        float(fdtri(df, free, 1.0 - alpha)) / to_f,
        float(fdtrc(df, free, statistic * to_f)),
    )
