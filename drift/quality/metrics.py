"""Metrics of labelled rows, for many groups (windows, segments) at once, exact from rows.

The rows lie in the prediction log, so nothing is sketched: sketches of AUC would save a sort of the
window and cost an error bound. Labels are 0.0 or 1.0, one row an event, the latest label of each
already chosen by whoever joined them.
"""

from dataclasses import dataclass

import numpy as np

from drift.quality.estimate import UNKNOWN, Estimate, normal_estimate, rate_estimate
from drift.quality.ranking import FloatArray, IntArray, Ranked, average_precision, roc_auc

METRICS = (
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "brier",
    "log_loss",
    "calibration_error",
)
CALIBRATION_BINS = 10
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)  # as scikit-learn clips


def decision_metrics(
    labels: FloatArray, flagged: FloatArray, groups: IntArray, n_groups: int
) -> list[dict[str, Estimate]]:
    """Precision, recall and F1 of each group, from float64[n] of 0 and 1 and int64[n] groups."""
    true_positive = np.bincount(groups, weights=labels * flagged, minlength=n_groups)
    n_flagged = np.bincount(groups, weights=flagged, minlength=n_groups)
    n_positive = np.bincount(groups, weights=labels, minlength=n_groups)
    return [
        {
            "precision": rate_estimate(hit, flags),
            "recall": rate_estimate(hit, positives),
            "f1": f1_estimate(hit, flags + positives - hit),
        }
        for hit, flags, positives in zip(
            true_positive.tolist(), n_flagged.tolist(), n_positive.tolist(), strict=True
        )
    ]


def f1_estimate(true_positive: float, n_either: float) -> Estimate:
    """F1 from the true positives and the rows that are flagged or positive.

    Their ratio r is a rate, and F1 = 2 r / (1 + r) rises with it: so do r's Wilson bounds.
    """
    ratio = rate_estimate(true_positive, n_either)
    if ratio is UNKNOWN:
        return UNKNOWN
    return Estimate(
        value=2 * ratio.value / (1 + ratio.value),
        standard_error=2 * ratio.standard_error / (1 + ratio.value) ** 2,
        low=2 * ratio.low / (1 + ratio.low),
        high=2 * ratio.high / (1 + ratio.high),
    )


def ranking_metrics(
    labels: FloatArray, scores: FloatArray, groups: IntArray, n_groups: int
) -> list[dict[str, Estimate]]:
    """ROC AUC (DeLong's error) and average precision (influence) of each group."""
    ranked = Ranked.of(labels, scores, groups)
    auc, auc_variance, _ = roc_auc(ranked, n_groups)
    ap, ap_variance, _ = average_precision(ranked, n_groups)
    return [
        {
            "roc_auc": normal_estimate(float(auc[g]), float(auc_variance[g]), low=0, high=1),
            "average_precision": normal_estimate(
                float(ap[g]), float(ap_variance[g]), low=0, high=1
            ),
        }
        for g in range(n_groups)
    ]


def probability_metrics(
    labels: FloatArray, scores: FloatArray, groups: IntArray, n_groups: int
) -> list[dict[str, Estimate]]:
    """Brier score, log loss and calibration error of each group; scores in 0..1."""
    squared = (scores - labels) ** 2
    clipped = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    logarithmic = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
    briers = mean_estimates(squared, groups, n_groups)
    losses = mean_estimates(logarithmic, groups, n_groups)
    errors = calibration_errors(labels, scores, groups, n_groups)
    return [
        {"brier": briers[g], "log_loss": losses[g], "calibration_error": errors[g]}
        for g in range(n_groups)
    ]


def mean_estimates(values: FloatArray, groups: IntArray, n_groups: int) -> list[Estimate]:
    """Mean per row of float64[n] in each group, with the standard error of a mean."""
    n = np.bincount(groups, minlength=n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(groups, weights=values, minlength=n_groups) / n
        spread = np.bincount(groups, weights=(values - mean[groups]) ** 2, minlength=n_groups)
        variance = spread / np.maximum(n - 1, 1) / n
    return [normal_estimate(float(mean[g]), float(variance[g]), low=0) for g in range(n_groups)]


@dataclass(frozen=True, slots=True)
class CalibrationBins:
    """Bins of equal mass by score in each group: counts, mean score and mean label, [groups, bins].

    Equal scores share a bin, so bins may be empty: n 0 and means 0. `cell` int64[rows] is each
    row's group times CALIBRATION_BINS plus its bin.
    """

    n: FloatArray
    score: FloatArray
    label: FloatArray
    cell: IntArray

    @classmethod
    def of(
        cls, labels: FloatArray, scores: FloatArray, groups: IntArray, n_groups: int
    ) -> "CalibrationBins":
        ranked = Ranked.of(labels, scores, groups)
        size = np.bincount(groups, minlength=n_groups)
        place = (ranked.run_start - ranked.group_start) * CALIBRATION_BINS // size[ranked.group]
        cell = ranked.group * CALIBRATION_BINS + place
        shape = (n_groups, CALIBRATION_BINS)
        cells = n_groups * CALIBRATION_BINS
        n = np.bincount(cell, minlength=cells).astype(np.float64)
        total_score = np.bincount(cell, weights=scores[ranked.order], minlength=cells)
        total_label = np.bincount(cell, weights=ranked.labels, minlength=cells)
        held = np.maximum(n, 1)
        by_row = np.empty_like(cell)
        by_row[ranked.order] = cell
        return cls(
            n.reshape(shape),
            (total_score / held).reshape(shape),
            (total_label / held).reshape(shape),
            by_row,
        )


def calibration_errors(
    labels: FloatArray, scores: FloatArray, groups: IntArray, n_groups: int
) -> list[Estimate]:
    """Expected calibration error: the mean over rows of |mean label - mean score| of their bin.

    Never 0 by chance alone: perfect scores have about 0.8 sqrt(rate (1 - rate) bins / n). The
    standard error is that of the sampled labels in the bins.
    """
    bins = CalibrationBins.of(labels, scores, groups, n_groups)
    n = bins.n.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (bins.n * np.abs(bins.label - bins.score)).sum(axis=1) / n[:, 0]
        variance = (bins.n * bins.label * (1 - bins.label)).sum(axis=1) / n[:, 0] ** 2
    return [
        normal_estimate(float(error[g]), float(variance[g]), low=0, high=1) for g in range(n_groups)
    ]
