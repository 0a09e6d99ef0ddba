"""Closed windows of one model held against its reference: every column's tests, and e-SR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Counts, Kind
from drift.dependence import CustomerCounts, dependent_test, plan_dependence
from drift.e_detector import EDetector, ReferenceTooShortError
from drift.families import StatedRate, notice
from drift.nulls import Nulls
from drift.reference import MIN_WINDOWS, Reference
from drift.result import Result
from drift.window_tests import corrected_psi, each_column, g_test, null_rate, unseen_rate
from drift.window_tests.contract import WindowTest

Floats = NDArray[np.float64]

INDEPENDENT = "chi_square"
"""What a plan says of rows that do not depend on each other: then the G test's null is better."""


@dataclass(frozen=True, slots=True)
class Tested:
    """One test of one column in one window; `noticed` at the stated rate."""

    column: int
    result: Result
    noticed: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """e-SR after a window; `shares` are columns and their parts of the evidence, largest first."""

    result: Result
    shares: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """Everything that a closed window shows. `psi` float64[n_columns] is corrected for chance,
    `p_values` float64[n_columns] is the smallest of each column's tests."""

    tested: tuple[Tested, ...]
    p_values: Floats
    psi: Floats
    evidence: Evidence | None

    @property
    def noticed(self) -> tuple[Tested, ...]:
        return tuple(each for each in self.tested if each.noticed)


class WindowMonitor:
    """Tests windows of about `window_rows` rows in order of time.

    Rows that depend on each other get the test that the reference asks for (`drift.dependence`);
    the others the G test of their values, and tests of their missing and unseen rates.
    `customers` maps a column's place to its counts by customer, for rows with an entity key.
    """

    def __init__(
        self,
        reference: Reference,
        window_rows: int,
        *,
        rate: StatedRate,
        nulls: Nulls,
        customers: Mapping[int, CustomerCounts] | None = None,
    ) -> None:
        self.reference = reference
        self.rate = rate
        self._nulls = nulls
        self._customers = customers or {}
        columns = reference.columns
        self._counts = [_column_counts(reference, i) for i in range(len(columns))]
        self.plans = [
            plan_dependence(
                columns.of(reference.blocks, i).astype(np.int64),
                window_rows,
                ordered=columns[i].kind is not Kind.CATEGORY,
                customers=self._customers.get(i),
            )
            for i in range(len(columns))
        ]
        self._independent = [i for i, plan in enumerate(self.plans) if plan.detector == INDEPENDENT]
        self._dependent = [i for i, plan in enumerate(self.plans) if plan.detector != INDEPENDENT]
        self._evidence = _e_detector(reference, window_rows, rate)

    @property
    def keeps_evidence(self) -> bool:
        """Whether small shifts that last are added up: the reference is long enough."""
        return self._evidence is not None

    def detector_of(self, column: int) -> str:
        """The test of a column's values."""
        name = self.plans[column].detector
        return "g_test" if name == INDEPENDENT else name

    def check(self, counts: Counts, customer_rows: Counts | None = None) -> WindowVerdict:
        """Test a window's counts int64[n_bins]; `customer_rows` int64[C] by customer code."""
        columns = self.reference.columns
        windows = [columns.of(counts, i).astype(np.int64) for i in range(len(columns))]
        alpha = self.rate.q_per_family / len(columns)
        results = self._test_independent(windows, alpha)
        results += self._test_dependent(windows, customer_rows, alpha)
        p = np.array([result.p_value for _, result in results])
        labels = [str(number) for number in range(len(results))]
        passed = {int(label) for label in notice(p, labels, self.rate.q_per_family).labels}
        smallest = np.ones(len(columns))
        for column, result in results:
            smallest[column] = min(smallest[column], result.p_value)
        return WindowVerdict(
            tested=tuple(
                Tested(column, result, number in passed)
                for number, (column, result) in enumerate(results)
            ),
            p_values=smallest,
            psi=self._psi(windows),
            evidence=self._add_evidence(results),
        )

    def _test_independent(
        self, windows: Sequence[Counts], alpha: float
    ) -> list[tuple[int, Result]]:
        return [
            found
            for test in (g_test, null_rate, unseen_rate)
            for found in self._each(test, self._independent, windows, alpha)
        ]

    def _test_dependent(
        self, windows: Sequence[Counts], customer_rows: Counts | None, alpha: float
    ) -> list[tuple[int, Result]]:
        results = []
        for i in self._dependent:
            if windows[i].sum() == 0:
                continue
            dependent = dependent_test(
                windows[i],
                self.plans[i],
                alpha=alpha,
                customers=self._customers.get(i),
                window_rows=customer_rows,
            )
            results.append((i, dependent.result))
        # What the reference never had does not depend on its neighbours: it is new.
        fresh = [i for i in self._dependent if self._counts[i][-1] == 0]
        return results + self._each(null_rate, fresh, windows, alpha)

    def _each(
        self, test: WindowTest, members: Sequence[int], windows: Sequence[Counts], alpha: float
    ) -> list[tuple[int, Result]]:
        columns = self.reference.columns
        results = each_column(
            test,
            [self._counts[i] for i in members],
            [windows[i] for i in members],
            [columns[i].kind for i in members],
            nulls=self._nulls,
            alpha=alpha,
        )
        return [
            (i, result) for i, result in zip(members, results, strict=True) if result is not None
        ]

    def _psi(self, windows: Sequence[Counts]) -> Floats:
        """Corrected by as many rows as the dependent ones are worth."""
        psi = np.zeros(len(windows))
        for i, window in enumerate(windows):
            if window.sum():
                psi[i] = max(0.0, float(corrected_psi(self._counts[i], window)))
        return psi

    def _add_evidence(self, results: Sequence[tuple[int, Result]]) -> Evidence | None:
        if self._evidence is None:
            return None
        p = np.full(len(self.reference.columns), np.nan)
        for column, result in results:
            # Where the reference's own windows vary, neighbouring windows share their mood: their
            # p-values do not add up.
            if result.detector == self.detector_of(column) != "window_scale":
                p[column] = result.p_value
        effects = [r.effect for c, r in results if r.detector == self.detector_of(c)]
        result = self._evidence.update(
            p,
            n_reference=self.reference.n,
            n_window=max((r.n_window for _, r in results), default=0),
            effect=max(effects, default=0.0),
        )
        by_column = self._evidence.evidence.mean(axis=1)
        total = float(by_column.sum()) or 1.0
        ranked = self._evidence.ranked()[:5]
        return Evidence(result, tuple((int(i), float(by_column[i]) / total) for i in ranked))


def _column_counts(reference: Reference, index: int) -> Counts:
    return reference.columns.of(reference.counts, index).astype(np.int64)


def _e_detector(reference: Reference, window_rows: int, rate: StatedRate) -> EDetector | None:
    windows = reference.n / window_rows
    if windows < MIN_WINDOWS:
        return None
    try:
        return EDetector(rate.sequential_arl0, len(reference.columns), windows)
    except ReferenceTooShortError:
        return None
