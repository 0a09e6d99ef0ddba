"""Tests of a window's counts against the reference's, each with its null at the sizes at hand."""

from drift.window_tests.chi_square import chi_square
from drift.window_tests.contract import Counts, WindowTest, each_column
from drift.window_tests.divergences import (
    corrected_psi,
    hellinger,
    jensen_shannon,
    kullback_leibler,
    psi,
    psi_test,
    wasserstein,
)
from drift.window_tests.g_test import g_test
from drift.window_tests.kolmogorov_smirnov import ks_binned, ks_two_sample
from drift.window_tests.rates import (
    beyond_extremes,
    compare_rates,
    null_rate,
    range_rate,
    unseen_rate,
)

WINDOW_TESTS: dict[str, WindowTest] = {
    test.name: test
    for test in (
        g_test,
        psi_test,
        kullback_leibler,
        jensen_shannon,
        hellinger,
        chi_square,
        ks_binned,
        wasserstein,
        null_rate,
        unseen_rate,
    )
}
"""By name. `g_test`, `null_rate` and `unseen_rate` together use each count once; the others look
at the same value bins as `g_test` and need a share of the false-alarm rate each."""

__all__ = [
    "WINDOW_TESTS",
    "Counts",
    "WindowTest",
    "beyond_extremes",
    "chi_square",
    "compare_rates",
    "corrected_psi",
    "each_column",
    "g_test",
    "hellinger",
    "jensen_shannon",
    "ks_binned",
    "ks_two_sample",
    "kullback_leibler",
    "null_rate",
    "psi",
    "psi_test",
    "range_rate",
    "unseen_rate",
    "wasserstein",
]
