"""Whether a value that the reference does not hold is news, where its rows depend on each other."""

import numpy as np

from drift.columns import Counts
from drift.reference import Reference
from drift.window_tests.contract import WITH_UNSEEN, n_value_bins

OFTEN = 2
"""Windows of the reference that a value is in: one that came once tells of others to come."""


def knows_its_values(reference: Reference, index: int, window_rows: int) -> bool:
    """Whether a column's reference has met every value that it holds more than once.

    Good (1953) estimates the share of values never met by that of values met once. Rows that hang
    together meet a value once together: all those of one window, or of one customer. Where the
    reference met no value just so, none that is new is to be expected.
    """
    column = reference.columns[index]
    n_values = n_value_bins(column.n_bins, column.kind)
    if column.kind not in WITH_UNSEEN or n_values > len(column.cuts):
        return False  # it cannot be seen, or rarer values share a bin
    counts = reference.columns.of(reference.counts, index)[:n_values]
    windows = reference.columns.of(reference.blocks_of(window_rows)[0], index)[:, :n_values]
    largest_customer = 1 if reference.customers is None else reference.customers.largest
    often = ((windows > 0).sum(axis=0) >= OFTEN) & (counts > largest_customer)
    held = counts > 0
    return bool(held.any() and often[held].all())


def with_new_values_together(counts: Counts, window: Counts) -> Counts:
    """A window's int64[B] with all rows of new values in the bin of unseen ones, the last but one:
    of declared categories that the reference's `counts` int64[B] do not hold, too."""
    new = np.append(counts[:-2] == 0, [True, False])
    found = np.where(new, 0, window)
    found[-2] = window[new].sum()
    return found
