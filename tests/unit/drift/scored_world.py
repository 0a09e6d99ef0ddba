"""Rows whose model is overconfident, and how they may drift."""

import numpy as np


def world(
    rng: np.random.Generator,
    n: int,
    *,
    covariate: float = 0.0,
    base_rate: float = 0.0,
    concept: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the scores of a model that ranks well and is overconfident (slope 1.7)."""
    x = rng.normal(size=(n, 2))
    x[:, 0] += covariate
    logit = 1.2 * x[:, 0] - 0.8 * x[:, 1] - 2
    truth = logit + base_rate if not concept else -1.2 * x[:, 0] - 0.8 * x[:, 1] - 2
    labels = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    return labels, 1 / (1 + np.exp(-(1.7 * logit + 0.6)))
