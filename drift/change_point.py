"""When a change happened: the split of kept history that makes it most likely."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Split:
    """The most likely moment of one change in a sequence.

    `index` is the first entry after the change (1..W-1); `log_likelihood_ratio` that of two
    stretches over one; `candidates` int64[c] every split whose log-likelihood lies within the drop
    asked for (`index` is among them), in order.
    """

    index: int
    log_likelihood_ratio: float
    candidates: Ints

    @property
    def earliest(self) -> int:
        return int(self.candidates[0])

    @property
    def latest(self) -> int:
        return int(self.candidates[-1])


def likelihood_drop(confidence: float) -> float:
    """How far below the maximum a split may lie to be in the confidence set: log(2 / (1 - c)).

    Away from the true split its likelihood ratio is a martingale of mean 1 on either side, which
    exceeds 2 / (1 - c) with probability (1 - c) / 2 at most (Ville's inequality). Estimated
    parameters and edges make it approximate.
    """
    if not 0 < confidence < 1:
        raise ValueError("confidence lies between 0 and 1")
    return float(np.log(2.0 / (1.0 - confidence)))


def split_counts(
    counts: Ints, *, confidence: float = 0.95, dispersion: float = 1.0, min_entries: int = 1
) -> Split:
    """Most likely change of a multinomial: counts int64[W, B] of consecutive windows (or rows).

    `dispersion` is how many dependent rows say as much as one independent (the log-likelihood is
    divided by it), `min_entries` how many entries each side keeps. ValueError when W is too short.
    """
    after_each = np.cumsum(counts, axis=0, dtype=np.float64)
    total = after_each[-1]
    before = after_each[:-1]
    ratio = _multinomial(before) + _multinomial(total - before) - _multinomial(total)
    return _best(ratio / dispersion, confidence, min_entries)


def split_rates(
    errors: Ints,
    trials: Ints | None = None,
    *,
    confidence: float = 0.95,
    dispersion: float = 1.0,
    min_entries: int = 1,
) -> Split:
    """Most likely change of an error rate: int64[W] errors out of `trials` int64[W] (1 each)."""
    n = np.ones_like(errors) if trials is None else trials
    if (errors < 0).any() or (errors > n).any():
        raise ValueError("errors lie between 0 and the number of trials")
    return split_counts(
        np.stack([errors, n - errors], axis=1),
        confidence=confidence,
        dispersion=dispersion,
        min_entries=min_entries,
    )


def split_means(
    values: Floats,
    weights: Floats | None = None,
    *,
    confidence: float = 0.95,
    min_entries: int = 2,
) -> Split:
    """Most likely change of a Gaussian mean: float64[W] values, or means of `weights` rows each.

    One variance (of a row), unknown and the same on both sides; it is taken from how the W values
    scatter, so dependence within a window does no harm. ValueError when W is too short, or a
    weight is not positive.
    """
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if (w <= 0).any():
        raise ValueError("weights must be positive")
    x = np.asarray(values, dtype=np.float64)
    x = x - np.average(x, weights=w)
    sums, rows = np.cumsum(w * x)[:-1], np.cumsum(w)[:-1]
    # Both sums are 0 in total, so the two sides share one; what the means explain:
    explained = sums * sums * (1.0 / rows + 1.0 / (w.sum() - rows))
    scatter = float((w * x * x).sum())
    if scatter <= 0:
        return _best(np.zeros(len(explained)), confidence, min_entries)
    left = np.maximum(1.0 - explained / scatter, 1e-12)
    return _best(-len(x) / 2.0 * np.log(left), confidence, min_entries)


def _multinomial(counts: Floats) -> Floats:
    """Maximum log-likelihood of counts [..., B] up to a constant: sum N_b log(N_b / N)."""
    n = counts.sum(axis=-1)
    by_bin = counts * np.log(np.where(counts > 0, counts, 1.0))
    return cast("Floats", by_bin.sum(axis=-1) - n * np.log(np.where(n > 0, n, 1.0)))


def _best(ratio: Floats, confidence: float, min_entries: int) -> Split:
    """`ratio` float[W - 1] is by last entry before the split."""
    if min_entries < 1 or len(ratio) + 1 < 2 * min_entries:
        raise ValueError(f"{len(ratio) + 1} entries cannot be split in two of {min_entries}")
    inside = ratio[min_entries - 1 : len(ratio) + 1 - min_entries]
    best = float(inside.max())
    candidates = np.flatnonzero(inside >= best - likelihood_drop(confidence)) + min_entries
    return Split(int(inside.argmax()) + min_entries, best, candidates)
