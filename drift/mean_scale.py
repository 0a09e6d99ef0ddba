"""How the mean of a column of pieces varies while nothing drifts, as the reference shows it.

The reference has the mean and variance of rows, exactly (`summary`), and counts of consecutive
blocks. The level and the scale of a row are the former's: the detector that sees a fraud score's
rare high values must not take them from ten bins. Only how much more a block varies than as many
independent rows, and how long neighbouring blocks hang together, is of the blocks, every bin taken
at its mean in the reference's sample: a ratio, in which the spread inside bins, left out above and
below, cancels.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from drift.columns import Kind
from drift.dependence.blocks import MIN_BLOCKS, block_factor
from drift.reference import Reference

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

    `row_std` is the standard deviation of a row that, independent, would give the items their
    variance; `skewness` is that of an item's sum; `spread` the rows' own standard deviation;
    `blocks` float64[K] are the reference's blocks of about an item, standardised, in time order.
    """

    item_rows: int
    row_std: float
    skewness: float
    spread: float
    blocks: Floats


def measure_mean(reference: Reference, column: int, window_rows: int) -> MeanScale:
    """The scale of a column's mean in pieces of windows of about `window_rows` rows.

    An item is 1/64 of a window, or longer: rows that depend on each other need items that outlast
    the dependence, which shows no finer than the reference's blocks; rare values need items of
    some of them. Raises RestlessError where there is no mean to watch, or none that keeps still:
    categories, columns of the calendar, constant or missing ones, references under 50 blocks or
    whose blocks hang together however long, items longer than a window.
    """
    _check_kind(reference, column)
    if len(reference.blocks) < MIN_BLOCKS:
        raise RestlessError(f"the reference has under {MIN_BLOCKS} blocks")
    spread = math.sqrt(max(0.0, float(reference.summary.variances()[column])))
    sums, rows, scores = _block_sums(reference, column)
    if not spread > 0 or not sums.any():
        raise RestlessError("it hardly varies in the reference")
    factor, dispersion = _dependence(sums, rows, window_rows / reference.block_rows)
    skewness = _row_skewness(reference, column, scores) * math.sqrt(dispersion)
    wanted = [MIN_ITEM_ROWS, window_rows / ITEMS_PER_WINDOW, (skewness / MAX_SKEWNESS) ** 2]
    if factor:
        wanted += [factor * float(rows.mean()), MIN_ITEM_ROWS * dispersion]
    item_rows = math.ceil(max(wanted))
    if item_rows > window_rows:
        raise RestlessError(
            f"its mean keeps still over no fewer than {item_rows:,} values, more than a window has"
        )
    together = max(1, min(round(item_rows / float(rows.mean())), len(sums) // 4))
    return MeanScale(
        item_rows=item_rows,
        row_std=spread * math.sqrt(dispersion),
        skewness=skewness / math.sqrt(item_rows),
        spread=spread,
        blocks=_standardised(sums, rows, together) / math.sqrt(dispersion),
    )


def _check_kind(reference: Reference, column: int) -> None:
    spec = reference.columns[column]
    if spec.n_categories:
        raise RestlessError("codes of categories have no mean")
    if spec.name in reference.calendar:
        raise RestlessError("it follows the calendar")
    if reference.summary.n_finite[column] == 0:
        raise RestlessError("always missing in the reference")
    if spec.kind is Kind.CONSTANT:
        raise RestlessError("constant in the reference")


def _block_sums(reference: Reference, column: int) -> tuple[Floats, Floats, Floats]:
    """Of each block float64[K]: summed distance from the mean in standard deviations, and values;
    then each bin's distance from the mean, float64[B]."""
    columns = reference.columns
    counts = columns.of(reference.blocks, column)[:, :-1].astype(np.float64)
    scores = _bin_means(reference, column)
    total = counts.sum(axis=0)
    scores = scores - (total @ scores) / max(total.sum(), 1.0)
    deviation = math.sqrt(float(total @ scores**2) / max(float(total.sum()), 1.0))
    if deviation == 0:
        return np.zeros(len(counts)), counts.sum(axis=1), scores
    scores = scores / deviation
    return counts @ scores, counts.sum(axis=1), scores


def _bin_means(reference: Reference, column: int) -> Floats:
    """float64[B] without the missing bin: the mean of the sample's finite values in each bin, that
    of all where it has none, and the value itself where that is the bin."""
    columns, spec = reference.columns, reference.columns[column]
    n_bins = spec.n_bins - 1
    values = reference.sample[:, column].astype(np.float64)
    bins = columns.assign(reference.sample)[column] - columns.offsets[column]
    finite = np.isfinite(values)
    n = np.bincount(bins[finite], minlength=n_bins)[:n_bins]
    sums = np.bincount(bins[finite], values[finite], minlength=n_bins)[:n_bins]
    means = np.where(n > 0, sums / np.maximum(n, 1), spec.centre)
    if spec.kind is Kind.DISCRETE:
        means[: len(spec.cuts)] = spec.cuts
    return means


def _row_skewness(reference: Reference, column: int, scores: Floats) -> float:
    """Of finite values: by their counts where bins are values, else of the sample."""
    if reference.columns[column].kind is Kind.DISCRETE:
        counts = reference.columns.of(reference.counts, column)[:-1]
        return float(counts @ scores**3) / max(1, int(counts.sum()))
    values = reference.sample[:, column].astype(np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def _dependence(sums: Floats, rows: Floats, most: float) -> tuple[int, float]:
    """How many blocks outlast the dependence of rows, and how much more they vary then than as
    many independent rows; 0 and 1 where rows look independent."""
    from scipy.special import chdtrc

    z = _standardised(sums, rows, 1)
    squares = float(z @ z)
    varies = float(chdtrc(len(z) - 1, squares)) <= DEPENDS
    if not varies and _neighbours(z) <= HANGS_TOGETHER / math.sqrt(len(z)):
        return 0, 1.0
    factor = block_factor(np.column_stack([-sums, sums]), max_factor=max(1, int(most)))
    z = _standardised(sums, rows, factor)
    if _neighbours(z) > HANGS_TOGETHER / math.sqrt(len(z)):
        raise RestlessError("it moves by itself in the reference")
    return factor, max(1.0, float(z @ z) / (len(z) - 1))


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
