"""What every test of a window against the reference promises, and what they share.

A test sees the counts of one column: int64[B], value bins first, then for categories and discrete
columns the bin of unseen values, and the missing bin always last. The evidence of those counts
splits exactly (G is additive): how many values are missing, how many of the others are unseen, and
how the rest spread over the value bins. Each part has one test: `null_rate`, `unseen_rate`, and
the tests of value bins. So a rise of missing values is named as that, and a
family that takes all three counts no evidence twice.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drift.columns import Kind
from drift.nulls import Nulls
from drift.result import Result

Counts = NDArray[np.int64]
EVERY_KIND = frozenset(Kind)


class WindowTest(Protocol):
    """One test of windows; all that are called with one column's counts are in `WINDOW_TESTS`.

    Without a value on either side (what the test looks at: values for the value bins, rows for the
    null rate) there is nothing to test: p-value 1.0, effect 0, threshold inf, and the size that is
    0 in the result says why. Counts that are negative, or of two shapes, raise ValueError.
    """

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of column it applies to; another raises ValueError."""

    def __call__(
        self, reference: Counts, window: Counts, *, kind: Kind, nulls: Nulls, alpha: float
    ) -> Result:
        """Test one column: int64[B] and int64[B]."""

    def columns(
        self, reference: Counts, window: Counts, *, kind: Kind, nulls: Nulls, alpha: float
    ) -> list[Result]:
        """Test columns of one kind and number of bins at once: int64[C, B] and int64[C, B]."""


def each_column(
    test: WindowTest,
    references: Sequence[Counts],
    windows: Sequence[Counts],
    kinds: Sequence[Kind],
    *,
    nulls: Nulls,
    alpha: float,
) -> list[Result | None]:
    """Test columns of any kinds and numbers of bins, alike ones at once; None where `test` does
    not apply."""
    alike: dict[tuple[Kind, int], list[int]] = {}
    for i, (kind, counts) in enumerate(zip(kinds, references, strict=True)):
        if kind in test.kinds:
            alike.setdefault((kind, len(counts)), []).append(i)
    results: list[Result | None] = [None] * len(kinds)
    for (kind, _), members in alike.items():
        tested = test.columns(
            np.stack([references[i] for i in members]),
            np.stack([windows[i] for i in members]),
            kind=kind,
            nulls=nulls,
            alpha=alpha,
        )
        for i, result in zip(members, tested, strict=True):
            results[i] = result
    return results


WITH_UNSEEN = frozenset({Kind.DISCRETE, Kind.CATEGORY})


def n_value_bins(n_bins: int, kind: Kind) -> int:
    """How many of a column's bins hold values of the reference: all but missing and unseen."""
    return n_bins - (2 if kind in WITH_UNSEEN else 1)


def checked(
    test: WindowTest, reference: Counts, window: Counts, *, kind: Kind, alpha: float
) -> None:
    """Raise ValueError for what no test can judge."""
    if kind not in test.kinds:
        raise ValueError(f"{test.name} does not apply to {kind} columns ({sorted(test.kinds)})")
    if reference.shape != window.shape or reference.ndim != 2:
        raise ValueError(f"counts of shapes {reference.shape} and {window.shape} do not compare")
    if n_value_bins(reference.shape[1], kind) < 1:
        raise ValueError(f"a {kind} column needs at least one value bin")
    if min(reference.min(initial=0), window.min(initial=0)) < 0:
        raise ValueError("counts are negative")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, not between 0 and 1")


def nothing_to_test(name: str, n: int, m: int) -> Result:
    """The answer where one side is empty."""
    return Result(
        detector=name,
        statistic=0.0,
        threshold=math.inf,
        p_value=1.0,
        effect=0.0,
        n_reference=n,
        n_window=m,
    )
