"""ROC AUC and average precision for many groups of rows at once, with standard errors.

One sort serves all groups. Labels may be soft (the probability of a positive), for which the
value is the ratio of expectations and `slope` the derivative by each row's label: CBPE is these
formulas on calibrated scores.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows sorted by group and then by falling score, with their runs of equal scores."""

    order: IntArray
    group: IntArray
    labels: FloatArray
    run_start: IntArray
    run_end: IntArray
    group_start: IntArray

    @classmethod
    def of(cls, labels: FloatArray, scores: FloatArray, groups: IntArray) -> "Ranked":
        """From float64[n] labels in 0..1, float64[n] scores and int64[n] groups, in any order."""
        order = np.lexsort((-scores, groups))
        group, sorted_scores = groups[order], scores[order]
        n = len(order)
        new_group = np.ones(n, dtype=bool)
        new_group[1:] = group[1:] != group[:-1]
        new_run = new_group.copy()
        new_run[1:] |= sorted_scores[1:] != sorted_scores[:-1]
        starts = np.flatnonzero(new_run)
        run = np.cumsum(new_run) - 1
        ends = np.append(starts[1:], n)
        group_starts = np.flatnonzero(new_group)
        return cls(
            order=order.astype(np.int64),
            group=group,
            labels=labels[order].astype(np.float64),
            run_start=starts[run],
            run_end=ends[run],
            group_start=group_starts[np.cumsum(new_group) - 1],
        )

    def between(self, values: FloatArray, start: IntArray, end: IntArray) -> FloatArray:
        """Sum of `values` over sorted rows start..end-1, float64[n] for int64[n] bounds."""
        running = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(running[end] - running[start], dtype=np.float64)

    def per_group(self, values: FloatArray, n_groups: int) -> FloatArray:
        return np.asarray(
            np.bincount(self.group, weights=values, minlength=n_groups), dtype=np.float64
        )


def roc_auc(ranked: Ranked, n_groups: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Area under the ROC curve, its variance by DeLong (1988), and slopes in sorted order.

    Ties count half. float64[n_groups] twice and float64[n]; nan for a group of one class. The
    variance is for hard labels; with soft ones take it from the slopes. A soft row is not compared
    with itself.
    """
    y = ranked.labels
    group_end = _group_end(ranked, n_groups)
    p, q = ranked.per_group(y, n_groups), ranked.per_group(1 - y, n_groups)
    self_pairs = ranked.per_group(y * (1 - y), n_groups)
    below = ranked.between(1 - y, ranked.run_end, group_end)
    tied = ranked.between(1 - y, ranked.run_start, ranked.run_end) - (1 - y)
    wins = below + tied / 2  # negatives that a positive in this place beats
    above = ranked.between(y, ranked.group_start, ranked.run_start)
    losses = above + (ranked.between(y, ranked.run_start, ranked.run_end) - y) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs = p * q - self_pairs
        auc = ranked.per_group(y * wins, n_groups) / pairs
        positive = (wins / q[ranked.group] - auc[ranked.group]) ** 2 * y
        negative = (losses / p[ranked.group] - auc[ranked.group]) ** 2 * (1 - y)
        variance = ranked.per_group(positive, n_groups) / (np.maximum(p - 1, 1) * p)
        variance += ranked.per_group(negative, n_groups) / (np.maximum(q - 1, 1) * q)
        d_pairs = (q - p)[ranked.group] - (1 - 2 * y)
        slope = (wins - losses - auc[ranked.group] * d_pairs) / pairs[ranked.group]
    impossible = ~(pairs > 0)
    auc[impossible], variance[impossible] = np.nan, np.nan
    return auc, variance, slope


def average_precision(ranked: Ranked, n_groups: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean precision at the positives' scores, its variance, and slopes in sorted order.

    scikit-learn's definition: a run of equal scores is one step. The variance is that of the
    influence of each row's weight, as resampling rows would give. nan for a group
    without positives.
    """
    y = ranked.labels
    depth = (ranked.run_end - ranked.group_start).astype(np.float64)
    hits = ranked.between(y, ranked.group_start, ranked.run_end)
    # a soft row that is positive counts itself whole, the others by their probability
    precision = (1 + hits - y) / depth
    p = ranked.per_group(y, n_groups)
    group_end = _group_end(ranked, n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        ap = ranked.per_group(y * precision, n_groups) / p
        later = ranked.between(y / depth, ranked.run_start, group_end) - y / depth
        slope = (precision + later - ap[ranked.group]) / p[ranked.group]
        slope = np.where(p[ranked.group] > 0, slope, 0.0)
        # resampling a row also moves every depth at and after it
        shared = ranked.between(y * precision / depth, ranked.run_start, group_end)
        influence = y * slope + (y**2 / depth - shared) / p[ranked.group]
        variance = ranked.per_group(influence**2, n_groups)
    impossible = ~(p > 0)
    ap[impossible], variance[impossible] = np.nan, np.nan
    return ap, variance, slope


def _group_end(ranked: Ranked, n_groups: int) -> IntArray:
    counts = np.bincount(ranked.group, minlength=n_groups)
    return np.asarray(ranked.group_start + counts[ranked.group], dtype=np.int64)
