"""What others say of the same rows: defaults as their documentation states them, written anew.

None of it is the packages' own code but river's ADWIN. Windows are held against the reference
column by column, missing values left out, as those tools do.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tests.bench.drift_streams import CATEGORY, Matrix

Floats = NDArray[np.float64]
Flag = Callable[[Floats], bool]
"""Whether a column's window, float64[m] without missing values, is told to drift."""
Fit = Callable[[Floats, bool, int], Flag]
"""From a column's reference float64[n], whether it is a category, and the rows of a window."""

ADWIN_DELTA = 0.002
P_VALUE = 0.05
DISTANCE = 0.1
DATASET_SHARE = 0.5
LEAST_SHARE = 1e-4


def flags(fit: Fit, matrix: Matrix, n_reference: int, window: int) -> NDArray[np.bool_]:
    """bool[n_windows, n_columns] over the whole windows behind the reference."""
    told = []
    for column in range(matrix.shape[1]):
        values = matrix[:, column].astype(np.float64)
        flag = fit(_present(values[:n_reference]), column == CATEGORY, window)
        starts = range(n_reference, len(values) - window + 1, window)
        told.append([flag(_present(values[start : start + window])) for start in starts])
    return np.array(told, dtype=bool).T


def adwin_rows(values: Sequence[float], n_reference: int) -> list[int]:
    """Rows at which river's ADWIN, fed value by value at its defaults, saw a change; in the
    reference it warms up."""
    from river.drift import ADWIN

    adwin, rows = ADWIN(delta=ADWIN_DELTA), []
    for row, value in enumerate(values):
        if np.isnan(value):
            continue
        adwin.update(value)
        if row >= n_reference and adwin.drift_detected:
            rows.append(row + 1)
    return rows


def fit_psi(reference: Floats, is_category: bool, window: int, *, threshold: float = 0.2) -> Flag:
    """PSI over ten quantile bins (a category's own values) above a fixed threshold."""
    count = _values(reference) if is_category else _quantiles(reference)
    expected = _clipped(count(reference))

    def flag(values: Floats) -> bool:
        actual = _clipped(count(values))
        return float(((actual - expected) * np.log(actual / expected)).sum()) > threshold

    return flag


def fit_p_value(reference: Floats, is_category: bool, window: int) -> Flag:
    """Evidently's default for references of up to 1,000 rows: Kolmogorov-Smirnov, for a category
    chi-square, p < 0.05."""
    if is_category:
        return partial(_chi_square_flag, reference, _values(reference))
    return partial(_ks_flag, np.sort(reference))


def fit_distance(reference: Floats, is_category: bool, window: int) -> Flag:
    """Evidently's default for larger references: Wasserstein distance over the reference's
    standard deviation, for a category Jensen-Shannon distance, at least 0.1."""
    if is_category:
        count = _values(reference)
        shares = count(reference) / len(reference)
        return lambda values: js_distance(shares, count(values) / len(values), np.e) >= DISTANCE
    spread = max(float(reference.std()), 0.001)
    return lambda values: wasserstein(reference, values) / spread >= DISTANCE


def fit_chunks(reference: Floats, is_category: bool, window: int) -> Flag:
    """NannyML's default: Jensen-Shannon distance over Doane's bins, above the mean plus three
    standard deviations of it over the reference's own chunks."""
    count = _values(reference) if is_category else _doane(reference)
    shares = count(reference) / len(reference)

    def distance(values: Floats) -> float:
        return js_distance(shares, count(values) / len(values), 2)

    starts = range(0, len(reference) - window + 1, window)
    own = np.array([distance(reference[start : start + window]) for start in starts])
    threshold = own.mean() + 3 * own.std()
    return lambda values: distance(values) > threshold


def ks_p_value(sorted_reference: Floats, values: Floats) -> float:
    """Two-sided and asymptotic, as scipy's `ks_2samp(method="asymp")`."""
    from scipy.stats import distributions

    n, m = len(sorted_reference), len(values)
    values = np.sort(values)
    both = np.concatenate([sorted_reference, values])
    below = np.searchsorted(sorted_reference, both, side="right") / n
    distance = np.abs(below - np.searchsorted(values, both, side="right") / m).max()
    return float(distributions.kstwo.sf(distance, round(n * m / (n + m))))


def js_distance(p: Floats, q: Floats, base: float) -> float:
    """Square root of the Jensen-Shannon divergence of shares float64[B]."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log(x / middle), 0.0).sum() for x in (p, q)]
    return float(np.sqrt(max(0.0, sum(parts) / 2) / np.log(base)))


def wasserstein(reference: Floats, values: Floats) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(reference, values))


def _ks_flag(sorted_reference: Floats, values: Floats) -> bool:
    return ks_p_value(sorted_reference, values) < P_VALUE


def _chi_square_flag(reference: Floats, count: Callable[[Floats], Floats], values: Floats) -> bool:
    from scipy.stats import chi2_contingency

    table = np.stack([count(reference), count(values)])
    return float(chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue) < P_VALUE


def _present(values: Floats) -> Floats:
    present: Floats = values[~np.isnan(values)]
    return present


def _clipped(counts: Floats) -> Floats:
    return np.asarray(np.maximum(counts / counts.sum(), LEAST_SHARE))


def _values(reference: Floats) -> Callable[[Floats], Floats]:
    """Counts of the reference's distinct values, and of all others together."""
    known = np.unique(reference)

    def count(values: Floats) -> Floats:
        counts = np.array([(values == each).sum() for each in known])
        return np.append(counts, len(values) - counts.sum()).astype(np.float64)

    return count


def _quantiles(reference: Floats) -> Callable[[Floats], Floats]:
    edges = np.quantile(reference, np.arange(1, 10) / 10)
    return lambda values: np.bincount(
        np.searchsorted(edges, values), minlength=len(edges) + 1
    ).astype(np.float64)


def _doane(reference: Floats) -> Callable[[Floats], Floats]:
    """Counts in Doane's equal-width bins of the reference, and of what lies outside."""
    edges = np.histogram_bin_edges(reference, bins="doane")

    def count(values: Floats) -> Floats:
        counts = np.histogram(values, bins=edges)[0]
        return np.append(counts, len(values) - counts.sum()).astype(np.float64)

    return count
