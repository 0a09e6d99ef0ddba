"""Scores made into probabilities: Platt's sigmoid, isotonic steps, or left alone."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from drift.quality.ranking import FloatArray

SMALLEST = 1e-6
N_FOLDS = 5
MIN_CLASS_ROWS = 10


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
    """Scores that are probabilities already."""

    name = "identity"

    def probabilities(self, scores: FloatArray) -> FloatArray:
        return np.clip(scores, 0.0, 1.0)

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        del scores, slope
        return 0.0


@dataclass(frozen=True, slots=True)
class Platt:
    """Platt's sigmoid (1999) on the scores' logits, p = 1 / (1 + exp(-(slope logit(s) + offset))).

    On logits rather than scores, so that slope 1 and offset 0 leave a calibrated score alone.
    `covariance` is that of (slope, offset), row by row: the inverse Fisher information.
    """

    slope: float
    offset: float
    covariance: tuple[float, float, float, float]

    name = "platt"

    @classmethod
    def fit(cls, scores: FloatArray, labels: FloatArray) -> "Platt":
        """By Newton's method, with Platt's targets, which keep separable rows finite."""
        n_positive = float(labels.sum())
        n_negative = len(labels) - n_positive
        target = np.where(labels > 0.5, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
        design = np.column_stack([_logit(scores), np.ones(len(scores))])
        rate = (n_positive + 1) / (len(labels) + 2)
        theta = np.array([0.0, np.log(rate / (1 - rate))])
        for _ in range(50):
            p = _sigmoid(design @ theta)
            information = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
            step = np.linalg.solve(information, design.T @ (target - p))
            # a full step from a flat start may overshoot where nearly all rows are of one class
            theta = theta + step * min(1.0, 4.0 / max(1e-300, float(np.abs(step).max())))
            if float(np.abs(step).max()) < 1e-9:
                break
        covariance = np.linalg.inv(information)
        a, b, c, d = (float(value) for value in covariance.ravel())
        return cls(float(theta[0]), float(theta[1]), (a, b, c, d))

    def probabilities(self, scores: FloatArray) -> FloatArray:
        return _sigmoid(self.slope * _logit(scores) + self.offset)

    def variance(self, scores: FloatArray, slope: FloatArray) -> float:
        p = self.probabilities(scores)
        by_row = slope * p * (1 - p)
        gradient = np.array([by_row @ _logit(scores), by_row.sum()])
        return float(gradient @ np.array(self.covariance).reshape(2, 2) @ gradient)


@dataclass(frozen=True, slots=True, eq=False)
class Isotonic:
    """Rising steps (pool adjacent violators): step i, from score `starts[i]`, has `values[i]`.

    `weights[i]` rows made it. Values are kept off 0 and 1 by half a row of a step, as
    Krichevsky and Trofimov would: a step without a positive is no proof that there are none.
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
        starts, totals, weights = pool_adjacent_violators(total, weight)
        values = (totals + 0.5) / (weights + 1)
        return cls(distinct[starts], np.maximum.accumulate(values), weights)

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
) -> Calibrator:
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
    losses = {"identity": log_loss(labels, Identity().probabilities(scores))}
    for kind in (Platt, Isotonic):
        held_out = np.empty(len(labels))
        for k in range(N_FOLDS):
            fitted = kind.fit(scores[fold != k], labels[fold != k])
            held_out[fold == k] = fitted.probabilities(scores[fold == k])
        losses[kind.name] = log_loss(labels, held_out)
    best = min(losses, key=lambda name: losses[name])
    if best == "identity":
        return Identity()
    return Platt.fit(scores, labels) if best == "platt" else Isotonic.fit(scores, labels)


def log_loss(labels: FloatArray, probabilities: FloatArray) -> float:
    p = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    return -float((labels * np.log(p) + (1 - labels) * np.log1p(-p)).mean())


def _logit(scores: FloatArray) -> FloatArray:
    p = np.clip(scores, SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(p) - np.log1p(-p), dtype=np.float64)


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), dtype=np.float64)
