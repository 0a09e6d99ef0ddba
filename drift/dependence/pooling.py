"""Bins too rare for a normal approximation, pooled before the test."""

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def pool_rare(weight: Floats, *, minimum: float, max_groups: int) -> Counts:
    """The group of every bin, int64[B]: bins of `weight` below `minimum` share group 0.

    `weight` float[B] says how much a bin counts (expected rows, after the correction for
    dependence). The lightest bins are pooled until the pool weighs `minimum` and at most
    `max_groups` groups are left; the others keep their order as groups 1, 2, ... . It sees the
    reference only, never the window, so pooling does not change the null. Everything in one
    group: there is nothing to test at this size.
    """
    ascending = np.argsort(weight, kind="stable")
    heavy = weight[ascending]
    below = int(np.searchsorted(heavy, minimum, side="left"))
    n_pooled = max(below, len(weight) - max_groups + 1 if len(weight) > max_groups else 0)
    if n_pooled:
        reached = int(np.searchsorted(np.cumsum(heavy), minimum, side="left")) + 1
        n_pooled = min(max(n_pooled, reached), len(weight))
    groups = np.zeros(len(weight), dtype=np.int64)
    kept = np.sort(ascending[n_pooled:])
    groups[kept] = np.arange(len(kept)) + (1 if n_pooled else 0)
    return groups


def pool_neighbours(weight: Floats, *, minimum: float, max_groups: int) -> Counts:
    """The group of every bin, int64[B], where bins are in order: neighbours are pooled.

    The lightest group joins its lighter neighbour until every group weighs `minimum` and at most
    `max_groups` are left. Pooling the two tails of a feature instead would hide that it moved.
    """
    weights = [float(w) for w in weight]
    sizes = [1] * len(weights)
    while len(weights) > 1 and (min(weights) < minimum or len(weights) > max_groups):
        i = weights.index(min(weights))
        j = i - 1 if i == len(weights) - 1 or (i > 0 and weights[i - 1] < weights[i + 1]) else i + 1
        low, high = min(i, j), max(i, j)
        weights[low] += weights.pop(high)
        sizes[low] += sizes.pop(high)
    return np.repeat(np.arange(len(sizes)), sizes)


def halves(share: Floats) -> Counts:
    """Two groups, int64[B]: bins up to the one that reaches half of `share`, and the bins after.

    The last resort where rows are too few for more. A bin goes where its middle lies, so that the
    halves are as even as they can be.
    """
    before = np.cumsum(share) / share.sum() - share / share.sum() / 2
    return np.asarray(before > 0.5, dtype=np.int64)


def sum_groups(counts: Counts | Floats, groups: Counts) -> Floats:
    """Counts [..., B] summed to float64[..., n_groups] by `groups` int64[B]."""
    member = np.zeros((len(groups), int(groups.max()) + 1))
    member[np.arange(len(groups)), groups] = 1.0
    return counts @ member
