"""The report of a live system, from the rows of its log and the reference in the model store."""

from collections.abc import Sequence
from itertools import groupby, pairwise

import numpy as np

from deploy.live_report.findings import findings_of
from deploy.live_report.model import WatchedModel
from deploy.live_report.quality import quality_of
from deploy.live_report.rows import LiveRows
from deploy.live_report.segments import (
    NOT_TESTED,
    Tests,
    segment_histories,
    segment_summaries,
    subject_of,
)
from drift.findings import ColumnHistory, LiveFacts, ScanReport
from drift.reference import Reference
from storage.drift_tables import DriftWindow

BESIDE = frozenset({"null_rate", "unseen_rate", "e_sr", "adwin"})
"""Detectors that a column has beside the test of its values in every window."""


def build_report(pipeline: str, model: WatchedModel, rows: LiveRows) -> ScanReport:
    """Everything that the windows of `rows` show, in event time.

    Windows over other columns than the reference's are left out, and a warning says so. Raises
    ValueError where no window is left.
    """
    reference = model.reference
    windows = [each for each in rows.windows if _fits(each, reference)]
    if not windows:
        raise ValueError(
            f"its {len(rows.windows)} windows were counted over other columns than those of the"
            " reference in the model store: the model was made anew under the same version"
        )
    bounds = np.array([(each.window_start_ms, each.window_end_ms) for each in windows], np.int64)
    n_rows = np.array([each.n_rows for each in windows])
    window_rows = max(1, int(np.median(n_rows)))
    tests = {
        (each.segment, each.name): each.detector
        for each in rows.answers
        if each.detector not in BESIDE
    }
    return ScanReport(
        title=f"{pipeline}, model {model.version}",
        n_rows=int(n_rows.sum()),
        n_reference=reference.n,
        window_rows=window_rows,
        arl0=windows[-1].arl0,
        bounds=bounds,
        columns=_histories(reference, windows, tests),
        findings=findings_of(rows.told),
        warnings=_warnings(reference, window_rows, rows.windows, windows),
        quality=quality_of(rows.quality, model.baseline),
        details=_details(pipeline, model, windows),
        live=LiveFacts(
            window_ms=int(bounds[-1, 1] - bounds[-1, 0]),
            n_significant=sum(each.n_noticed > 0 for each in windows),
            decisions=tuple(rows.decisions),
            requests=tuple(rows.requests),
        ),
        segments=segment_summaries(reference, rows.segments),
        segment_columns=segment_histories(reference, bounds[:, 1], rows.segment_columns, tests),
    )


def _fits(window: DriftWindow, reference: Reference) -> bool:
    columns = reference.columns
    sizes = len(window.counts), len(window.psi), len(window.p_values)
    return (window.columns, *sizes) == (
        columns.fingerprint,
        columns.n_bins,
        len(columns),
        len(columns),
    )


def _histories(
    reference: Reference, windows: Sequence[DriftWindow], tests: Tests
) -> tuple[ColumnHistory, ...]:
    columns = reference.columns
    counts = np.stack([each.counts for each in windows])
    p_values = np.stack([each.p_values for each in windows])
    psi = np.stack([each.psi for each in windows])
    return tuple(
        ColumnHistory(
            name=column.name,
            subject=subject_of(i, len(columns)),
            labels=column.labels,
            reference=columns.of(reference.counts, i).astype(np.int64),
            windows=columns.of(counts, i).astype(np.int64),
            p_values=p_values[:, i],
            effects=psi[:, i],
            test=tests.get(("", column.name), NOT_TESTED),
        )
        for i, column in enumerate(columns)
    )


def _warnings(
    reference: Reference,
    window_rows: int,
    found: Sequence[DriftWindow],
    windows: Sequence[DriftWindow],
) -> tuple[str, ...]:
    warnings = list(reference.warnings(window_rows))
    if len(windows) < len(found):
        warnings.append(
            f"{len(found) - len(windows)} of {len(found)} windows are left out: they were counted"
            " over other columns than the reference's"
        )
    rates = [rate for rate, _ in groupby(each.arl0 for each in windows)]
    if len(rates) > 1:
        told = ", then ".join(f"{rate:,.0f}" for rate in rates[-4:])
        warnings.append(
            f"the stated rate changed on the way: one false notice in {told} windows; figures"
            " below are by the last"
        )
    return tuple(warnings)


def _details(pipeline: str, model: WatchedModel, windows: Sequence[DriftWindow]) -> dict[str, str]:
    reference = model.reference
    n_gaps = sum(
        before.window_end_ms < after.window_start_ms for before, after in pairwise(windows)
    )
    return {
        "pipeline": pipeline,
        "model": model.version + (" (the champion)" if model.is_champion else ""),
        "reference": f"{reference.fingerprint[:12]}, {len(reference.columns)} columns",
        "gaps": f"{n_gaps} between windows, where no rows came, or too few to be tested",
    }
