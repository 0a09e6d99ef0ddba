"""Live quality through a stretch: as labels showed it, and as estimated before they came."""

import math
from collections.abc import Sequence

import numpy as np

from drift.findings import Floats, QualityHistory
from drift.quality.metrics import METRICS
from schemas.quality import QualityBaseline
from storage.drift_queries import QualityMetric


def quality_of(
    measured: Sequence[QualityMetric], baseline: QualityBaseline | None
) -> tuple[QualityHistory, ...]:
    """Each measure's history, in order of time; costs and such after the well-known measures."""
    by_name: dict[str, list[QualityMetric]] = {}
    for metric in measured:
        by_name.setdefault(metric.measure, []).append(metric)
    known = [name for name in METRICS if name in by_name]
    names = known + sorted(set(by_name) - set(known))
    return tuple(_history(name, by_name[name], baseline) for name in names)


def _history(
    name: str, metrics: Sequence[QualityMetric], baseline: QualityBaseline | None
) -> QualityHistory:
    at_release = None if baseline is None else baseline.measures.get(name)
    estimates = [each.estimate for each in metrics]
    estimated = any(each is not None for each in estimates)
    return QualityHistory(
        name=name,
        reference=_number(None if at_release is None else at_release.value),
        values=_numbers([each.realised for each in metrics]),
        standard_errors=_numbers([each.realised_error for each in metrics]),
        estimates=_numbers(estimates) if estimated else None,
        estimate_errors=_numbers([each.estimate_error for each in metrics]) if estimated else None,
        ends=np.array([each.window_end_ms for each in metrics], dtype=np.int64),
        note=_maturity(metrics),
    )


def _maturity(metrics: Sequence[QualityMetric]) -> str:
    n_scored = sum(each.n_scored for each in metrics)
    if not n_scored:
        return ""
    share = sum(each.n_labelled for each in metrics) / n_scored
    last = metrics[-1].maturity
    return f"Labels have come for {share:.0%} of the rows shown, for {last:.0%} of the last window."


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([_number(each) for each in values], dtype=np.float64)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
