"""Which correction for dependent rows a reference asks for."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from drift.dependence.block_hotelling import neighbour_inflation
from drift.dependence.blocks import (
    MIN_BLOCKS,
    Spread,
    block_factor,
    merge_blocks,
    rows_per_block,
    spread,
)
from drift.dependence.customers import Customers
from drift.dependence.pooling import halves, pool_neighbours, pool_rare, sum_groups
from drift.dependence.window_scale import MIN_WINDOWS

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Detector = Literal[
    "chi_square", "block_hotelling", "customer_covariance", "window_scale", "rare_rows"
]

MIN_EXPECTED = 5.0
"""Rows, after the correction for dependence, that a group must expect in the smaller sample."""

FEWEST_WINDOWS = 3
"""Windows of the reference that a window can be held against at all, with few degrees of freedom
and little power: where rows depend on each other, blocks alone alarmed on a stationary stream."""

USUAL = 0.75
"""Share of rows above which one bin makes a column nearly constant."""

DEPENDS = 0.01
"""Rate at which a reference of independent rows is taken for a dependent one."""

WINDOWS_VARY = 0.05
"""Rate at which windows are taken to vary more than their rows say: too often costs a little power,
too seldom alarms."""

EXACT = 1e9
"""Degrees of freedom of a variance that is known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to test windows of a column against this reference; made from the reference alone.

    `dispersion` is the variance of proportions over that of independent rows (mean over groups):
    a window of m rows says as much as m / `dispersion` independent ones. `groups` int64[B] is the
    pooling of bins, `counts` int64[B] are the reference's, `windows` int64[K, B] its windows for
    detector "window_scale" (else empty), `note` is for the report.
    """

    detector: Detector
    note: str
    dispersion: float
    groups: Counts
    counts: Counts
    blocks: Spread | None
    windows: Counts


def plan_dependence(
    block_counts: Counts,
    n_window: int,
    *,
    ordered: bool = True,
    customers: Customers | None = None,
    window_excess: float | None = None,
) -> Plan:
    """The test for windows of about `n_window` rows, from base blocks int64[K, B] of a reference.

    Blocks are consecutive, hold the same number of rows (ValueError) and are at most a fifth of a
    window long to be of use. Bins too rare to test are pooled: with their neighbours where bins
    are `ordered` (values), else together (categories). In this order: a column nearly constant
    gets the test of rare rows; `customers` get their covariance (`window_excess` is the
    `Repeats.excess` of a window like those to come; without it customers are taken to be active
    all the time, and ones that come and go for a reference that varies); rows that depend on their
    neighbours get block Hotelling; all of these give way to the window-scale test where the
    reference itself varies from window to window more than they say. Fewer than 50 blocks show
    no covariance: windows of the reference decide, or with fewer than 10 of those the rows count
    as independent, and the note says so; dependent rows of so short a reference are held against
    its windows all the same, from 3 of them on. Otherwise plain chi-square, for which a G test
    with a simulated null is the better twin.
    """
    n_rows = rows_per_block(block_counts)
    if n_window < 1:
        raise ValueError("a window must hold at least one row")
    factor, groups = _pooling(block_counts, n_rows, n_window, ordered)
    if groups.max() == 0:
        return _rare(block_counts, n_rows, n_window)
    grouped = sum_groups(merge_blocks(block_counts, factor), groups)
    blocks = spread(grouped, n_rows * factor)
    plan = _by_rows(block_counts, grouped, groups, blocks, n_window)
    n_windows = n_rows * len(block_counts) // n_window
    if customers is not None:
        plan = replace(
            plan, detector="customer_covariance", note="rows of one customer vary together"
        )
    reason = ""
    if n_windows < MIN_WINDOWS:
        note = f"{plan.note}; the reference holds {n_windows} windows, under {MIN_WINDOWS}"
        plan = replace(plan, note=note)
        if plan.detector == "block_hotelling" and n_windows >= FEWEST_WINDOWS:
            reason = f"{note}: too few to show how much they vary, so they are the scale"
    elif customers is None and plan.detector == "chi_square" and blocks.n_blocks < MIN_BLOCKS:
        reason = f"under {MIN_BLOCKS} blocks in the reference, so its windows are the scale"
    elif _windows_vary(
        block_counts, plan, n_window, customers=customers, window_excess=window_excess
    ):
        reason = "the reference itself varies from window to window"
    if reason:
        windows = merge_blocks(block_counts, max(1, round(n_window / n_rows)))
        plan = replace(plan, detector="window_scale", note=reason, windows=windows)
    return plan


def _pooling(block_counts: Counts, n_rows: int, n_window: int, ordered: bool) -> tuple[int, Counts]:
    """How many base blocks make a block, and the groups of bins that then carry a test."""
    pool = pool_neighbours if ordered else pool_rare
    n_blocks = len(block_counts)
    per_bin = block_counts.sum(axis=0) / (n_blocks * n_rows)
    expected = per_bin * min(n_window, n_blocks * n_rows)
    max_groups = max(2, n_blocks // 3) if n_blocks >= MIN_BLOCKS else len(per_bin)
    groups = pool(expected, minimum=MIN_EXPECTED, max_groups=max_groups)
    factor = 1
    if groups.max() > 0:
        grouped = sum_groups(block_counts, groups)
        factor = block_factor(grouped, max_factor=max(1, n_window // n_rows))
        expected = expected / _dispersion_by_bin(block_counts, factor, n_rows)
        groups = pool(expected, minimum=MIN_EXPECTED, max_groups=max_groups)
    if groups.max() == 0 and per_bin.max() < USUAL:
        groups = halves(per_bin)
    return factor, groups


def _dispersion_by_bin(block_counts: Counts, factor: int, n_rows: int) -> Floats:
    """Variance of each bin's proportion over its binomial variance, float[B], at least 1."""
    rows = n_rows * factor
    p = merge_blocks(block_counts, factor) / rows
    if len(p) < 2:
        return np.ones(p.shape[1])
    mean = p.mean(axis=0)
    binomial = mean * (1.0 - mean) / rows
    ratio: Floats = p.var(axis=0, ddof=1) / np.where(binomial > 0, binomial, 1.0)
    return np.maximum(1.0, ratio)


