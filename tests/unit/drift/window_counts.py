"""Counts of columns to test windows with."""

import numpy as np

from drift.columns import Kind
from drift.nulls import Nulls, expected_bin_counts
from drift.result import Result
from drift.window_tests import (
    WINDOW_TESTS,
    Counts,
    WindowTest,
    null_rate,
    unseen_rate,
)
from drift.window_tests.histogram import HistogramTest

NULLS = Nulls(seed=11, n_draws=50_000)
OF_VALUES = [test for test in WINDOW_TESTS.values() if isinstance(test, HistogramTest)]


def counts(*values: int) -> Counts:
    return np.array(values, dtype=np.int64)


def of_kind(kind: Kind, n: int, missing: int = 0) -> Counts:
    """Counts of a column with `n` values."""
    shares = {
        Kind.NUMERIC: [0.1] * 10,
        Kind.MIXED: [0.3, 0.1, 0.2, 0.4],
        Kind.DISCRETE: [0.5, 0.2, 0.3, 0.0],
        Kind.CONSTANT: [0.0, 1.0, 0.0],
        Kind.CATEGORY: [0.4, 0.3, 0.2, 0.1, 0.0],
    }[kind]
    if kind is Kind.NUMERIC:
        return np.append(expected_bin_counts(n, 10), missing)
    return np.append(np.round(np.array(shares) * n).astype(np.int64), missing)


def moved(test: WindowTest, kind: Kind, m: int) -> Counts:
    """What `test` should see at once: all in the first bin, or unseen, or missing."""
    window = np.zeros_like(of_kind(kind, m))
    window[{null_rate: -1, unseen_rate: -2}.get(test, 0)] = m  # type: ignore[call-overload]
    return window


def run(test: WindowTest, reference: Counts, window: Counts, kind: Kind = Kind.MIXED) -> Result:
    with np.errstate(all="raise", under="ignore"):
        return test(reference, window, kind=kind, nulls=NULLS, alpha=0.01)
