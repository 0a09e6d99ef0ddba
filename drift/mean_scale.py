"""How the mean of a column of pieces varies while nothing drifts, as the reference shows it.

The mean of values is their mean (`summary`), exactly: the rare high scores of a fraud model must
not be hidden in ten bins. Where one row can move an item by more than an item's own spread, no such
mean keeps a rate (lognormal amounts raised 27 times the stated alarms): there the mean is by bins,
each at its mean in the reference's sample, which is how much of a tail ten bins can see.

How much more a block varies than as many independent rows, and how long neighbouring blocks hang
together, is always of the bins, as the reference keeps blocks as counts: it is a ratio, in which
the spread inside bins, left out above and below, cancels.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from drift.columns import Kind
from drift.dependence.blocks import MIN_BLOCKS, block_factor
from drift.reference import Reference
from drift.stream.adwin import symmetric

Floats = npt.NDArray[np.float64]

ITEMS_PER_WINDOW = 64
"""Rows are watched in items; shorter ones would see a change of a window's mean hardly sooner."""

MIN_ITEM_ROWS = 32
"""Or rows that are worth as many independent ones. Items of six autocorrelation times still have
neighbours with a correlation of 0.05, and 4 times the stated alarms."""

MAX_SKEWNESS = 1.5
"""Of an item's sum: what the cube root takes out (`drift.stream.baseline`)."""

DEPENDS = 0.01
"""Rate at which a reference of independent rows is taken for a dependent one: it costs delay."""

HANGS_TOGETHER = 3.0
"""Standard errors of the correlation of neighbouring blocks that chance is taken to give."""


class RestlessError(ValueError):
    """The column's mean cannot be watched on the stream at a stated rate; says why."""


@dataclass(frozen=True, slots=True)
class MeanScale:
    """What items of `item_rows` finite values are held against.

    `level` is the mean, less the column's centre; `row_std` the standard deviation of a row that,
    independent, would give the items their variance; `skewness` that of an item's sum; `spread` the
    rows' own standard deviation. `scores` float64[B] are what bins count for, less the mean and 0
    for missing; None where values count for themselves. `blocks` float64[K] are the reference's
    blocks of about an item, standardised and nearly normal, in time order.
    """

    item_rows: int
    level: float
    row_std: float
    skewness: float
    spread: float
    scores: Floats | None
    blocks: Floats

    @property
    def row_skewness(self) -> float:
        """Of independent rows that would give the items their skewness."""
        return self.skewness * math.sqrt(self.item_rows)


