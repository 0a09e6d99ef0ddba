"""Closed windows of one model held against its reference: every column's tests, and e-SR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Counts, Kind
from drift.customers import customers_by_column
from drift.dependence import Repeats, dependent_test, plan_dependence
from drift.e_detector import start
from drift.entities import EntityTable
from drift.families import StatedRate, notice
from drift.moods import mood_of
from drift.new_values import knows_its_values, with_new_values_together
from drift.nulls import Nulls
from drift.reference import Reference
from drift.result import Result
from drift.season_test import NO_HOURS, SEASON_SCALE, SeasonTests
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
    reference has entities of several rows, customers say how rows depend on each other. Columns
    that follow the reference's season are held against the hours that a window covers, and those of
    the calendar against nothing else (`drift.season_test`).
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
        self._customers = customers_by_column(reference.customers, columns, self._counts)
        self.plans = [
            plan_dependence(
                columns.of(reference.blocks, i).astype(np.int64),
                window_rows,
                ordered=columns[i].kind is not Kind.CATEGORY,
                customers=self._customers[i],
            )
            for i in range(len(columns))
        ]
        self._closed = [
            i for i in range(len(columns)) if knows_its_values(reference, i, window_rows)
        ]
        self.season = (
            SeasonTests(reference.season, columns, reference.seasonal, nulls=nulls)
            if reference.season is not None and reference.seasonal
            else None
        )
        self.moods = [
            mood_of(columns.of(reference.blocks, i).astype(np.int64), plan)
            for i, plan in enumerate(self.plans)
        ]
        windows = reference.n / window_rows
        self.e_detector = start(rate.sequential_arl0, len(columns), windows)

    @property
    def keeps_evidence(self) -> bool:
        """Whether small shifts that last are added up: the reference is long enough."""
        return self.e_detector is not None

    @property
    def needs_entities(self) -> bool:
        """Whether a column's test asks whose rows a window's are."""
        return any(
            plan.detector == "customer_covariance" and i not in self.reference.by_the_clock
            for i, plan in enumerate(self.plans)
        )

    @property
    def varies(self) -> bool:
        """Whether the reference itself varies from window to window, in a column that does not
        follow its season."""
        return any(
            plan.detector == "window_scale" and i not in self.reference.by_the_clock
            for i, plan in enumerate(self.plans)
        )

    def detector_of(self, column: int) -> str:
        """The test of a column's values; `season_scale` stands for all against the season."""
        if column in self.reference.by_the_clock:
            return SEASON_SCALE
        name = self.plans[column].detector
        return "g_test" if name == INDEPENDENT else name

    def note_of(self, column: int) -> str:
        """Why a column gets its test, for the report."""
        if column in self.reference.untested:
            return "it follows the calendar and there is no season: not tested"
        if column in self.reference.by_the_clock:
            return "held against the same hours of the reference's weeks"
        return self.plans[column].note

    def level(self, history: Counts, bounds_ms: Counts, column: int) -> Counts:
        """A column's counts int64[E, B] of stretches between `bounds_ms` int64[E + 1] without its
        season, so that what changed is no night."""
        if self.season is not None and column in self.season.members:
            return self.season.level(history, bounds_ms, column)
        return history

    def check(
        self,
        counts: Counts,
        entities: EntityTable | None = None,
        *,
        span_ms: tuple[int, int] | None = None,
    ) -> WindowVerdict:
        """Test a window's counts int64[n_bins] and the entities of its rows.

        A row without an entity counts as one of its own. Without a table, or with an empty one,
        the verdict warns where the reference's customers matter; otherwise it is not looked at.
        `span_ms` are the window's start and end in event time, ms UTC; without them, and where the
        reference has no rows of those hours, what follows the season is not tested. ValueError for
        a table that cannot be of this window's rows, and for an end before the start.
        """
        columns = self.reference.columns
        windows = [columns.of(counts, i).astype(np.int64) for i in range(len(columns))]
        alpha = self.rate.q_per_family / len(columns)
        plain = [i for i in range(len(columns)) if i not in self.reference.by_the_clock]
        results = self._test_independent(windows, plain, alpha)
        repeats = self._repeats(windows, entities)
        unknown = self.needs_entities and repeats is None and windows[0].any()
        results += self._test_dependent(windows, plain, repeats, alpha)
        results = [
            (i, self.moods[i].allow(result) if result.detector == self.detector_of(i) else result)
            for i, result in results
        ]
        expected = np.zeros_like(counts)
        if self.season is not None and span_ms is not None:
            expected, found = self.season.check(counts, span_ms, alpha)
            results += found
        unheld = self.season is not None and not expected.any()
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
            psi=self._psi(windows, expected),
            evidence=self._add_evidence(results),
            warnings=(CUSTOMERS_UNKNOWN,) * bool(unknown) + (NO_HOURS,) * unheld,
        )

    def _test_independent(
        self, windows: Sequence[Counts], members: Sequence[int], alpha: float
    ) -> list[tuple[int, Result]]:
        independent = [i for i in members if self.plans[i].detector == INDEPENDENT]
        return [
            found
            for test in (g_test, null_rate, unseen_rate)
            for found in self._each(test, independent, windows, alpha)
        ]

    def _test_dependent(
        self,
        windows: Sequence[Counts],
        members: Sequence[int],
        repeats: Repeats | None,
        alpha: float,
    ) -> list[tuple[int, Result]]:
        results = []
        members = [i for i in members if self.plans[i].detector != INDEPENDENT]
        for i in members:
            if windows[i].sum() == 0:
                continue
            tested = dependent_test(
                windows[i],
                self.plans[i],
                alpha=alpha,
                customers=self._customers[i],
                repeats=repeats,
            )
            results.append((i, tested.result))
        # What the reference never had does not depend on its neighbours: it is new.
        fresh = [i for i in members if self._counts[i][-1] == 0]
        results += self._each(null_rate, fresh, windows, alpha)
        closed = [i for i in members if i in self._closed]
        folded = {i: with_new_values_together(self._counts[i], windows[i]) for i in closed}
        return results + self._each(unseen_rate, closed, folded, alpha)

    def _repeats(self, windows: Sequence[Counts], entities: EntityTable | None) -> Repeats | None:
        moments = self.reference.customers
        if moments is None or not self.needs_entities or entities is None or entities.is_empty:
            return None
        return moments.repeats(entities, int(windows[0].sum()))

    def _each(
        self,
        test: WindowTest,
        members: Sequence[int],
        windows: Sequence[Counts] | Mapping[int, Counts],
        alpha: float,
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

    def _psi(self, windows: Sequence[Counts], expected: Counts) -> Floats:
        """Corrected by as many rows as the dependent ones are worth; of what goes by the clock
        against `expected`, 0 where that has no rows."""
        psi = np.zeros(len(windows))
        for i, window in enumerate(windows):
            before = self._counts[i]
            if i in self.reference.by_the_clock:
                before = self.reference.columns.of(expected, i)
            if before.any() and window.any():
                psi[i] = max(0.0, float(corrected_psi(before, window)))
        return psi

    def _add_evidence(self, results: Sequence[tuple[int, Result]]) -> Evidence | None:
        if self.e_detector is None:
            return None
        p = np.full(len(self.reference.columns), np.nan)
        for column, result in results:
            # Where the reference's own windows vary, neighbouring windows share their mood: their
            # p-values do not add up; nor do those of one hour, which comes again every week.
            own = result.detector == self.detector_of(column) != "window_scale"
            if own and column not in self.reference.by_the_clock:
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


def _column_counts(reference: Reference, index: int) -> Counts:
    return reference.columns.of(reference.counts, index).astype(np.int64)