def _rare(block_counts: Counts, n_rows: int, n_window: int) -> Plan:
    """Nearly constant: everything but the usual bin is one rare kind of row, seen in clumps."""
    counts = block_counts.sum(axis=0)
    rare = n_rows - block_counts[:, int(counts.argmax())]
    merged = merge_blocks(rare, max(1, min(n_window // n_rows, len(rare) // MIN_BLOCKS)))
    clump = 1.0
    note = "constant in the reference: rows outside the usual bin count as independent"
    if rare.any():
        note = "too few rows outside the usual bin for a covariance: their number is tested"
        if len(merged) > 1:
            clump = max(1.0, float(merged.var(ddof=1)) / max(float(merged.mean()), 1e-12))
    return Plan("rare_rows", note, clump, np.zeros_like(counts), counts, None, block_counts[:0])


def _by_rows(
    block_counts: Counts, grouped: Floats, groups: Counts, blocks: Spread, n_window: int
) -> Plan:
    """Block Hotelling where blocks vary more than independent rows would, else chi-square."""
    from scipy.special import chdtrc

    independent = _independent(grouped.sum(axis=0)) / blocks.n_rows
    df = len(independent)
    ratio = float(np.trace(np.linalg.solve(independent, blocks.covariance))) / df
    freedom = df * (blocks.n_blocks - 1)
    plan = Plan(
        "chi_square",
        "rows look independent",
        1.0,
        groups,
        block_counts.sum(axis=0),
        blocks,
        block_counts[:0],
    )
    if blocks.n_blocks < MIN_BLOCKS:
        return replace(plan, note=f"under {MIN_BLOCKS} blocks: rows count as independent")
    if blocks.settled and float(chdtrc(freedom, freedom * ratio)) > DEPENDS:
        return plan
    if np.linalg.eigvalsh(blocks.covariance)[0] < 1e-9 * np.linalg.eigvalsh(independent)[0]:
        return replace(plan, note="blocks do not vary in every direction: rows independent")
    dispersion = max(1.0, ratio * neighbour_inflation(blocks, n_window))
    note = f"rows depend on their neighbours: {dispersion:.1f} of them say as much as one"
    return replace(plan, detector="block_hotelling", note=note, dispersion=dispersion)


def _independent(counts: Floats) -> Floats:
    """Covariance of one row's group indicators, float[g - 1, g - 1], without the first group."""
    p = counts / counts.sum()
    covariance: Floats = (np.diag(p) - np.outer(p, p))[1:, 1:]
    return covariance


def _windows_vary(
    block_counts: Counts,
    plan: Plan,
    n_window: int,
    *,
    customers: Customers | None,
    window_excess: float | None,
) -> bool:
    """Whether windows cut from the reference vary more than its blocks, or customers, say.

    All groups together, and the one that varies most.
    """
    from scipy.special import fdtrc

    assert plan.blocks is not None
    blocks, n_rows = plan.blocks, rows_per_block(block_counts)
    factor = max(1, round(n_window / n_rows))
    windows = merge_blocks(block_counts, factor)
    rows, df, k = n_rows * factor, len(blocks.covariance), blocks.n_blocks
    if customers is not None:
        p, g = customers.pooled(plan.groups)
        excess = customers.steady(rows).excess if window_excess is None else window_excess
        said = (np.diag(p) - np.outer(p, p) + excess * g)[1:, 1:]
        freedom, bias = EXACT, 1.0
    elif plan.detector == "chi_square":
        said, freedom, bias = _independent(sum_groups(plan.counts, plan.groups)), EXACT, 1.0
    elif not blocks.settled:
        return True
    elif rows < 2 * blocks.n_rows:
        return False
    else:
        said = blocks.covariance * blocks.n_rows * neighbour_inflation(blocks, rows)
        # The mean of the inverse of a Wishart matrix is more than the inverse of its mean.
        freedom, bias = k - 1.0, (k - df - 2.0) / (k - 1.0)
    seen = np.atleast_2d(np.cov(sum_groups(windows, plan.groups)[:, 1:].T)) / rows
    together = float(np.trace(np.linalg.solve(said, seen))) / df * bias
    highest = float((_variances(seen) / _variances(said)).max())
    n_free = len(windows) - 1.0
    return bool(
        fdtrc(df * n_free, df * freedom, together) < WINDOWS_VARY / 2
        or fdtrc(n_free, freedom, highest) < WINDOWS_VARY / 2 / (df + 1)
    )


def _variances(covariance: Floats) -> Floats:
    """Of every group, the left out first one too: it is what the others leave."""
    return np.append(np.diag(covariance), covariance.sum())