def measure_mean(reference: Reference, column: int, window_rows: int) -> MeanScale:
    """The scale of a column's mean in pieces of windows of about `window_rows` rows.

    An item is 1/64 of a window, or longer: rows that depend on each other need items that outlast
    the dependence, which shows no finer than the reference's blocks; rare values need items of
    some of them. Raises RestlessError where there is no mean to watch, or none that keeps still:
    categories, columns of the calendar or the season, constant or missing ones, references under
    50 blocks or whose blocks hang together however long, items longer than a window.
    """
    _check_kind(reference, column)
    if len(reference.blocks) < MIN_BLOCKS:
        raise RestlessError(f"the reference has under {MIN_BLOCKS} blocks")
    counts = reference.columns.of(reference.blocks, column).astype(np.float64)
    scores = _bin_scores(reference, column)
    total = counts.sum(axis=0)
    by_bins = math.sqrt(float(total @ scores**2) / max(1.0, float(total[:-1].sum())))
    spread = math.sqrt(max(0.0, float(np.nan_to_num(reference.summary.variances()[column]))))
    if not (by_bins > 0 and spread > 0):
        raise RestlessError("it hardly varies in the reference")
    sums, rows = counts @ scores / by_bins, counts[:, :-1].sum(axis=1)
    factor, dispersion = _dependence(sums, rows, window_rows / reference.block_rows)
    binned_skewness = float(total @ scores**3) / float(total[:-1].sum()) / by_bins**3
    wanted = [MIN_ITEM_ROWS * dispersion, window_rows / ITEMS_PER_WINDOW]
    wanted += [factor * float(rows.mean()), dispersion * (binned_skewness / MAX_SKEWNESS) ** 2]
    skewness = _sample_skewness(reference, column)
    is_tame = _largest_move(reference, column) <= spread * math.sqrt(max(wanted))
    if is_tame:
        wanted.append(dispersion * (skewness / MAX_SKEWNESS) ** 2)
    item_rows = math.ceil(max(wanted))
    if item_rows > window_rows:
        raise RestlessError(
            f"its mean keeps still over no fewer than {item_rows:,} values, more than a window has"
        )
    clumps = math.sqrt(dispersion / item_rows)
    together = max(1, min(round(item_rows / float(rows.mean())), len(sums) // 4))
    blocks = _standardised(sums, rows, together) / math.sqrt(dispersion)
    block_skewness = binned_skewness * math.sqrt(dispersion / (together * float(rows.mean())))
    return MeanScale(
        item_rows=item_rows,
        level=float(reference.summary.shift[column]) if is_tame else 0.0,
        row_std=(spread if is_tame else by_bins) * math.sqrt(dispersion),
        skewness=(skewness if is_tame else binned_skewness) * clumps,
        spread=spread if is_tame else by_bins,
        scores=None if is_tame else scores,
        blocks=symmetric(blocks, block_skewness),
    )


def _check_kind(reference: Reference, column: int) -> None:
    spec = reference.columns[column]
    if spec.n_categories:
        raise RestlessError("codes of categories have no mean")
    if spec.name in reference.calendar:
        raise RestlessError("it follows the calendar")
    if column in reference.seasonal:
        raise RestlessError("it follows the season")
    if reference.summary.n_finite[column] == 0:
        raise RestlessError("always missing in the reference")
    if spec.kind is Kind.CONSTANT:
        raise RestlessError("constant in the reference")


def _bin_scores(reference: Reference, column: int) -> Floats:
    """What each bin float64[B] counts for, less the mean of all blocks: the mean of the sample's
    finite values in it, that of all where it has none, the value itself where that is the bin."""
    columns, spec = reference.columns, reference.columns[column]
    values = reference.sample[:, column].astype(np.float64)
    finite = np.isfinite(values)
    bins = (columns.assign(reference.sample)[column] - columns.offsets[column])[finite]
    n = np.bincount(bins, minlength=spec.n_bins)
    sums = np.bincount(bins, values[finite], minlength=spec.n_bins)
    scores = np.where(n > 0, sums / np.maximum(n, 1), spec.centre)
    if spec.kind is Kind.DISCRETE:
        scores[: len(spec.cuts)] = spec.cuts
    counts = columns.of(reference.blocks, column)[:, :-1].sum(axis=0)
    scores -= float(counts @ scores[:-1]) / max(1, int(counts.sum()))
    scores[-1] = 0.0
    return scores


def _sample_skewness(reference: Reference, column: int) -> float:
    values = reference.sample[:, column].astype(np.float64)
    values = values[np.isfinite(values)]
    deviation = float(values.std()) if len(values) else 0.0
    return float((((values - values.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0


def _largest_move(reference: Reference, column: int) -> float:
    """Distance of the reference's furthest value from its mean."""
    summary = reference.summary
    mean = float(summary.means(reference.columns)[column])
    return max(float(summary.maximum[column]) - mean, mean - float(summary.minimum[column]))


def _dependence(sums: Floats, rows: Floats, most: float) -> tuple[int, float]:
    """How many blocks outlast the dependence of rows, 0 where they look independent, and how much
    more they may vary then than as many independent rows."""
    from scipy.special import chdtrc

    z = _standardised(sums, rows, 1)
    squares = float(z @ z)
    varies = float(chdtrc(len(z) - 1, squares)) <= DEPENDS
    if not varies and _neighbours(z) <= HANGS_TOGETHER / math.sqrt(len(z)):
        return 0, _upper_dispersion(z)
    factor = block_factor(np.column_stack([-sums, sums]), max_factor=max(1, int(most)))
    z = _standardised(sums, rows, factor)
    if _neighbours(z) > HANGS_TOGETHER / math.sqrt(len(z)):
        raise RestlessError("it moves by itself in the reference")
    return factor, _upper_dispersion(z)


def _upper_dispersion(z: Floats) -> float:
    """Of standardised blocks float64[K], one standard error more than is seen, 1 at least.

    One that is too low by a tenth doubles the alarms, and 240 blocks do not show a tenth; one too
    high costs some delay.
    """
    return max(1.0, float(z @ z) / (len(z) - 1)) * (1 + math.sqrt(2 / len(z)))


def _standardised(sums: Floats, rows: Floats, factor: int) -> Floats:
    """Blocks `factor` times as long, in standard deviations of as many independent rows."""
    k = len(sums) // factor
    first = len(sums) - k * factor
    longer = [each[first:].reshape(k, factor).sum(axis=1) for each in (sums, rows)]
    return cast("Floats", longer[0] / np.sqrt(np.maximum(longer[1], 1.0)))


def _neighbours(z: Floats) -> float:
    """Correlation of each block with the next, free of what centring costs."""
    centred = z - z.mean()
    square = float(centred @ centred)
    return float(centred[1:] @ centred[:-1]) / square + 1 / len(z) if square else 0.0
