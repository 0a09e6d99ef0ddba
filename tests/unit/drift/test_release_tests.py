"""A window against release: areas are held against each other where both have positives enough."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from drift.quality.estimate import Estimate
from drift.quality.release_tests import MIN_POSITIVES, MIN_RELEASE_POSITIVES, release_tests
from drift.quality.windows import LabelledRows, measure_quality
from schemas.quality import ErrorLevel, Measured, QualityBaseline

NEGATIVES = 10
"""For each positive."""

Floats = npt.NDArray[np.float64]


def drawn(
    rng: np.random.Generator, n_sets: int, n_positive: int, separation: float = 1.8
) -> tuple[Floats, Floats]:
    """Labels and scores, float64[n_sets, n]; `separation` of the classes in standard deviations."""
    labels = np.tile(np.r_[np.ones(n_positive), np.zeros(NEGATIVES * n_positive)], (n_sets, 1))
    x = rng.normal(size=labels.shape) + separation * labels
    return labels, 1 / (1 + np.exp(4 - separation * x))


def measured(labels: Floats, scores: Floats) -> list[Mapping[str, Estimate]]:
    """Of each set."""
    groups = np.repeat(np.arange(len(labels)), labels.shape[1])
    rows = LabelledRows(labels.ravel(), scores.ravel(), scores.ravel() > 0.5, groups)
    found = measure_quality(rows, n_scored=[labels.shape[1]] * len(labels))
    return [each.metrics for each in found]


def baseline(n_positive: int, metrics: Mapping[str, Estimate]) -> QualityBaseline:
    n = n_positive * (1 + NEGATIVES)
    spread = math.sqrt(0.1 * 0.9)
    values = {
        name: Measured(each.value, each.standard_error)
        if math.isfinite(each.value)
        else Measured(None, None)
        for name, each in metrics.items()
    }
    return QualityBaseline(
        threshold=0.5,
        n_rows=n,
        n_positive=n_positive,
        errors=ErrorLevel(rate=0.1, block=1, block_std=spread, skewness=0.0, n_rows=n),
        measures=values,
    )


@pytest.mark.parametrize("name", list(MIN_RELEASE_POSITIVES))
@pytest.mark.parametrize(("less_release", "less_window"), [(0, 0), (1, 0), (0, 1)])
def test_an_area_of_few_positives_is_not_tested(
    name: str, less_release: int, less_window: int
) -> None:
    rng, n_release = np.random.default_rng(1), MIN_RELEASE_POSITIVES[name] - less_release
    (release,) = measured(*drawn(rng, 1, n_release))
    labels, scores = drawn(rng, 1, MIN_POSITIVES - less_window)
    (window,) = measured(labels, scores)
    flagged = (scores[0] > 0.5).astype(np.float64)
    found = release_tests(baseline(n_release, release), labels[0], flagged, window)
    assert (name in {each.name for each in found}) == (less_release == less_window == 0)


@pytest.mark.parametrize("separation", [1.8, 3.0])
@pytest.mark.parametrize("name", list(MIN_RELEASE_POSITIVES))
def test_an_area_of_the_fewest_positives_that_are_tested_keeps_the_stated_rate(
    name: str, separation: float
) -> None:
    """Over as many releases as windows, for the noise of one release is in all its windows."""
    n_pairs, q, rng = 1500, 0.01, np.random.default_rng(2)
    n_release = MIN_RELEASE_POSITIVES[name]
    releases = measured(*drawn(rng, n_pairs, n_release, separation))
    labels, scores = drawn(rng, n_pairs, MIN_POSITIVES, separation)
    n_noticed = 0
    for i, (release, window) in enumerate(zip(releases, measured(labels, scores), strict=True)):
        flagged = (scores[i] > 0.5).astype(np.float64)
        tests = release_tests(baseline(n_release, release), labels[i], flagged, window)
        n_noticed += any(each.name == name and each.p_value <= q for each in tests)
    assert n_noticed <= binom.ppf(0.999, n_pairs, 1.5 * q)


def test_precision_is_not_tested_against_a_release_that_does_not_say_how_many_it_flagged() -> None:
    """`quality.json` had no `n_flagged` at first."""
    rng = np.random.default_rng(3)
    (release,) = measured(*drawn(rng, 1, 50))
    labels, scores = drawn(rng, 1, 50)
    (window,) = measured(labels, scores)
    found = release_tests(baseline(50, release), labels[0], np.ones(len(labels[0])), window)
    assert "precision" not in {each.name for each in found}
    assert "recall" in {each.name for each in found}
