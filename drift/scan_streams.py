"""The stream detectors of a scan: ADWIN on every column's mean, CUSUM on the labelled error."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drift.change_point import split_means
from drift.families import StatedRate
from drift.findings import Subject
from drift.result import Result
from drift.rows import Rows, ScanOptions
from drift.stream.adwin import Adwin
from drift.stream.baseline import Baseline
from drift.stream.contract import StreamDetector
from drift.stream.cusum import Cusum

MIN_BASELINE_ROWS = 64
HISTORY_WINDOWS = 20
MAX_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class StreamFinding:
    """An alarm at `row` of the scan; `scale` is for `AlertBands.level`."""

    row: int
    subject: Subject
    name: str
    result: Result
    scale: float
    change_point_row: int | None


@dataclass(slots=True)
class Streams:
    """Alarms of all streams; `restless` are columns that alarm within the reference already, so
    that they could not keep a stated rate (days, campaigns), and are not watched row by row."""

    findings: list[StreamFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    restless: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> tuple[str, ...]:
        if not self.restless:
            return tuple(self.notes)
        names = ", ".join(self.restless[:8]) + (" ..." if len(self.restless) > 8 else "")
        return (
            *self.notes,
            f"the reference moves by itself in {names}: tested by windows, not row by row",
        )


def watch_streams(
    rows: Rows,
    options: ScanOptions,
    rate: StatedRate,
    columns: Mapping[str, tuple[Subject, NDArray[np.float32]]],
) -> Streams:
    """Watch `columns` (subject and values float32[n] by name) and, with labels and scores, errors.

    ADWIN shares one family's rate among the columns; errors are a family of their own.
    """
    streams = Streams()
    arl0_rows = rate.sequential_arl0 * options.window_rows
    for name, (subject, values) in columns.items():
        _watch(streams, options, (subject, name), values, arl0_rows * len(columns))
    if rows.labels is not None and rows.scores is not None:
        flagged = rows.scores >= options.threshold
        wrong = np.where(rows.labels < 0, np.nan, (flagged != rows.labels).astype(np.float32))
        _watch(streams, options, (Subject.QUALITY, "error_rate"), wrong, arl0_rows)
    return streams


def _watch(
    streams: Streams,
    options: ScanOptions,
    what: tuple[Subject, str],
    values: NDArray[np.floating],
    arl0_rows: float,
) -> None:
    subject, name = what
    there = np.flatnonzero(np.isfinite(values))
    n_before = int((there < options.n_reference).sum())
    if n_before < MIN_BASELINE_ROWS:
        streams.notes.append(
            f"{name}: {n_before} values in the reference are too few to watch its mean; under"
            f" {MIN_BASELINE_ROWS}"
        )
        return
    present = values[there].astype(np.float64)
    reference = present[:n_before]
    detector, scale = _detector(subject, reference, arl0_rows)
    if detector.update(reference):
        streams.restless.append(name)
        return
    detector, scale = _detector(subject, reference, arl0_rows)
    for alarm in detector.update(present[n_before:]):
        row = int(there[n_before + alarm.row])
        streams.findings.append(
            StreamFinding(
                row=row + 1,
                subject=subject,
                name=name,
                result=alarm.result,
                scale=scale,
                change_point_row=_change_row(there, present, n_before + alarm.row, options),
            )
        )


def _detector(
    subject: Subject, reference: NDArray[np.float64], arl0_rows: float
) -> tuple[StreamDetector, float]:
    """The detector, and what its effects are held against: a spread, or the rate of errors."""
    if subject is not Subject.QUALITY:
        spread = float(reference.std()) or 1.0
        return Adwin(Baseline.measure(reference), arl0_rows=arl0_rows), spread
    rate = float(reference.mean())
    if 0 < rate < 1:
        return Cusum(Baseline.measure(reference), arl0_rows=arl0_rows), rate
    # No error at all in the reference: half of one, so that there is a level to rise from.
    rate = (reference.sum() + 0.5) / (len(reference) + 1)
    baseline = Baseline.of_rate(rate, block=32, n_rows=len(reference))
    return Cusum(baseline, arl0_rows=arl0_rows), rate


def _change_row(
    there: NDArray[np.int64], values: NDArray[np.float64], last: int, options: ScanOptions
) -> int | None:
    """Most likely first row after the change, among the last windows up to value `last`."""
    begin = max(0, last + 1 - HISTORY_WINDOWS * options.window_rows)
    step = max(1, (last + 1 - begin) // MAX_ENTRIES)
    begin = last + 1 - (last + 1 - begin) // step * step
    means = values[begin : last + 1].reshape(-1, step).mean(axis=1)
    edge = max(2, len(means) // 50)
    if len(means) < 4 * edge:
        return None
    index = split_means(means, min_entries=edge).index
    return int(there[begin + index * step])
