"""Streams for the power table: nine numbers and a category, stable or with one known change."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import ColumnSpec

Matrix = NDArray[np.float32]
Floats = NDArray[np.float64]

N_COLUMNS = 10
CATEGORY = 9
"""Place of the category; the others are standard normal."""
SPECS = (
    *(ColumnSpec(f"x{i}") for i in range(CATEGORY)),
    ColumnSpec("c", categories=("a", "b", "c", "d")),
)
SHARES = (0.5, 0.3, 0.15, 0.05)
CHANGED_SHARES = (0.4, 0.3, 0.2, 0.1)
UNSEEN = -1


@dataclass(frozen=True)
class Drift:
    """What happens to rows float32[m, 10] from the change on, and which columns it happens to."""

    name: str
    columns: tuple[int, ...]
    apply: Callable[[Matrix, np.random.Generator], None]


def stable(n: int, rng: np.random.Generator, rho: float = 0.0) -> Matrix:
    """float32[n, 10]: every column AR(1) with `rho`, independent of the others."""
    noise = rng.standard_normal((n, N_COLUMNS))
    if rho:
        from scipy.signal import lfilter

        noise[1:] *= np.sqrt(1 - rho * rho)
        noise = np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=0))
    matrix = noise.astype(np.float32)
    matrix[:, CATEGORY] = _codes(noise[:, CATEGORY], SHARES)
    return matrix


def drifting(drift: Drift, n: int, change: int, rng: np.random.Generator) -> Matrix:
    """float32[n, 10] of independent rows, changed from row `change` on."""
    matrix = stable(n, rng)
    drift.apply(matrix[change:], rng)
    return matrix


def _codes(normal: Floats, shares: tuple[float, ...]) -> Floats:
    from scipy.stats import norm

    return np.searchsorted(norm.ppf(np.cumsum(shares)[:-1]), normal).astype(np.float64)


def _shift(sigma: float, columns: tuple[int, ...] = (0,)) -> Callable[..., None]:
    def apply(rows: Matrix, rng: np.random.Generator) -> None:
        for column in columns:
            rows[:, column] += sigma

    return apply


def _scale(rows: Matrix, rng: np.random.Generator) -> None:
    rows[:, 0] *= 1.25


def _shape(rows: Matrix, rng: np.random.Generator) -> None:
    """Gamma of shape 4 with the mean and the variance of before: skewness 1."""
    rows[:, 0] = (rng.gamma(4.0, size=len(rows)) - 4) / 2


def _category(rows: Matrix, rng: np.random.Generator) -> None:
    rows[:, CATEGORY] = _codes(rng.standard_normal(len(rows)), CHANGED_SHARES)


def _unseen(rows: Matrix, rng: np.random.Generator) -> None:
    rows[rng.random(len(rows)) < 0.02, CATEGORY] = UNSEEN


def _missing(rows: Matrix, rng: np.random.Generator) -> None:
    rows[rng.random(len(rows)) < 0.10, 0] = np.nan


NUMBERS = tuple(range(CATEGORY))
DRIFTS = (
    Drift("shift 0.1 sigma", (0,), _shift(0.1)),
    Drift("shift 0.25 sigma", (0,), _shift(0.25)),
    Drift("shift 0.5 sigma", (0,), _shift(0.5)),
    Drift("shift 1 sigma", (0,), _shift(1.0)),
    Drift("shift 0.5 sigma, all numbers", NUMBERS, _shift(0.5, NUMBERS)),
    Drift("scale x 1.25", (0,), _scale),
    Drift("shape: gamma(4)", (0,), _shape),
    Drift("category shares", (CATEGORY,), _category),
    Drift("unseen category 2%", (CATEGORY,), _unseen),
    Drift("missing 10%", (0,), _missing),
)
