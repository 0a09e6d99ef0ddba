"""A window held against the same hours of the reference's weeks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Counts
from drift.dependence.block_hotelling import Verdict
from drift.dependence.plan import MIN_EXPECTED
from drift.dependence.rare_rows import rare_rows
from drift.nulls import Nulls
from drift.result import Result
from drift.season import HOUR_MS, Season
from drift.season_scatter import Scatter, scatter
from drift.window_tests import each_column, g_test, null_rate, unseen_rate
from drift.window_tests.contract import WindowTest

Floats = NDArray[np.float64]

SEASON_SCALE = "season_scale"
NO_HOURS = (
    "the window's hours are not known, or the reference has no rows of them: what follows the"
    " season is not tested"
)


class SeasonTests:
    """The tests of `members`, the columns that follow a usable season.

    Where the same hours of the weeks differ by no more than chance, rows count as independent:
    the G test and those of missing and unseen values, against the mix of slots that the window
    covers. Else X2 against that mix is held against how much the weeks differ (`season_scale`),
    as the window-scale test holds it against how much windows do.
    """

    def __init__(
        self, season: Season, columns: Columns, members: tuple[int, ...], *, nulls: Nulls
    ) -> None:
        self.members = members
        self._season = season
        self._columns = columns
        self._nulls = nulls
        self._scatters: dict[int, dict[int, Scatter | None]] = {}

    def level(self, history: Counts, bounds_ms: Counts, column: int) -> Counts:
        """A column's history int64[E, B] of stretches between `bounds_ms` int64[E + 1] as it would
        be at an average hour: less what the reference's hours differ from all of it.
        """
        counts = history.astype(np.float64)
        whole = self._columns.of(self._season.counts, column).sum(axis=0)
        usual = whole / whole.sum()
        for i, (start, end) in enumerate(pairwise(bounds_ms.tolist())):
            mixed, rows = self._season.counts_for(start, max(end, start + 1))
            if rows:
                share = self._columns.of(mixed, column) / rows
                counts[i] += counts[i].sum() * (usual - share)
        return np.rint(np.maximum(counts, 0.0)).astype(np.int64)

    def check(
        self, counts: Counts, span_ms: tuple[int, int], alpha: float
    ) -> tuple[Counts, list[tuple[int, Result]]]:
        """What the reference holds of the window's hours, int64[n_bins], and results by column.

        No result for a column without rows, or where the reference has none of these hours.
        """
        expected, rows = self._season.counts_for(*span_ms)
        if not rows:
            return expected, []
        scatters = self._measured(span_ms)
        free = [i for i in self.members if (s := scatters[i]) is None or s.independent]
        results = [
            found
            for test in (g_test, null_rate, unseen_rate)
            for found in self._each(test, free, counts, expected, alpha)
        ]
        for i in self.members:
            weeks = scatters[i]
            window, mixed = self._columns.of(counts, i), self._columns.of(expected, i)
            if weeks is None or weeks.independent or not window.sum():
                continue
            results.append((i, season_scale(window, mixed, weeks, alpha=alpha)))
            if mixed[-1] == 0:  # what the reference never had at these hours
                results += self._each(null_rate, [i], counts, expected, alpha)
        return expected, results

    def _each(
        self,
        test: WindowTest,
        members: Sequence[int],
        counts: Counts,
        expected: Counts,
        alpha: float,
    ) -> list[tuple[int, Result]]:
        columns = self._columns
        results = each_column(
            test,
            [columns.of(expected, i) for i in members],
            [columns.of(counts, i) for i in members],
            [columns[i].kind for i in members],
            nulls=self._nulls,
            alpha=alpha,
        )
        return [(i, r) for i, r in zip(members, results, strict=True) if r is not None]

    def _measured(self, span_ms: tuple[int, int]) -> dict[int, Scatter | None]:
        """Of windows of about so many slots, each measured once."""
        most = self._season.repeats.shape[1]
        slots = round((span_ms[1] - span_ms[0]) / (self._season.slot_hours * HOUR_MS))
        slots = min(max(1, slots), most)
        if slots not in self._scatters:
            self._scatters[slots] = {
                i: scatter(self._season, self._columns, i, slots) for i in self.members
            }
        return self._scatters[slots]


def season_scale(window: Counts, expected: Counts, weeks: Scatter, *, alpha: float) -> Result:
    """X2 of a column's window int64[B] and of the mix int64[B] over the weeks' dispersion, as F.

    X2 is the two-sample chi-square, of the same bins as the weeks' own; F = X2 / (d df) has f and
    `freedom` degrees of freedom, f the smaller of df and `directions` (Rao and Scott's second-order
    correction, 1981, with d estimated). A column nearly constant at these hours gets the test of
    rare rows. The effect is PSI less what chance gives rows this dependent.
    """
    n, m = int(expected.sum()), int(window.sum())
    usual = np.arange(len(expected)) == expected.argmax()
    rare = (n - int(expected.max())) / n * m < MIN_EXPECTED * weeks.dispersion
    before, now = expected.astype(np.float64), window.astype(np.float64)
    if rare:
        before = np.array([before[~usual].sum(), before[usual].sum()])
        now = np.array([now[~usual].sum(), now[usual].sum()])
        verdict = rare_rows(
            before[0],
            now[0],
            n_reference=n,
            n_window=m,
            clump=weeks.dispersion,
            alpha=alpha,
        )
    else:
        seen = before + now > 0
        before, now = before[seen], now[seen]
        verdict = _against_weeks(now, before, weeks, alpha)
    p, q = (before + 0.5) / (before + 0.5).sum(), (now + 0.5) / (now + 0.5).sum()
    chance = (len(p) - 1) * (1.0 / n + 1.0 / m) * weeks.dispersion
    effect = float(((q - p) * np.log(q / p)).sum() - chance)
    return Result(
        SEASON_SCALE,
        verdict.statistic,
        verdict.threshold,
        verdict.p_value,
        max(0.0, effect),
        n,
        m,
    )


def _against_weeks(now: Floats, before: Floats, weeks: Scatter, alpha: float) -> Verdict:
    from scipy.special import fdtrc, fdtri

    n, m, df = before.sum(), now.sum(), len(now) - 1
    p = (before + now) / (n + m)
    difference = now / m - before / n
    x2 = float((difference * difference / p).sum() / (1.0 / m + 1.0 / n))
    f = min(float(df), weeks.directions)
    free = weeks.freedom
    statistic = x2 / (df * weeks.dispersion)
    return Verdict(statistic, float(fdtri(f, free, 1.0 - alpha)), float(fdtrc(f, free, statistic)))
