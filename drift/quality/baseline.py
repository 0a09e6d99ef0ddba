"""What a model's quality was at its release, from the rows that training held out."""

import math

import numpy as np
import numpy.typing as npt

from drift.quality.calibration import (
    Calibrator,
    Identity,
    Isotonic,
    Platt,
    choose_calibrator,
)
from drift.quality.ranking import FloatArray
from drift.quality.windows import LabelledRows, measure_quality
from drift.stream.baseline import Baseline
from schemas.quality import (
    Calibration,
    ErrorLevel,
    IdentityCalibration,
    IsotonicCalibration,
    Measured,
    PlattCalibration,
    QualityBaseline,
)


def measure_baseline(
    labels: FloatArray,
    scores: FloatArray,
    *,
    threshold: float,
    generator: np.random.Generator,
) -> QualityBaseline:
    """The baseline of held-out rows, oldest first: labels float64[n] of 0 and 1, scores in 0..1.

    `generator` draws the folds that choose the calibration; too few rows of a class choose none.
    Raises ValueError for no rows, and as `LabelledRows` does.
    """
    if not len(labels):
        raise ValueError("no rows to measure a baseline on")
    flagged = scores >= threshold
    groups = np.zeros(len(labels), dtype=np.int64)
    (quality,) = measure_quality(
        LabelledRows(labels=labels, scores=scores, flagged=flagged, groups=groups),
        n_scored=[len(labels)],
    )
    return QualityBaseline(
        threshold=threshold,
        n_rows=len(labels),
        n_positive=quality.n_positive,
        n_flagged=int(flagged.sum()),
        errors=_level(flagged != (labels > 0.5)),
        positives=_level(labels > 0.5),
        measures={
            name: Measured(_finite(each.value), _finite(each.standard_error))
            for name, each in quality.metrics.items()
        },
        calibration=_calibration(labels, scores, generator),
    )


def calibrator_of(baseline: QualityBaseline) -> Calibrator | None:
    """The calibrator that estimates quality (`estimate_quality`); None where there is none."""
    match baseline.calibration:
        case None:
            return None
        case IdentityCalibration(covariance=covariance):
            return Identity(covariance)
        case PlattCalibration(slope=slope, offset=offset, covariance=covariance):
            return Platt(slope, offset, covariance)
        case IsotonicCalibration(starts=starts, values=values, weights=weights):
            return Isotonic(np.array(starts), np.array(values), np.array(weights))


def error_baseline(baseline: QualityBaseline) -> Baseline:
    """What `drift.stream.cusum.Cusum` is to hold the errors of labelled rows against."""
    errors = baseline.errors
    return Baseline(errors.block, errors.rate, errors.block_std, errors.skewness, errors.n_rows)


def _level(happened: npt.NDArray[np.bool_]) -> ErrorLevel:
    """Measured on the rows' own order, for errors come in runs; at least as spread as the binomial.

    The rate has half an error and half a hit added (Krichevsky and Trofimov): that none of 200 rows
    was wrong does not make the first error to come an impossible one.
    """
    n = len(happened)
    rate = (float(happened.sum()) + 0.5) / (n + 1)
    try:
        measured = Baseline.measure(happened.astype(np.float64))
    except ValueError:  # fewer rows than two blocks
        measured = Baseline.of_rate(rate, block=32, n_rows=n)
    independent = Baseline.of_rate(rate, block=measured.block, n_rows=n)
    return ErrorLevel(
        rate=rate,
        block=measured.block,
        block_std=max(measured.block_std, independent.block_std),
        skewness=max(measured.skewness, independent.skewness),
        n_rows=n,
    )


def _calibration(
    labels: FloatArray, scores: FloatArray, generator: np.random.Generator
) -> Calibration | None:
    try:
        chosen = choose_calibrator(scores, labels, generator=generator)
    except ValueError:
        return None
    match chosen:
        case Identity(covariance=covariance):
            return IdentityCalibration(covariance)
        case Platt(slope=slope, offset=offset, covariance=covariance):
            return PlattCalibration(slope, offset, covariance)
        case Isotonic(starts=starts, values=values, weights=weights):
            return IsotonicCalibration(
                tuple(starts.tolist()), tuple(values.tolist()), tuple(weights.tolist())
            )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
