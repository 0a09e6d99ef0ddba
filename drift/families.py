"""One stated rate of false notices for everything that is tested together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class StatedRate:
    """The mean number of windows between false notices, `arl0`, split over `n_families` detectors.

    ARL0 covers all columns, segments and detectors together: every family (one kind of detector
    over all columns and segments) has an equal part of it (Bonferroni), the families that test
    window by window through Benjamini-Hochberg at `q_per_family`, the sequential ones as their own
    ARL0. While nothing drifts a window then has a false notice with probability at most 1 / ARL0.
    ValueError unless arl0 > 1 and n_families >= 1.
    """

    arl0: float
    n_families: int = 1

    def __post_init__(self) -> None:
        if not self.arl0 > 1:
            raise ValueError("arl0 must be more than one window")
        if self.n_families < 1:
            raise ValueError("there must be at least one family")

    @property
    def q(self) -> float:
        """Probability of a false notice in one window, all families together."""
        return 1.0 / self.arl0

    @property
    def q_per_family(self) -> float:
        return self.q / self.n_families

    @property
    def sequential_arl0(self) -> float:
        """Windows between false alarms that one sequential family must keep."""
        return self.arl0 * self.n_families


@dataclass(frozen=True, slots=True)
class Noticed:
    """What one family noticed in one closed window.

    `labels` are the noticed columns, by p-value; `threshold` is the p-value at or under which they
    were noticed (with none noticed, what the smallest would have had to reach); `adjusted`
    float[F], in the order given, are p-values to hold against `q`.
    """

    labels: tuple[str, ...]
    threshold: float
    adjusted: Floats
    q: float


def adjust(p_values: Floats) -> Floats:
    """Benjamini-Hochberg adjusted p-values, float64[F] (Benjamini and Hochberg, 1995).

    A NaN (a test that could not be made) stays in the family with p-value 1. ValueError for values
    outside 0..1.
    """
    p = np.where(np.isnan(p_values), 1.0, p_values)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("p-values lie in 0..1")
    n = len(p)
    order = np.argsort(p, kind="stable")
    steps = p[order] * n / np.arange(1, n + 1)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(steps[::-1])[::-1])
    return adjusted


def notice(p_values: Floats, labels: Sequence[str], q: float) -> Noticed:
    """The columns that a closed window notices at rate `q`: Benjamini-Hochberg over p-values
    float64[F] with their labels.

    When nothing drifts any is noticed with probability q at most, exactly q for independent
    continuous p-values (Simes); tests that depend on each other positively, as columns do, keep it.
    """
    if len(p_values) != len(labels):
        raise ValueError("as many labels as p-values are expected")
    if len(p_values) == 0:
        return Noticed((), 0.0, np.zeros(0), q)
    adjusted = adjust(p_values)
    passed = adjusted <= q
    threshold = q * max(1, int(passed.sum())) / len(p_values)
    order = np.argsort(np.where(np.isnan(p_values), 1.0, p_values), kind="stable")
    return Noticed(tuple(labels[i] for i in order if passed[i]), threshold, adjusted, q)


def notice_families(
    families: Mapping[str, tuple[Floats, Sequence[str]]], rate: StatedRate
) -> dict[str, Noticed]:
    """`notice` for every family of a closed window, each at its part of the stated rate.

    ValueError when there are more families than `rate` was split over.
    """
    if len(families) > rate.n_families:
        raise ValueError(f"the rate is split over {rate.n_families} families, not {len(families)}")
    return {name: notice(p, labels, rate.q_per_family) for name, (p, labels) in families.items()}


def per_day(arl0: float, window_s: float) -> float:
    """False notices a day, at one window every `window_s` seconds."""
    if not (arl0 > 0 and window_s > 0):
        raise ValueError("arl0 and window_s must be positive")
    return SECONDS_PER_DAY / (arl0 * window_s)
