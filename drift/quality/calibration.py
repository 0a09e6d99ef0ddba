"""Scores made into probabilities: Platt's sigmoid, isotonic steps, or left alone."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from drift.quality.ranking import FloatArray

SMALLEST = 1e-6
N_FOLDS = 5
MIN_CLASS_ROWS = 10

LineCovariance: TypeAlias = tuple[float, float, float, float]
"""Of (slope, offset) of a line on logits, row by row: the inverse Fisher information."""


class Calibrator(Protocol):
    """Scores in 0..1 to probabilities, with what is not known about them."""

    name: str

    def probabilities(self, scores: FloatArray) -> FloatArray:
        """float64[n] in 0..1 for float64[n] scores."""
        ...

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        """Variance of sum(slope * probabilities) from the rows the calibration was fitted on."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Scores that are probabilities already.

    That they are is known no better than a line fitted on as many rows: `covariance` is the one
    that Platt's line has at slope 1 and offset 0. All 0 takes the scores for certain.
    """

    covariance: LineCovariance = (0.0, 0.0, 0.0, 0.0)

    name = "identity"

    @classmethod
    def fit(cls, scores: FloatArray, labels: FloatArray) -> "Identity":
        """Whatever `labels` are: only how many rows there are, and where, is in the covariance."""
        del labels
        return cls(_covariance(_information(_design(scores), np.clip(scores, 0.0, 1.0))))

    def probabilities(self, scores: FloatArray) -> FloatArray:
        return np.clip(scores, 0.0, 1.0)

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        return _line_variance(self.covariance, scores, self.probabilities(scores), slope)


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt's sigmoid (1999) on the scores' logits, p = 1 / (1 + exp(-(slope logit(s) + offset))).

    On logits rather than scores, so that slope 1 and offset 0 leave a calibrated score alone.
    """

    slope: float
    offset: float
    covariance: LineCovariance

    name = "platt"

    @classmethod
    def fit(cls, scores: FloatArray, labels: FloatArray) -> "Platt":
        """By Newton's method, with Platt's targets, which keep separable rows finite."""
        n_positive = float(labels.sum())
        n_negative = len(labels) - n_positive
        target = np.where(labels > 0.5, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
        design = _design(scores)
        rate = (n_positive + 1) / (len(labels) + 2)
        theta = np.array([0.0, np.log(rate / (1 - rate))])
        for _ in range(50):
            p = _sigmoid(design @ theta)
            information = _information(design, p)
            step = np.linalg.solve(information, design.T @ (target - p))
            # a full step from a flat start may overshoot where nearly all rows are of one class
            theta = theta + step * min(1.0, 4.0 / max(1e-300, float(np.abs(step).max())))
            if float(np.abs(step).max()) < 1e-9:
                break
        return cls(float(theta[0]), float(theta[1]), _covariance(information))

    def probabilities(self, scores: FloatArray) -> FloatArray:
        return _sigmoid(self.slope * _logit(scores) + self.offset)

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        return _line_variance(self.covariance, scores, self.probabilities(scores), slope)


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """Rising steps (pool adjacent violators): step i, from score `starts[i]`, has `values[i]`.

    `weights[i]` rows made it. Values are kept off 0 and 1 by half a row of a step, as
    Krichevsky and Trofimov would: a step without a positive is no proof that there are none.
    Half a row is much to a step of one, and may put it above the next: such steps are pooled again.
    """

    starts: FloatArray
    values: FloatArray
    weights: FloatArray

    name = "isotonic"

    @classmethod
    def fit(cls, scores: FloatArray, labels: FloatArray) -> "Isotonic":
        distinct, place = np.unique(scores, return_inverse=True)
        weight = np.asarray(np.bincount(place), dtype=np.float64)
        total = np.asarray(np.bincount(place, weights=labels), dtype=np.float64)
        first, totals, weights = pool_adjacent_violators(total, weight)
        smoothed = (totals + 0.5) / (weights + 1)
        again, totals, pooled = pool_adjacent_violators(smoothed * weights, weights)
        return cls(distinct[first][again], totals / pooled, pooled)

    def probabilities(self, scores: FloatArray) -> FloatArray:
        return np.asarray(self.values[self._step(scores)], dtype=np.float64)

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        by_step = np.bincount(self._step(scores), weights=slope, minlength=len(self.values))
        return float((by_step**2 * self.values * (1 - self.values) / self.weights).sum())

    def _step(self, scores: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.maximum(np.searchsorted(self.starts, scores, side="right") - 1, 0)


def pool_adjacent_violators(
    totals: FloatArray, weights: FloatArray
) -> tuple[list[int], FloatArray, FloatArray]:
    """Pools of neighbours whose means rise (Ayer and others 1955): first indices, totals, weights.

    Linear in n: each element is pooled once.
    """
    starts: list[int] = []
    pool_total: list[float] = []
    pool_weight: list[float] = []
    for i, (total, weight) in enumerate(zip(totals.tolist(), weights.tolist(), strict=True)):
        start, t, w = i, total, weight
        while pool_total and pool_total[-1] * w >= t * pool_weight[-1]:
            start = starts.pop()
            t += pool_total.pop()
            w += pool_weight.pop()
        starts.append(start)
        pool_total.append(t)
        pool_weight.append(w)
    return starts, np.array(pool_total), np.array(pool_weight)


def choose_calibrator(
    scores: FloatArray, labels: FloatArray, *, generator: np.random.Generator
) -> Identity | Platt | Isotonic:
    """The calibrator of the lowest log loss on rows held out of its fit, fitted on all rows.

    Five folds by `generator`; `Identity` is a candidate, and wins ties. Scores float64[n] in 0..1,
    labels float64[n] of 0 and 1, on rows the model was not trained on. ValueError under
    MIN_CLASS_ROWS rows of a class.
    """
    n_positive = int(labels.sum())
    if min(n_positive, len(labels) - n_positive) < MIN_CLASS_ROWS:
        raise ValueError(
            f"{n_positive} positives of {len(labels)} rows calibrate nothing: "
            f"{MIN_CLASS_ROWS} of each class are needed"
        )
    fold = generator.permutation(len(labels)) % N_FOLDS
    losses: dict[type[Identity | Platt | Isotonic], float] = {}
    for kind in (Identity, Platt, Isotonic):
        held_out = np.empty(len(labels))
        for k in range(N_FOLDS):
            fitted = kind.fit(scores[fold != k], labels[fold != k])
            held_out[fold == k] = fitted.probabilities(scores[fold == k])
        losses[kind] = log_loss(labels, held_out)
    return min(losses, key=lambda kind: losses[kind]).fit(scores, labels)


def log_loss(labels: FloatArray, probabilities: FloatArray) -> float:
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return -float((labels * np.log(p) + (1 - labels) * np.log1p(-p)).mean())


def _design(scores: FloatArray) -> FloatArray:
    """float64[n, 2]: what slope and offset are multiplied with."""
    return np.column_stack([_logit(scores), np.ones(len(scores))])


def _information(design: FloatArray, p: FloatArray) -> FloatArray:
    """float64[2, 2]: Fisher's of (slope, offset) from rows of probability `p`, never singular."""
    return np.asarray((design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2))


def _covariance(information: FloatArray) -> LineCovariance:
    a, b, c, d = np.linalg.inv(information).ravel().tolist()
    return a, b, c, d


def _line_variance(
    covariance: LineCovariance, scores: FloatArray, p: FloatArray, slope: FloatArray
) -> float:
    """Of sum(slope * p), by the delta method; p float64[n] is what the line makes of `scores`."""
    gradient = (slope * p * (1 - p)) @ _design(scores)
    return float(gradient @ np.array(covariance).reshape(2, 2) @ gradient)


def _logit(scores: FloatArray) -> FloatArray:
    p = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float64)
