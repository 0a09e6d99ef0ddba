"""Choose the bins of each column from the rows of the reference."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drift.assign import MAX_CUTS
from drift.columns import Column, Columns, ColumnSpec, Kind, Matrix

DEFAULT_BINS = 10
MAX_DISCRETE_VALUES = 20
MAX_CATEGORIES = 100
"""Categories with bins of their own; rarer ones share one."""


def bin_columns(matrix: Matrix, specs: Sequence[ColumnSpec], n_bins: int = DEFAULT_BINS) -> Columns:
    """The bins of every column of the reference `matrix`, float32[n, len(specs)].

    A numeric column gets `n_bins` bins of about equal counts (fewer where it has less than two
    values for each); one of at most 20 distinct values gets a bin for each of them.
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(specs) or matrix.dtype != np.float32:
        raise ValueError(
            f"the rows are {matrix.dtype}{list(matrix.shape)}, not float32[n, {len(specs)}]"
        )
    if not 2 <= n_bins <= MAX_CUTS:
        raise ValueError(f"2 to {MAX_CUTS} bins, not {n_bins}")
    return Columns([_bin_column(matrix[:, i], spec, n_bins) for i, spec in enumerate(specs)])


def order_statistic_ranks(n: int, n_bins: int) -> NDArray[np.int64]:
    """int64[n_bins - 1]: ranks r_k = round(k n / n_bins), 1-based, of the edges among n values."""
    return (2 * np.arange(1, n_bins, dtype=np.int64) * n + n_bins) // (2 * n_bins)


def _bin_column(values: NDArray[np.float32], spec: ColumnSpec, n_bins: int) -> Column:
    values = np.sort(values[~np.isnan(values)]) + np.float32(0)  # -0.0 becomes 0.0
    if spec.categories:
        kind, cuts, labels = _bin_categories(values, spec.categories)
    else:
        kind, cuts, labels = _bin_values(values, n_bins)
    finite = values[np.isfinite(values)]
    return Column(
        name=spec.name,
        kind=kind,
        cuts=tuple(float(cut) for cut in cuts),
        labels=(*labels, "missing"),
        lowest=spec.lowest,
        highest=spec.highest,
        centre=float(np.float32(finite.mean(dtype=np.float64))) if len(finite) else 0.0,
        n_categories=len(spec.categories),
    )


def _bin_values(
    ascending: NDArray[np.float32], n_bins: int
) -> tuple[Kind, NDArray[np.float32], list[str]]:
    distinct = np.unique(ascending)
    n = len(ascending)
    if len(distinct) == 1 and n > 1:
        value = _show(distinct[0])
        return Kind.CONSTANT, distinct, [f"below {value}", value, f"above {value}"]
    if len(distinct) <= min(MAX_DISCRETE_VALUES, n / 2):  # at least two rows a value
        return Kind.DISCRETE, distinct, [*map(_show, distinct), "other"]
    ranks = order_statistic_ranks(n, max(1, min(n_bins, n // 2)))
    edges = np.unique(ascending[ranks - 1])
    edges = edges[edges < ascending[-1]]  # every bin holds rows of the reference
    return _numeric_or_mixed(ascending, ranks, edges), edges, _interval_labels(edges)


def _numeric_or_mixed(
    ascending: NDArray[np.float32], ranks: NDArray[np.int64], edges: NDArray[np.float32]
) -> Kind:
    """NUMERIC while ties move the edges by less than half of what chance does.

    The count up to an edge varies by about sqrt(n / B); tied values add rows beyond the rank. Where
    exactly the line lies matters little: with 25 to 10^7 distinct values and n, m of 300 to 3,000,
    the G test under either null rejected 0.8 to 1.2 times its nominal 0.05.
    """
    if len(edges) < len(ranks):
        return Kind.MIXED
    counted = np.searchsorted(ascending, edges, side="right")
    tolerated = 0.5 * np.sqrt(len(ascending) / (len(ranks) + 1))
    return Kind.NUMERIC if np.all(counted - ranks <= tolerated) else Kind.MIXED


def _bin_categories(
    ascending: NDArray[np.float32], categories: tuple[str, ...]
) -> tuple[Kind, NDArray[np.float32], list[str]]:
    codes = np.arange(len(categories), dtype=np.float32)
    pooled: list[str] = []
    if len(codes) > MAX_CATEGORIES:
        known = ascending[(ascending >= 0) & (ascending < len(codes))].astype(np.intp)
        counts = np.bincount(known, minlength=len(codes))
        codes = np.sort(codes[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]])
        pooled = ["rarer categories"]
    own = [categories[int(code)] for code in codes]
    return Kind.CATEGORY, codes, [*own, *pooled, "unseen"]


def _interval_labels(edges: NDArray[np.float32]) -> list[str]:
    bounds = ["-inf", *map(_show, edges), "inf"]
    labels = [f"({low}, {high}]" for low, high in pairwise(bounds)]
    return [*labels[:-1], labels[-1][:-1] + ")"]


def _show(value: np.float32) -> str:
    """At most six digits where they say it, all that a float32 needs where they do not."""
    short = f"{value:.6g}"
    return short if np.float32(short) == value else str(value)
