"""How well scores rank and decide, and how they are calibrated; NumPy only."""

import numpy as np
import numpy.typing as npt

from training.dataset import Floats, Labels

_NEWTON_STEPS = 50


def roc_auc(labels: Labels, scores: npt.NDArray[np.floating]) -> float:
    """The chance that a row of class 1 scores above one of class 0; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n_ones = int(labels.sum())
    n_zeros = len(labels) - n_ones
    wins = ranks[labels == 1].sum() - n_ones * (n_ones + 1) / 2
    return float(wins / (n_ones * n_zeros))


def average_precision(labels: Labels, scores: npt.NDArray[np.floating]) -> float:
    """The mean of precision over the steps of recall, from the highest score down."""
    _, hits, flagged = _cuts(labels, scores)
    steps = np.diff(hits, prepend=0) / hits[-1]
    return float((steps * hits / flagged).sum())


def best_f1_threshold(labels: Labels, scores: Floats) -> tuple[float, float]:
    """The float32 threshold with the highest F1 of `score >= threshold`, and that F1.

    It lies half-way to the next lower score, so that no row sits on it.
    """
    values, hits, flagged = _cuts(labels, scores)
    f1 = 2 * hits / (flagged + hits[-1])
    best = int(f1.argmax())
    upper = float(values[best])
    lower = float(values[best + 1]) if best + 1 < len(values) else 0.0
    middle = float(np.float32((upper + lower) / 2))
    return (middle if lower < middle <= upper else upper), float(f1[best])


def platt(labels: Labels, logits: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Slope and intercept that make `sigmoid(slope * logit + intercept)` a probability.

    Platt (1999): Newton's method on the log loss, smoothed targets. A slope that is not positive
    would turn the ranking round, as only a useless model asks for: then slope 1 and an intercept.
    """
    n_ones = int(labels.sum())
    targets = np.where(labels == 1, (n_ones + 1) / (n_ones + 2), 1 / (len(labels) - n_ones + 2))
    z = logits.astype(np.float64)
    both = np.stack([z, np.ones_like(z)], axis=1)
    slope, intercept = _newton(both, targets, np.zeros_like(z))
    if slope > 0:
        return slope, intercept
    (intercept,) = _newton(both[:, 1:], targets, z)
    return 1.0, intercept


def _newton(
    inputs: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
) -> tuple[float, ...]:
    """Logistic regression by Newton steps, halved while they do not lower the loss."""
    weights = np.zeros(inputs.shape[1])

    def loss(at: npt.NDArray[np.float64]) -> float:
        z = inputs @ at + offset
        return float(np.mean(np.logaddexp(0, z) - targets * z))

    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ weights + offset, -500, 500)))
        gradient = inputs.T @ (p - targets)
        hessian = (inputs * (p * (1 - p))[:, None]).T @ inputs + 1e-9 * np.eye(len(weights))
        step, before = np.linalg.solve(hessian, gradient), loss(weights)
        while loss(weights - step) > before and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return tuple(weights.tolist())


def _cuts(
    labels: Labels, scores: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each distinct score, highest first: the score, and ones and rows at or above it."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))  # the last row of each score
    return ordered[last], np.cumsum(labels[order], dtype=np.int64)[last], last + 1
