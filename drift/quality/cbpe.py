"""Quality without labels: confidence-based performance estimation (CBPE, NannyML's).

A calibrated score is the probability of a positive, so that of unlabelled rows every metric has an
expectation. Each metric is a function of the labels; here the labels are probabilities, `value` is
the ratio of expectations, and the standard error comes by the delta method from the slope of the
metric in each row's label: the labels' own chance, sum(slope^2 p (1 - p)), and what the
calibration's fit left open. So it is the error of the realised value around the estimate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.quality.calibration import Calibrator
from drift.quality.costs import Costs
from drift.quality.estimate import UNKNOWN, Estimate, normal_estimate
from drift.quality.metrics import SMALLEST_PROBABILITY, CalibrationBins
from drift.quality.ranking import FloatArray, IntArray, Ranked, average_precision, roc_auc

CAVEAT = (
    "Estimated from scores alone: it holds while a score means what it meant when it was "
    "calibrated. It cannot see concept drift or a change in base rate; only labels can."
)


@dataclass(frozen=True, slots=True)
class EstimatedQuality:
    """What the metrics of one group will be once its labels come, if nothing but the rows moved."""

    n_rows: int
    metrics: Mapping[str, Estimate]
    caveat: str = CAVEAT


def estimate_quality(
    scores: FloatArray,
    flagged: npt.NDArray[np.bool_],
    groups: IntArray,
    *,
    n_groups: int,
    calibrator: Calibrator,
    costs: Costs | None = None,
    amounts: FloatArray | None = None,
) -> list[EstimatedQuality]:
    """The metrics of `measure_quality` for each group of unlabelled rows, by the same names.

    `scores` float64[n] in 0..1 as the model gave them, `flagged` bool[n] as was decided. Metrics of
    the score as a probability (Brier, log loss, calibration error) are of the raw score.
    """
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(n_groups + 1))
    found = []
    for g in range(n_groups):
        rows = order[bounds[g] : bounds[g + 1]]
        if len(rows) == 0:
            found.append(EstimatedQuality(0, {}))
            continue
        window = _Window(
            scores=scores[rows].astype(np.float64),
            flagged=flagged[rows].astype(np.float64),
            calibrator=calibrator,
        )
        metrics = window.metrics()
        if costs is not None:
            metrics |= window.costs(costs, None if amounts is None else amounts[rows])
        found.append(EstimatedQuality(len(rows), metrics))
    return found


class _Window:
    """Rows of one group and the probability that each is a positive."""

    def __init__(self, *, scores: FloatArray, flagged: FloatArray, calibrator: Calibrator) -> None:
        self.scores, self.flagged, self.calibrator = scores, flagged, calibrator
        self.p = calibrator.probabilities(scores)

    def metrics(self) -> dict[str, Estimate]:
        found = self._decisions() | self._ranking()
        s = np.clip(self.scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        found["brier"] = self._mean((1 - self.scores) ** 2, self.scores**2)
        found["log_loss"] = self._mean(-np.log(s), -np.log1p(-s))
        found["calibration_error"] = self._calibration_error()
        return found

    def costs(self, costs: Costs, amounts: FloatArray | None) -> dict[str, Estimate]:
        ones, zeros = np.ones_like(self.p), np.zeros_like(self.p)
        found = {}
        for name, flagged in (
            ("cost_per_row", self.flagged),
            ("cost_per_row_unflagged", zeros),
        ):
            if_positive = costs.of_rows(ones, flagged, amounts)
            if_negative = costs.of_rows(zeros, flagged, amounts)
            found[name] = self._mean(if_positive, if_negative)
        return found

    def _decisions(self) -> dict[str, Estimate]:
        hits = float(self.p @ self.flagged)
        n_flagged, n_positive = float(self.flagged.sum()), float(self.p.sum())
        found = dict.fromkeys(("precision", "recall", "f1"), UNKNOWN)
        if n_flagged > 0:
            precision = hits / n_flagged
            found["precision"] = self._ratio(precision, self.flagged / n_flagged)
        if n_positive > 0:
            recall = hits / n_positive
            found["recall"] = self._ratio(recall, (self.flagged - recall) / n_positive)
        both = n_flagged + n_positive
        if both > 0:
            f1 = 2 * hits / both
            found["f1"] = self._ratio(f1, (2 * self.flagged - f1) / both)
        return found

    def _ranking(self) -> dict[str, Estimate]:
        ranked = Ranked.of(self.p, self.scores, np.zeros(len(self.p), dtype=np.int64))
        found = {}
        for name, metric in (("roc_auc", roc_auc), ("average_precision", average_precision)):
            value, _, sorted_slope = metric(ranked, 1)
            slope = np.empty_like(sorted_slope)
            slope[ranked.order] = sorted_slope
            found[name] = self._ratio(float(value[0]), slope)
        return found

    def _ratio(self, value: float, slope: FloatArray) -> Estimate:
        return normal_estimate(value, self._variance(slope), low=0, high=1)

    def _mean(self, if_positive: FloatArray, if_negative: FloatArray) -> Estimate:
        value = float((self.p * if_positive + (1 - self.p) * if_negative).mean())
        slope = (if_positive - if_negative) / len(self.p)
        return normal_estimate(value, self._variance(slope), low=0)

    def _variance(self, slope: FloatArray) -> float:
        by_chance = float((slope**2 * self.p * (1 - self.p)).sum())
        return by_chance + self.calibrator.variance(self.scores, slope)

    def _calibration_error(self) -> Estimate:
        """The expectation of |mean label - mean score| in each bin, a folded normal's (Leone 1961).

        Not the distance of the expectations: the realised error has the bins' noise in it too, and
        the calibration's. Of the distance's variance the part that moves with the mean (`sign`) is
        the delta method's; in the rest the bins are off by chance each for itself, by the
        calibration all at once.
        """
        from scipy.special import ndtr

        groups = np.zeros(len(self.p), dtype=np.int64)
        bins = CalibrationBins.of(self.p, self.scores, groups, 1)
        n = np.maximum(bins.n[0], 1)
        chance = CalibrationBins.of(self.p * (1 - self.p), self.scores, groups, 1).label[0] / n
        open_ = np.array([self._open_mean(bins.cell == cell) for cell in range(len(n))])
        gap = (bins.label - bins.score)[0]
        deviation = np.sqrt(np.maximum(chance + open_, 1e-300))
        sign = 1 - 2 * ndtr(-gap / deviation)  # its expectation, 0 where chance may turn it
        spike = np.exp(-((gap / deviation) ** 2) / 2)
        folded = deviation * math.sqrt(2 / math.pi) * spike + gap * sign
        rest = np.maximum(gap**2 - folded**2 + (1 - sign**2) * deviation**2, 0)
        share = open_ / deviation**2
        weight = bins.n[0] / len(self.p)
        by_chance = float(weight**2 @ (sign**2 * chance + (1 - share**2) * rest))
        by_calibration = self.calibrator.variance(self.scores, sign[bins.cell] / len(self.p))
        all_at_once = float(weight @ (share * np.sqrt(rest))) ** 2
        variance = by_chance + by_calibration + all_at_once
        return normal_estimate(float(weight @ folded), variance, low=0, high=1)

    def _open_mean(self, rows: npt.NDArray[np.bool_]) -> float:
        """Variance of the mean probability of `rows` by the calibration; 0 of none."""
        n = int(rows.sum())
        return self.calibrator.variance(self.scores[rows], np.full(n, 1 / max(n, 1)))
