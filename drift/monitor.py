"""Closed windows of one model held against its reference: every column's tests, and e-SR."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Counts, Kind
from drift.dependence import Customers, Repeats, dependent_test, plan_dependence
from drift.e_detector import EDetector, ReferenceTooShortError
from drift.entities import EntityTable
from drift.families import StatedRate, notice
from drift.moods import mood_of
from drift.nulls import Nulls
from drift.reference import MIN_WINDOWS, Reference
from drift.result import Result
from drift.window_tests import corrected_psi, each_column, g_test, null_rate, unseen_rate
from drift.window_tests.contract import WindowTest

Floats = NDArray[np.float64]

INDEPENDENT = "chi_square"
"""What a plan says of rows that do not depend on each other: then the G test's null is better."""

CUSTOMERS_UNKNOWN = (
    "the window does not say whose its rows are: its customers count as new, and as active as those"
    " of the reference"
)


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
    `p_values` float64[n_columns] is the smallest of each column's tests. `warnings` say what the
    window lacks for the tests that its reference asks for."""

    tested: tuple[Tested, ...]
    p_values: Floats
    psi: Floats
    evidence: Evidence | None
    warnings: tuple[str, ...] = ()

    @property
    def noticed(self) -> tuple[Tested, ...]:
        return tuple(each for each in self.tested if each.noticed)


class WindowMonitor:
    """Tests windows of about `window_rows` rows in order of time.

    Rows that depend on each other get the test that the reference asks for (`drift.dependence`);
    the others the G test of their values, and tests of their missing and unseen rates. Where the
    reference has entities of several rows, customers say how rows depend on each other.
    """

    def __init__(
        self,
        reference: Reference,
        window_rows: int,
        *,
        rate: StatedRate,
        nulls: Nulls,
    ) -> None:
        self.reference = reference
        self.rate = rate
        self._nulls = nulls
        columns = reference.columns
        self._counts = [_column_counts(reference, i) for i in range(len(columns))]
        self._customers = _customers(reference, self._counts)
        self.plans = [
            plan_dependence(
                columns.of(reference.blocks, i).astype(np.int64),
                window_rows,
                ordered=columns[i].kind is not Kind.CATEGORY,
                customers=self._customers[i],
            )
            for i in range(len(columns))
        ]
        self._independent = [i for i, plan in enumerate(self.plans) if plan.detector == INDEPENDENT]
        self._dependent = [i for i, plan in enumerate(self.plans) if plan.detector != INDEPENDENT]
        self.moods = [
            mood_of(columns.of(reference.blocks, i).astype(np.int64), plan)
            for i, plan in enumerate(self.plans)
        ]
        self.e_detector = _e_detector(reference, window_rows, rate)

    @property
    def keeps_evidence(self) -> bool:
        """Whether small shifts that last are added up: the reference is long enough."""
        return self.e_detector is not None

    @property
    def needs_entities(self) -> bool:
        """Whether a column's test asks whose rows a window's are."""
        return any(plan.detector == "customer_covariance" for plan in self.plans)

    def detector_of(self, column: int) -> str:
        """The test of a column's values."""
        name = self.plans[column].detector
        return "g_test" if name == INDEPENDENT else name

    def check(self, counts: Counts, entities: EntityTable | None = None) -> WindowVerdict:
        """Test a window's counts int64[n_bins] and the entities of its rows.

        A row without an entity counts as one of its own. Without a table, or with an empty one,
        the verdict warns where the reference's customers matter; otherwise it is not looked at.
        ValueError for a table that cannot be of this window's rows.
        """
        columns = self.reference.columns
        windows = [columns.of(counts, i).astype(np.int64) for i in range(len(columns))]
        alpha = self.rate.q_per_family / len(columns)
        results = self._test_independent(windows, alpha)
        repeats = self._repeats(windows, entities)
        unknown = self.needs_entities and repeats is None and windows[0].any()
        results += self._test_dependent(windows, repeats, alpha)
        results = [
            (i, self.moods[i].allow(result) if result.detector == self.detector_of(i) else result)
            for i, result in results
        ]
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
            warnings=(CUSTOMERS_UNKNOWN,) if unknown else (),
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
        self, windows: Sequence[Counts], repeats: Repeats | None, alpha: float
    ) -> list[tuple[int, Result]]:
        results = []
        for i in self._dependent:
            if windows[i].sum() == 0:
                continue
            dependent = dependent_test(
                windows[i],
                self.plans[i],
                alpha=alpha,
                customers=self._customers[i],
                repeats=repeats,
            )
            results.append((i, dependent.result))
        # What the reference never had does not depend on its neighbours: it is new.
        fresh = [i for i in self._dependent if self._counts[i][-1] == 0]
        return results + self._each(null_rate, fresh, windows, alpha)

    def _repeats(self, windows: Sequence[Counts], entities: EntityTable | None) -> Repeats | None:
        moments = self.reference.customers
        if moments is None or not self.needs_entities or entities is None or entities.is_empty:
            return None
        return moments.repeats(entities, int(windows[0].sum()))

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
        if self.e_detector is None:
            return None
        p = np.full(len(self.reference.columns), np.nan)
        for column, result in results:
            # Where the reference's own windows vary, neighbouring windows share their mood: their
            # p-values do not add up.
            if result.detector == self.detector_of(column) != "window_scale":
                p[column] = self.moods[column].evidence(result)
        effects = [r.effect for c, r in results if r.detector == self.detector_of(c)]
        result = self.e_detector.update(
            p,
            n_reference=self.reference.n,
            n_window=max((r.n_window for _, r in results), default=0),
            effect=max(effects, default=0.0),
        )
        by_column = self.e_detector.evidence.mean(axis=1)
        total = float(by_column.sum()) or 1.0
        ranked = self.e_detector.ranked()[:5]
        return Evidence(result, tuple((int(i), float(by_column[i]) / total) for i in ranked))


def _customers(reference: Reference, counts: Sequence[Counts]) -> list[Customers | None]:
    """Of every column; None where no entity has two rows, so that nothing is known of pairs."""
    moments = reference.customers
    if moments is None or moments.excess == 0:
        return [None] * len(counts)
    return [moments.of_column(reference.columns, i, own) for i, own in enumerate(counts)]


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
