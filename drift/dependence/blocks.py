"""Consecutive blocks of the reference and what they say about dependence between rows."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MIN_BLOCKS = 50
"""Below this the covariance of blocks is too noisy for the F tail to hold."""

SETTLED = 0.05
"""Correlation of neighbouring blocks above which their rows plainly hang together still."""

STOPPED = 0.02
"""Same, for the choice of the block length: longer blocks are right further out in the tail (AR(1)
at 0.9, 30 features at 0.05: 1.4 times the rate against 1.5 with blocks chosen at 0.05)."""

NOISE = 3.0
"""Standard errors of a single bin's correlation that chance is taken to give."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How proportions vary over K blocks of `n_rows` rows each.

    `covariance` float[g - 1, g - 1] is that of a block's proportions but the first, `neighbours`
    the mean correlation of a block with the next, tr(S0^-1 S1) / (g - 1): the variance of means of
    twice the length is 1 + `neighbours` times what independent blocks would have. `settled` says
    that neither the mean nor any single bin still plainly hangs together with its neighbour.
    `freedom` are the degrees of freedom of the covariance: K - 1 for normal proportions,
    (K - 1) / (1 + kurtosis / 2) for heavier tails.
    """

    covariance: Floats
    neighbours: float
    n_blocks: int
    n_rows: int
    settled: bool
    freedom: float


def rows_per_block(block_counts: Counts) -> int:
    """Rows of each of the equal blocks int64[K, B]; ValueError when they differ."""
    sizes = block_counts.sum(axis=1)
    if len(sizes) == 0 or sizes[0] == 0 or (sizes != sizes[0]).any():
        raise ValueError("reference blocks must hold the same number of rows, at least one")
    return int(sizes[0])


def merge_blocks(block_counts: Counts, factor: int) -> Counts:
    """Blocks `factor` times as long, int64[K // factor, B]; the rest at the end is left out."""
    n = len(block_counts) // factor
    return cast(
        "Counts", block_counts[: n * factor].reshape(n, factor, *block_counts.shape[1:]).sum(axis=1)
    )


def spread(blocks: Counts | Floats, n_rows: int) -> Spread:
    """How the proportions of counts [K, g] over all groups vary; the correlation needs K > g.

    Nothing but the covariance leaves the first group out, so it does not matter which one is first.
    """
    proportions = blocks / float(n_rows)
    centred = proportions - proportions.mean(axis=0)
    k, g = centred.shape
    covariance = centred.T @ centred / (k - 1)
    neighbours, highest = 0.0, 0.0
    if k > g:
        lagged = centred[:-1].T @ centred[1:] / (k - 1)
        try:
            # Centring costs 1/k of correlation.
            along = np.linalg.solve(covariance[1:, 1:], lagged[1:, 1:])
            neighbours = float(np.trace(along)) / (g - 1) + 1 / k
            highest = float((np.diag(lagged) / np.diag(covariance)).max()) + 1 / k
        except np.linalg.LinAlgError:
            neighbours = 0.0
    settled = neighbours < SETTLED and highest < NOISE / np.sqrt(k)
    return Spread(covariance[1:, 1:], neighbours, k, n_rows, bool(settled), _freedom(centred))


def _freedom(centred: Floats) -> float:
    """Blocks of clumped rows have heavier tails than a normal, and show less than their number."""
    k = len(centred)
    square = (centred * centred).mean(axis=0)
    fourth = (centred**4).mean(axis=0)
    excess = float(np.mean(fourth / np.where(square > 0, square * square, 1.0))) - 3.0 + 6.0 / k
    return (k - 1.0) / (1.0 + max(0.0, excess) / 2.0)


def block_factor(
    blocks: Counts | Floats, *, max_factor: int | None = None, min_blocks: int = MIN_BLOCKS
) -> int:
    """How many base blocks to sum so that a block outlasts the autocorrelation: 1, 2, 4, ...

    `blocks` [K, g] are counts of base blocks. The
    smallest factor whose blocks are hardly correlated with their neighbours: from there the
    variance of block means has stopped growing. At most `max_factor`, and never so long that
    fewer than `min_blocks` are left; what correlation remains then is `Spread.neighbours`.
    """
    limit = max(1, len(blocks) // min_blocks)
    if max_factor is not None:
        limit = max(1, min(limit, max_factor))
    factor = 1
    while True:
        merged = merge_blocks(cast("Counts", blocks), factor)
        seen = spread(merged, 1)
        if seen.settled and seen.neighbours < STOPPED:
            return factor
        if factor * 2 > limit:
            return limit if limit > factor else factor
        factor *= 2


def block_length(block_counts: Counts, *, min_blocks: int = MIN_BLOCKS) -> int:
    """Rows a block needs to outlast the autocorrelation of a column; base blocks int64[K, B]."""
    n_rows = rows_per_block(block_counts)
    seen = block_counts[:, block_counts.sum(axis=0) > 0]
    if seen.shape[1] < 2:
        return n_rows
    return n_rows * block_factor(seen, min_blocks=min_blocks)
