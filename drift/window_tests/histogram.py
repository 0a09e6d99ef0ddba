"""A test of value bins: one distance of two histograms, judged by its null at their sizes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Kind
from drift.nulls import (
    ChiSquareNull,
    FloatArray,
    Null,
    Nulls,
    Standardised,
)
from drift.result import Result
from drift.window_tests.contract import (
    EVERY_KIND,
    Counts,
    checked,
    n_value_bins,
    nothing_to_test,
)

Convert = Callable[[float, int, int], float]
Effect = Callable[[Counts, Counts], FloatArray]


def unchanged(x: float, n: int, m: int) -> float:  # noqa: ARG001 - a `Convert`
    """The standardised distance is itself what is reported."""
    return x


def per_size(x: float, n: int, m: int) -> float:
    """Undo a standardisation by n m / (n + m)."""
    return x * (1 / n + 1 / m)


LARGE_BIN = 100
"""Values per bin, on the smaller side, from which every distance has reached its limit."""


@dataclass(frozen=True, slots=True)
class HistogramTest:
    """A `WindowTest` over value bins.

    `standardised` has a limit free of the sizes (`drift.nulls.Standardised`), chi-square with
    B - 1 degrees of freedom where `chi_square_from` (values per bin, smaller side) says from when
    on it holds. `to_statistic` and `to_effect` turn it, given n and m, into reported units. The
    effect is that of the standardised distance less its mean when nothing changed, floor 0, unless
    `effect` gives another.
    """

    name: str
    standardised: Standardised
    to_statistic: Convert
    to_effect: Convert
    chi_square_from: int | None = LARGE_BIN
    ordered: bool = False
    effect: Effect | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        return EVERY_KIND - {Kind.CATEGORY} if self.ordered else EVERY_KIND

    def __call__(
        self, reference: Counts, window: Counts, *, kind: Kind, nulls: Nulls, alpha: float
    ) -> Result:
        return self.columns(reference[None], window[None], kind=kind, nulls=nulls, alpha=alpha)[0]

    def columns(
        self, reference: Counts, window: Counts, *, kind: Kind, nulls: Nulls, alpha: float
    ) -> list[Result]:
        checked(self, reference, window, kind=kind, alpha=alpha)
        n_bins = n_value_bins(reference.shape[1], kind)
        reference, window = reference[:, :n_bins], window[:, :n_bins]
        n, m = reference.sum(axis=1).tolist(), window.sum(axis=1).tolist()
        results = [nothing_to_test(self.name, *sizes) for sizes in zip(n, m, strict=True)]
        cut = cut_at_order_statistics(reference, n) if kind is Kind.NUMERIC else None
        alike: dict[Null, list[int]] = {}
        for i in range(len(results)):
            if not (n[i] and m[i]):
                continue
            if cut is not None and cut[i]:
                alike.setdefault(self._cut(n[i], m[i], n_bins, nulls), []).append(i)
                continue
            left, right = reference[i], window[i]
            if not self.ordered:
                left, right = pooled(left, right)
            null = self._exchanged(left, right, nulls)
            results[i] = self._judged(left[None], right[None], null, alpha)[0]
        for null, rows in alike.items():
            judged = self._judged(reference[rows], window[rows], null, alpha)
            for i, result in zip(rows, judged, strict=True):
                results[i] = result
        return results

    def _judged(self, reference: Counts, window: Counts, null: Null, alpha: float) -> list[Result]:
        """Columns that share a null, none of them empty."""
        distance = np.maximum(self.standardised(reference, window), 0.0)
        limit = null.threshold(alpha)
        sizes = zip(reference.sum(axis=1).tolist(), window.sum(axis=1).tolist(), strict=True)
        above = np.maximum(distance - null.mean, 0.0).tolist()
        effects = self.effect(reference, window).tolist() if self.effect else None
        each = zip(sizes, distance.tolist(), null.p_value(distance).tolist(), strict=True)
        return [
            Result(
                detector=self.name,
                statistic=self.to_statistic(t, n, m),
                threshold=self.to_statistic(limit, n, m),
                p_value=p,
                effect=effects[i] if effects else self.to_effect(above[i], n, m),
                n_reference=n,
                n_window=m,
            )
            for i, ((n, m), t, p) in enumerate(each)
        ]

    def _cut(self, n: int, m: int, n_bins: int, nulls: Nulls) -> Null:
        """For bins cut at order statistics of the reference."""
        fewest = min(n, m)
        if self.chi_square_from and fewest >= self.chi_square_from * n_bins:
            return ChiSquareNull(n_bins - 1)
        if fewest >= LARGE_BIN * n_bins:  # the standardised distance depends on sizes no more
            n = m = LARGE_BIN * n_bins
        return nulls.order_statistics(self.standardised, n=n, m=m, n_bins=n_bins)

    def _exchanged(self, reference: Counts, window: Counts, nulls: Nulls) -> Null:
        combined = reference + window
        n, m = int(reference.sum()), int(window.sum())
        fewest_expected = float(combined.min()) * min(n, m) / (n + m)
        if self.chi_square_from and fewest_expected >= self.chi_square_from:
            return ChiSquareNull(len(combined) - 1)
        return nulls.permutation(self.standardised, reference, window)


def cut_at_order_statistics(reference: Counts, n: list[int]) -> NDArray[np.bool_]:
    """bool[C]: whether the bins hold what edges at round(k n / B) of this reference would leave.

    Edges that come from elsewhere (another sample, many ties) have another null. What
    `drift.binning` lets ties move an edge of a numeric column by is allowed, and a fiftieth of a
    bin, as much as `nearby_size` takes the sizes off.
    """
    n_bins = reference.shape[1]
    sizes = np.array(n)
    ranks = (2 * sizes[:, None] * np.arange(n_bins + 1) + n_bins) // (2 * n_bins)
    allowed = 1 + np.sqrt(sizes / n_bins) / 2 + sizes / n_bins / 50
    expected = np.diff(ranks, axis=1)
    ok: NDArray[np.bool_] = (np.abs(reference - expected) <= allowed[:, None]).all(axis=1)
    return ok


def pooled(
    reference: Counts, window: Counts, *, fewest_expected: float = 1.0
) -> tuple[Counts, Counts]:
    """Merge the bins of which the smaller side expects fewer than `fewest_expected` values.

    Chosen by combined counts, which a permutation leaves alone, so the null stays exact. The pool
    comes last and is kept however small: a value that is new to the reference may be all of it.
    """
    combined = reference + window
    n, m = int(reference.sum()), int(window.sum())
    order = np.lexsort((reference, combined))[::-1]  # the same whatever order the bins came in
    n_kept = int(np.count_nonzero(combined >= fewest_expected * (n + m) / min(n, m)))
    left, right = reference[order], window[order]
    n_pooled = int(combined[order[n_kept:]].sum())
    starts = np.arange(n_kept + (n_pooled > 0))
    return np.add.reduceat(left, starts), np.add.reduceat(right, starts)
