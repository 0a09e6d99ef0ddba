"""What is logged of drift, as Arrow tables, and its writer; inserting again changes nothing.

Attributes that end in `_ms` are integer milliseconds; their columns are times without that ending.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.drift_events import (
    AlertKind,
    AlertLevel,
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
    finite,
)
from storage.client import Client
from storage.log_tables import EARLIEST_MS, LATEST_MS, UTC_MS

TEXT, REAL, COUNT, TEXTS = pa.string(), pa.float64(), pa.int64(), pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class DriftMetric:
    """One detector's answer for one column, segment and closed window of one model version.

    `segment` is "" for all rows. `noticed` at the stated rate; `level` is None where it was not.
    """

    pipeline: str
    model_version: str
    window_start_ms: int
    window_end_ms: int
    segment: str
    kind: AlertKind
    name: str
    detector: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect: float | None
    n_reference: int
    n_window: int
    noticed: bool
    level: AlertLevel | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DriftWindow:
    """A closed window of one model version and segment ("" for all rows), as it was held against
    the reference.

    `columns` is the fingerprint of the reference's columns, in whose order `counts` int64[n_bins]
    (as `Reference.counts`), `psi` float64[n_columns] (corrected for chance) and `p_values`
    float64[n_columns] (each the smallest of a column's tests) lie; NaN is kept. `e_value` is e-SR's
    evidence after the window, None where none is kept. `arl0`: the stated rate in force.
    `n_noticed` answers of detectors were noticed at it.
    """

    pipeline: str
    model_version: str
    window_start_ms: int
    window_end_ms: int
    segment: str
    columns: str
    n_rows: int
    counts: NDArray[np.int64]
    psi: NDArray[np.float64]
    p_values: NDArray[np.float64]
    e_value: float | None
    arl0: float
    n_noticed: int


class QualitySource(StrEnum):
    """Whether a measure was computed with labels or estimated without them."""

    REALISED = "realised"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class QualityMeasurement:
    """One measure (precision, roc_auc, ...) of one segment and window, by one source.

    `n_labelled` of `n_scored` rows had their label at `measured_at_ms`; a later measurement of the
    same replaces this one. `value` is None or not finite where the rows have no answer.
    """

    pipeline: str
    model_version: str
    window_start_ms: int
    window_end_ms: int
    segment: str
    measure: str
    source: QualitySource
    value: float | None
    standard_error: float | None
    n_scored: int
    n_labelled: int
    measured_at_ms: int


class DriftLog:
    """Writes what detectors, the label join and the policy have to say, of any pipeline.

    The tables must be there (`storage.migrate`). An insert is in them when it returns; when it
    raises, any part of it may be: insert again. Of a metric, a window, an alert's state and a
    decision the first insert shows; of a measure of quality the latest measurement.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert_metrics(self, metrics: Sequence[DriftMetric]) -> None:
        self._insert("drift_metric_log", metrics_table(metrics))

    def insert_windows(self, windows: Sequence[DriftWindow]) -> None:
        self._insert("drift_window_log", windows_table(windows))

    def insert_alerts(self, alerts: Sequence[DriftAlert]) -> None:
        self._insert("drift_alert_log", alerts_table(alerts))

    def insert_quality(self, measurements: Sequence[QualityMeasurement]) -> None:
        self._insert("quality_log", quality_table(measurements))

    def insert_decisions(self, decisions: Sequence[RetrainingDecision]) -> None:
        self._insert("retraining_decision_log", decisions_table(decisions))

    def insert_requests(self, requests: Sequence[RetrainingRequest]) -> None:
        self._insert("retraining_request_log", requests_table(requests))

    def _insert(self, table: str, rows: pa.Table) -> None:
        if rows.num_rows:
            self._client.insert(table, rows)


_WINDOW_TYPES = {
    "pipeline": TEXT,
    "model_version": TEXT,
    "window_start_ms": UTC_MS,
    "window_end_ms": UTC_MS,
    "segment": TEXT,
}

_RESULT_TYPES = {
    "kind": TEXT,
    "name": TEXT,
    "detector": TEXT,
    "statistic": REAL,
    "threshold": REAL,
    "p_value": REAL,
    "effect": REAL,
    "n_reference": COUNT,
    "n_window": COUNT,
    "level": TEXT,
}

_METRIC_TYPES = _WINDOW_TYPES | _RESULT_TYPES | {"noticed": pa.bool_()}

_CLOSED_TYPES = _WINDOW_TYPES | {
    "columns": TEXT,
    "n_rows": COUNT,
    "e_value": REAL,
    "arl0": REAL,
    "n_noticed": COUNT,
}

_ALERT_TYPES = (
    _WINDOW_TYPES
    | _RESULT_TYPES
    | {
        "alert_id": TEXT,
        "state": TEXT,
        "effect_unit": TEXT,
        "opened_at_ms": UTC_MS,
        "updated_at_ms": UTC_MS,
        "change_point_ms": UTC_MS,
        "n_windows": COUNT,
        "sentence": TEXT,
    }
)

_QUALITY_TYPES = _WINDOW_TYPES | {
    "measure": TEXT,
    "source": TEXT,
    "value": REAL,
    "standard_error": REAL,
    "n_scored": COUNT,
    "n_labelled": COUNT,
    "measured_at_ms": UTC_MS,
}

_DECISION_TYPES = {
    "pipeline": TEXT,
    "decision_id": TEXT,
    "decided_at_ms": UTC_MS,
    "requested": pa.bool_(),
    "reasons": TEXTS,
    "alert_ids": TEXTS,
    "request_id": TEXT,
}

_REQUEST_TYPES = {
    "pipeline": TEXT,
    "request_id": TEXT,
    "champion_version": TEXT,
    "reason": TEXT,
    "alert_ids": TEXTS,
    "training_from_ms": UTC_MS,
    "training_to_ms": UTC_MS,
    "requested_at_ms": UTC_MS,
    "n_labelled_since": COUNT,
}


def metrics_table(metrics: Sequence[DriftMetric]) -> pa.Table:
    """Rows of `drift_metric_log`."""
    return pa.table(_columns(metrics, _METRIC_TYPES))


def windows_table(windows: Sequence[DriftWindow]) -> pa.Table:
    """Rows of `drift_window_log`."""
    return pa.table(
        _columns(windows, _CLOSED_TYPES)
        | {
            "counts": pa.array([each.counts for each in windows], pa.list_(COUNT)),
            "psi": pa.array([each.psi for each in windows], pa.list_(REAL)),
            "p_value": pa.array([each.p_values for each in windows], pa.list_(REAL)),
        }
    )


def alerts_table(alerts: Sequence[DriftAlert]) -> pa.Table:
    """Rows of `drift_alert_log`."""
    names = [[name for name, _ in alert.contributions] for alert in alerts]
    shares = [[share for _, share in alert.contributions] for alert in alerts]
    return pa.table(
        _columns(alerts, _ALERT_TYPES)
        | {
            "contribution_names": pa.array(names, TEXTS),
            "contribution_shares": pa.array(shares, pa.list_(REAL)),
        }
    )


def quality_table(measurements: Sequence[QualityMeasurement]) -> pa.Table:
    """Rows of `quality_log`."""
    return pa.table(_columns(measurements, _QUALITY_TYPES))


def decisions_table(decisions: Sequence[RetrainingDecision]) -> pa.Table:
    """Rows of `retraining_decision_log`."""
    policies = [msgspec.json.encode(decision.policy).decode() for decision in decisions]
    return pa.table(_columns(decisions, _DECISION_TYPES) | {"policy": pa.array(policies, TEXT)})


def requests_table(requests: Sequence[RetrainingRequest]) -> pa.Table:
    """Rows of `retraining_request_log`."""
    return pa.table(_columns(requests, _REQUEST_TYPES))


def _columns(rows: Sequence[object], types: Mapping[str, pa.DataType]) -> dict[str, pa.Array]:
    """The attributes of `rows` that `types` names, each as a column."""
    return {
        name.removesuffix("_ms"): _column((getattr(row, name) for row in rows), kind)
        for name, kind in types.items()
    }


def _column(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if kind == UTC_MS:
        # A time that ClickHouse cannot hold is logged as the nearest that it can.
        held = [None if ms is None else min(max(ms, EARLIEST_MS), LATEST_MS) for ms in values]
        return pa.array(held, pa.int64()).cast(UTC_MS)
    if kind == REAL:
        return pa.array([finite(value) for value in values], REAL)
    if kind == TEXT:
        return pa.array([value or "" for value in values], TEXT)
    return pa.array(list(values), kind)
