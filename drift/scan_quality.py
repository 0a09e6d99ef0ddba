"""Quality of a scan's windows: realised where rows have labels, estimated from scores (CBPE)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drift.columns import Counts
from drift.findings import QualityHistory
from drift.quality.calibration import Calibrator, choose_calibrator
from drift.quality.cbpe import estimate_quality
from drift.quality.estimate import Estimate
from drift.quality.windows import LabelledRows, measure_quality
from drift.rows import Rows, ScanOptions

MEASURES = ("precision", "recall", "f1", "roc_auc", "average_precision", "brier", "log_loss")


def quality_history(rows: Rows, options: ScanOptions, bounds: Counts) -> tuple[QualityHistory, ...]:
    """Every measure through the windows int64[W, 2]; empty without labels and scores in 0..1."""
    if rows.labels is None or rows.scores is None or not len(bounds):
        return ()
    scores = rows.scores.astype(np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        return ()
    groups = np.full(len(rows), -1, dtype=np.int64)
    groups[: options.n_reference] = 0
    for window, (begin, end) in enumerate(bounds):
        groups[begin:end] = window + 1
    n_groups = len(bounds) + 1
    realised = _realised(rows, scores, groups, n_groups, options.threshold)
    estimated = _estimated(rows, scores, groups, n_groups, options)
    return tuple(
        QualityHistory(
            name=name,
            reference=float(realised[name][0, 0]),
            values=realised[name][1:, 0],
            standard_errors=realised[name][1:, 1],
            estimates=None if estimated is None else estimated[name][1:, 0],
            estimate_errors=None if estimated is None else estimated[name][1:, 1],
        )
        for name in MEASURES
    )


def _realised(
    rows: Rows,
    scores: NDArray[np.float64],
    groups: NDArray[np.int64],
    n_groups: int,
    threshold: float,
) -> dict[str, NDArray[np.float64]]:
    assert rows.labels is not None
    labelled = (rows.labels >= 0) & (groups >= 0)
    quality = measure_quality(
        LabelledRows(
            labels=rows.labels[labelled].astype(np.float64),
            scores=scores[labelled],
            flagged=scores[labelled] >= threshold,
            groups=groups[labelled],
        ),
        n_scored=np.bincount(groups[groups >= 0], minlength=n_groups),
    )
    return _table([each.metrics for each in quality])


def _estimated(
    rows: Rows,
    scores: NDArray[np.float64],
    groups: NDArray[np.int64],
    n_groups: int,
    options: ScanOptions,
) -> dict[str, NDArray[np.float64]] | None:
    calibrator = _calibrator(rows, scores, options)
    if calibrator is None:
        return None
    inside = groups >= 0
    estimates = estimate_quality(
        scores[inside],
        scores[inside] >= options.threshold,
        groups[inside],
        n_groups=n_groups,
        calibrator=calibrator,
    )
    return _table([each.metrics for each in estimates])


def _calibrator(rows: Rows, scores: NDArray[np.float64], options: ScanOptions) -> Calibrator | None:
    """Fitted on the reference; None where it has too few labels of a class."""
    assert rows.labels is not None
    n = options.n_reference
    known = rows.labels[:n] >= 0
    try:
        return choose_calibrator(
            scores[:n][known],
            rows.labels[:n][known].astype(np.float64),
            generator=np.random.default_rng(options.seed),
        )
    except ValueError:
        return None


def _table(metrics: Sequence[Mapping[str, Estimate]]) -> dict[str, NDArray[np.float64]]:
    """float64[G, 2] by measure: value and standard error."""
    unknown = (np.nan, np.nan)
    return {
        name: np.array(
            [
                (found.value, found.standard_error) if (found := each.get(name)) else unknown
                for each in metrics
            ]
        )
        for name in MEASURES
    }
