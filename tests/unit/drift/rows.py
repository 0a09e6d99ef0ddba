"""Rows and columns for tests of drift, of every kind of column."""

import numpy as np
from numpy.typing import NDArray

from drift.binning import bin_columns
from drift.columns import Columns, ColumnSpec
from drift.sketch import SketchKey

SPECS = (
    ColumnSpec("amount", lowest=0.0, highest=3.0),
    ColumnSpec("zero_inflated"),
    ColumnSpec("small_integer"),
    ColumnSpec("constant"),
    ColumnSpec("country", categories=("NO", "SE", "DK", "FI")),
    ColumnSpec("score", lowest=0.0, highest=1.0),
)
"""One column of every kind: numeric, mixed, discrete, constant, category, numeric."""


def rows(n: int, seed: int = 0, missing: float = 0.05) -> NDArray[np.float32]:
    """float32[n, 6] for `SPECS`, with NaN here and there."""
    rng = np.random.default_rng(seed)
    matrix = np.stack(
        [
            rng.normal(size=n),
            np.where(rng.random(n) < 0.6, 0.0, rng.exponential(size=n)),
            rng.poisson(1.5, size=n).clip(0, 7),
            np.full(n, 7.5),
            rng.integers(-1, 4, size=n),
            rng.random(n),
        ],
        axis=1,
    ).astype(np.float32)
    matrix[rng.random(matrix.shape) < missing] = np.nan
    return matrix


def columns(n: int = 2000, seed: int = 1) -> Columns:
    return bin_columns(rows(n, seed), SPECS)


def key(of: Columns, **changed: object) -> SketchKey:
    given = {
        "pipeline": "fraud",
        "model_version": "v1",
        "window_start_ms": 0,
        "window_end_ms": 60_000,
        "segment": "",
        "columns": of.fingerprint,
    }
    return SketchKey(**(given | changed))  # type: ignore[arg-type]
