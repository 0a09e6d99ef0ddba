"""Is a labelled window worse than the model was at release? A p-value for each measure.

Rates (precision, recall, the rate of positives) are compared by Fisher's exact test, for flagged
rows are few and the normal form raised 2 to 4 times the stated false alarms at 0.001; areas (ROC
AUC, average precision) on the logit scale, for near 1 their errors are lopsided (0 and 0.8 times);
the Brier score by its own errors (0.1 to 0.4 times). So with 12,000 held-out rows, 2% of them
positive, windows of 2,000 and the threshold chosen on the held-out rows; realised over nominal of
all of them: 0.1 to 1.25. Each side of a comparison counts as so many rows as its dispersion leaves
independent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drift.quality.estimate import Estimate
from drift.quality.ranking import FloatArray
from schemas.quality import Measured, QualityBaseline

MIN_POSITIVES = 20
"""Of a window: fewer positives, or negatives, say nothing of areas: their errors are themselves
unknown."""
MIN_RELEASE_POSITIVES = {"roc_auc": 80, "average_precision": 40}
"""Of the held-out rows, by area: with fewer, notices come oftener than stated."""


@dataclass(frozen=True, slots=True)
class ReleaseTest:
    """One measure of a window against release.

    `p_value` of being no worse (of the label rate: no other). `effect` is the window's `value` less
    `at_release`; `scale` is what was wrong at release already, which makes an effect large or not.
    """

    name: str
    value: float
    at_release: float
    p_value: float
    effect: float
    scale: float
    n_reference: int
    n_window: int


def release_tests(
    baseline: QualityBaseline,
    labels: FloatArray,
    flagged: FloatArray,
    metrics: Mapping[str, Estimate],
) -> list[ReleaseTest]:
    """Of labelled rows, float64[n] of 0 and 1, and their `metrics`; those that both sides allow."""
    tests = [
        _precision(baseline, labels, flagged),
        _recall(baseline, labels, flagged),
        _label_rate(baseline, labels),
    ]
    if _fewest(int(labels.sum()), len(labels)) >= MIN_POSITIVES:
        n_release = _fewest(baseline.n_positive, baseline.n_rows)
        tests += [
            _area(baseline, name, metrics)
            for name, fewest in MIN_RELEASE_POSITIVES.items()
            if n_release >= fewest
        ]
    tests.append(_brier(baseline, metrics))
    n = len(labels)
    return [
        ReleaseTest(
            name=each.name,
            value=each.value,
            at_release=each.at_release,
            p_value=each.p_value,
            effect=each.value - each.at_release,
            scale=each.scale,
            n_reference=baseline.n_rows,
            n_window=n,
        )
        for each in tests
        if each is not None
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    value: float
    at_release: float
    p_value: float
    scale: float


def _precision(baseline: QualityBaseline, labels: FloatArray, flagged: FloatArray) -> _Found | None:
    before = baseline.measures["precision"].value
    if before is None or not baseline.n_flagged or not flagged.any():
        return None
    release = before * baseline.n_flagged, float(baseline.n_flagged)
    window = float(labels @ flagged), float(flagged.sum())
    return _fewer("precision", release, window, baseline.dispersion)


def _recall(baseline: QualityBaseline, labels: FloatArray, flagged: FloatArray) -> _Found | None:
    before = baseline.measures["recall"].value
    if before is None or not labels.any():
        return None
    release = before * baseline.n_positive, float(baseline.n_positive)
    window = float(labels @ flagged), float(labels.sum())
    return _fewer("recall", release, window, baseline.dispersion)


def _label_rate(baseline: QualityBaseline, labels: FloatArray) -> _Found:
    release = float(baseline.n_positive), float(baseline.n_rows)
    window = float(labels.sum()), float(len(labels))
    before, now = release[0] / release[1], window[0] / window[1]
    low, high = _fisher(release, window, baseline.label_dispersion)
    return _Found("label_rate", now, before, min(1.0, 2 * min(low, high)), before)


def _fewer(
    name: str, release: tuple[float, float], window: tuple[float, float], dispersion: float
) -> _Found:
    """Hits out of trials on both sides: is the window's rate lower?"""
    before, now = release[0] / release[1], window[0] / window[1]
    return _Found(name, now, before, _fisher(release, window, dispersion)[0], 1 - before)


def _fisher(
    release: tuple[float, float], window: tuple[float, float], dispersion: float
) -> tuple[float, float]:
    """P-values of so few hits in the window, and of so many, given those of both together."""
    from scipy.stats import hypergeom

    k0, n0, k1, n1 = (round(each / dispersion) for each in (*release, *window))
    k0, k1 = min(k0, n0), min(k1, n1)
    if min(n0, n1) == 0:
        return 1.0, 1.0
    law = hypergeom(n0 + n1, k0 + k1, n1)
    return float(law.cdf(k1)), float(law.sf(k1 - 1))


def _area(baseline: QualityBaseline, name: str, metrics: Mapping[str, Estimate]) -> _Found | None:
    sides = _sides(baseline.measures[name], metrics[name])
    if sides is None:
        return None
    (before, before_error), (now, now_error) = sides
    if not (0 < before < 1 and 0 < now < 1):
        return None
    error = math.hypot(before_error / (before * (1 - before)), now_error / (now * (1 - now)))
    if error == 0:
        return None
    z = (_logit(before) - _logit(now)) / (error * math.sqrt(baseline.dispersion))
    return _Found(name, now, before, _upper_tail(z), 1 - before)


def _brier(baseline: QualityBaseline, metrics: Mapping[str, Estimate]) -> _Found | None:
    sides = _sides(baseline.measures["brier"], metrics["brier"])
    if sides is None:
        return None
    (before, before_error), (now, now_error) = sides
    error = math.hypot(before_error, now_error) * math.sqrt(baseline.dispersion)
    if error == 0:
        return None
    return _Found("brier", now, before, _upper_tail((now - before) / error), before)


def _fewest(n_positive: int, n_rows: int) -> int:
    """Rows of the rarer class."""
    return min(n_positive, n_rows - n_positive)


def _sides(
    release: Measured, window: Estimate
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    if release.value is None or release.standard_error is None or not np.isfinite(window.value):
        return None
    return (release.value, release.standard_error), (window.value, window.standard_error)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
