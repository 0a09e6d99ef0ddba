"""How much the same hours differ from week to week, and whether a column follows the season."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Counts
from drift.season import Season

Floats = NDArray[np.float64]

FOLLOWS = 0.05
"""Rate at which a column that is alike at all hours is taken to follow the season: it then loses a
little power and e-SR, no more."""

DEPENDS = 0.01
"""Rate at which independent rows are taken for dependent ones, as in `drift.dependence.plan`."""

DAY_HOURS = 24
"""Windows of one day may share its mood: what they say of the dispersion counts as one."""

CHANCE = 2.0
"""Standard errors of the correlation of neighbouring windows that chance is taken to give; more of
it is a mood, which moves one direction."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """How one column's counts vary over the weeks, in windows of the same hours.

    `dispersion` d is the mean of X2 / df, each week against the others: 1 where rows are
    independent and weeks alike. X2 / (d df) varies as a chi-square of `directions` degrees over
    their number (Satterthwaite's moments), and d is known as well as one of `freedom` degrees: the
    days, times `directions` unless neighbouring windows hang together. (A chi-square of as many
    degrees as there are windows raised 6 times the stated rate at 0.001 under moods of days.)
    `independent`: no more than chance gives.
    """

    dispersion: float
    directions: float
    freedom: float
    independent: bool


def scatter_of(counts: Counts, per_day: int) -> Scatter | None:
    """Of counts int64[R, P, B]: R weeks, P windows of neighbouring hours, B bins; None where no
    two weeks have rows in two bins at the same hours. `per_day`: windows of a day.

    Each hour is its own table of weeks by bins, so its X2 has (weeks - 1)(bins - 1) as its mean
    whatever its distribution, small expectations included.
    """
    from scipy.special import chdtrc

    rows = counts.sum(axis=2)
    total = counts.sum(axis=0)
    n = rows.sum(axis=0)
    df = np.maximum((total > 0).sum(axis=1) - 1, 0)
    told = (rows > 0) & (rows < n) & (df > 0)
    if not told.any():
        return None
    expected = rows[:, :, None] * (total / np.maximum(n, 1)[:, None])[None]
    scaled = (counts - expected) / np.sqrt(np.where(expected > 0, expected, 1.0))
    # Given its margins, the mean of a table's X2 is n / (n - 1) times its degrees of freedom.
    x2 = (scaled**2).sum(axis=2) * (np.maximum(n - 1, 0) / np.maximum(n, 1))
    ratio = (x2 * n / np.maximum(n - rows, 1) / np.maximum(df, 1))[told]
    mean, spread = float(ratio.mean()), float(ratio.var())
    directions = float(df.max())
    if spread:
        directions = max(1.0, min(directions, 2.0 * mean * mean / spread))
    weeks = np.maximum((rows > 0).sum(axis=0) - 1, 0)
    freedom = max(1.0, float(weeks.sum()) / per_day)
    lagged = float((scaled[:, 1:] * scaled[:, :-1]).sum()) / max(float((scaled**2).sum()), 1e-12)
    if lagged < CHANCE / np.sqrt(len(ratio)):
        freedom *= directions
    all_df = float((weeks * df).sum())
    independent = float(chdtrc(all_df, float(x2[told].sum()))) > DEPENDS
    return Scatter(max(1.0, mean), directions, freedom, independent)


def windows_of(season: Season, columns: Columns, column: int, n_slots: int) -> Counts:
    """One column's counts int64[R, P, B] in windows of `n_slots` neighbouring slots."""
    counts = columns.of(season.repeats, column)
    n_repeats, slots, n_bins = counts.shape
    n = slots // n_slots
    windows: Counts = counts[:, : n * n_slots].reshape(n_repeats, n, n_slots, n_bins).sum(axis=2)
    return windows


def scatter(season: Season, columns: Columns, column: int, n_slots: int) -> Scatter | None:
    """Of a column's windows of `n_slots` slots."""
    per_day = max(1, round(DAY_HOURS / (n_slots * season.slot_hours)))
    return scatter_of(windows_of(season, columns, column, n_slots), per_day)


def follows(season: Season, columns: Columns, column: int) -> bool:
    """Whether a column's slots differ more than its weeks do in the same slot."""
    from scipy.special import fdtrc

    slots = columns.of(season.counts, column)
    slots = slots[slots.sum(axis=1) > 0][:, slots.sum(axis=0) > 0]
    df = (slots.shape[0] - 1) * (slots.shape[1] - 1)
    if not df:
        return False
    among = scatter(season, columns, column, 1)
    if among is None:  # one value in each slot, another in another
        return True
    expected = slots.sum(axis=1)[:, None] * (slots.sum(axis=0) / slots.sum())
    x2 = float(((slots - expected) ** 2 / expected).sum())
    between = (slots.shape[0] - 1) * min(among.directions, float(slots.shape[1] - 1))
    ratio = x2 / (df * among.dispersion)
    return float(fdtrc(between, among.freedom, ratio)) < FOLLOWS
