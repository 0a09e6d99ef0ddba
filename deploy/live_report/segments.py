"""Segments in the report: which columns of theirs are drawn, and all of them summed up."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deploy.live_report.findings import findings_of, shown_name
from deploy.live_report.model import WatchedModel
from drift.findings import ColumnHistory, Counts, Level, SegmentSummary, Subject
from drift.reference import Reference
from drift.report.selection import COLUMN_SUBJECTS, MAX_OF_SEGMENTS, MAX_STEADY
from schemas.drift_events import DriftAlert
from storage.client import Client
from storage.drift_report_queries import (
    SegmentColumn,
    SegmentTotals,
    segment_column,
    segment_totals,
)

Tests = Mapping[tuple[str, str], str]
"""By segment and column: the test of its values in the last window."""
NOT_TESTED = "not tested in the last window"


def read_segments(
    client: Client,
    pipeline: str,
    model: WatchedModel,
    *,
    told: Sequence[DriftAlert],
    from_ms: int,
    to_ms: int,
) -> tuple[list[SegmentTotals], list[SegmentColumn]]:
    """What ClickHouse has of all segments in a stretch, and of the few columns that are drawn."""
    columns = model.reference.columns
    totals = segment_totals(
        client,
        pipeline,
        model_version=model.version,
        columns=columns.fingerprint,
        from_ms=from_ms,
        to_ms=to_ms,
    )
    drawn = [
        segment_column(
            client,
            pipeline,
            model_version=model.version,
            columns=columns.fingerprint,
            segment=segment,
            column=column,
            bins=range(int(columns.offsets[column]), int(columns.offsets[column + 1])),
            from_ms=from_ms,
            to_ms=to_ms,
        )
        for segment, column in chosen(totals, told, columns.names)
    ]
    return totals, drawn


def chosen(
    totals: Sequence[SegmentTotals], told: Sequence[DriftAlert], names: Sequence[str]
) -> list[tuple[str, int]]:
    """Segments and columns (by place) to draw: those with alerts first, then by effect; where
    nothing was found, the few with the largest effects."""
    effects = {
        (each.segment, place): effect
        for each in totals
        for place, effect in enumerate(each.psi.tolist())
    }
    by_name = {shown_name(names[place], segment): (segment, place) for segment, place in effects}
    found: dict[tuple[str, int], bool] = {}
    for each in findings_of(told):
        key = by_name.get(each.name)
        if key is not None and each.segment and each.subject in COLUMN_SUBJECTS:
            found[key] = found.get(key, False) or each.level is Level.ALERT
    most = MAX_OF_SEGMENTS if found else MAX_STEADY
    keys = found or effects
    return sorted(keys, key=lambda key: (not found.get(key, False), -effects[key], key))[:most]


def segment_histories(
    reference: Reference, ends_ms: Counts, drawn: Sequence[SegmentColumn], tests: Tests
) -> tuple[ColumnHistory, ...]:
    """The drawn columns on the windows that end at `ends_ms`, int64[W]; those of other segments
    than the reference's are left out."""
    made = []
    for each in drawn:
        own = reference.of_segment(each.segment)
        if own is None:
            continue
        columns = reference.columns
        column = columns[each.column]
        _, here, there = np.intersect1d(ends_ms, each.ends_ms, return_indices=True)
        counts = np.zeros((len(ends_ms), column.n_bins), dtype=np.int64)
        p_values, effects = np.full((2, len(ends_ms)), math.nan)
        counts[here] = each.counts[there]
        p_values[here], effects[here] = each.p_values[there], each.psi[there]
        made.append(
            ColumnHistory(
                name=shown_name(column.name, each.segment),
                subject=subject_of(each.column, len(columns)),
                labels=column.labels,
                reference=columns.of(own.counts, each.column).astype(np.int64),
                windows=counts,
                p_values=p_values,
                effects=effects,
                test=tests.get((each.segment, column.name), NOT_TESTED),
            )
        )
    return tuple(made)


def segment_summaries(
    reference: Reference, totals: Sequence[SegmentTotals]
) -> tuple[SegmentSummary, ...]:
    """Of the segments that the reference has."""
    made = []
    for each in totals:
        own = reference.of_segment(each.segment)
        if own is None:
            continue
        largest = int(each.psi.argmax())
        made.append(
            SegmentSummary(
                name=each.segment,
                n_reference=own.n,
                n_windows=each.n_windows,
                n_rows=each.n_rows,
                column=reference.columns.names[largest],
                effect=_finite(each.psi[largest]),
                p_value=_finite(each.p_values.min()),
            )
        )
    return tuple(made)


def subject_of(column: int, n_columns: int) -> Subject:
    """The score is the last column."""
    return Subject.SCORE if column == n_columns - 1 else Subject.FEATURE


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan
