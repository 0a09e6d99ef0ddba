"""What a monitor says: findings, and the history they stand in (for reports and messages)."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from drift.result import Result
from schemas.drift_events import RetrainingDecision, RetrainingRequest

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Level(StrEnum):
    """A notice is significant at the stated rate; an alert is significant and large."""

    NOTICE = "notice"
    ALERT = "alert"


class Subject(StrEnum):
    """What a finding is about."""

    FEATURE = "feature"
    SCORE = "score"
    LABEL = "label"
    QUALITY = "quality"
    MULTIVARIATE = "multivariate"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something moved. `row` is where that was known: the end of the window, or the event.

    `change_point_row` is the maximum-likelihood estimate of the first row after the change, None
    where history is too short for one. `contributions` are columns and their shares of the
    statistic, largest first, for a finding about several columns.
    """

    row: int
    level: Level
    subject: Subject
    name: str
    result: Result
    sentence: str
    change_point_row: int | None = None
    contributions: tuple[tuple[str, float], ...] = ()
    segment: str = ""


@dataclass(frozen=True, slots=True)
class ColumnHistory:
    """One column through all windows.

    `labels` name its B bins; `reference` is int64[B], `windows` int64[W, B]; `p_values` and
    `effects` (PSI, corrected for chance) are float64[W]. `test` names the test that the data asked
    for, and `note` says why where it is not the plain one.
    """

    name: str
    subject: Subject
    labels: tuple[str, ...]
    reference: Counts
    windows: Counts
    p_values: Floats
    effects: Floats
    test: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """A segment through all windows: its rows in the reference, its windows that were tested and
    the rows in them, the `column` with the largest effect (PSI), that effect, and the smallest
    p-value of any."""

    name: str
    n_reference: int
    n_windows: int
    n_rows: int
    column: str
    effect: float
    p_value: float


@dataclass(frozen=True, slots=True)
class QualityHistory:
    """A measure of labelled rows through all windows; NaN where it is not defined.

    `estimates` are what was expected from scores alone (CBPE), with their standard errors. `ends`
    int64[W] are the positions of its own windows' ends, None where they are the report's windows.
    """

    name: str
    reference: float
    values: Floats
    standard_errors: Floats
    estimates: Floats | None = None
    estimate_errors: Floats | None = None
    ends: Counts | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What a live system knows beside what a scan does.

    `window_ms` is the windows' width. In `n_significant` windows a detector noticed something,
    those counted in which what had been told before went on. `decisions` on retraining, newest
    first, and the `requests` that came of them.
    """

    window_ms: int
    n_significant: int
    decisions: tuple[RetrainingDecision, ...] = ()
    requests: tuple[RetrainingRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanReport:
    """Everything that a scan saw. Window w covers rows `bounds[w, 0]` up to `bounds[w, 1]`.

    With `live` it is what a live system saw: all positions (`bounds`, `row`, `change_point_row`)
    are event times then, in ms UTC, and `n_rows` counts the rows of the windows.

    `segments` are all there are; `segment_columns` a few columns of theirs, named as findings about
    them are, through the same windows (without rows where the segment was not tested).

    `arl0`: the mean number of windows between false notices that the thresholds are set for.
    `times_ms` int64[W] are the event times at the windows' ends, where the rows have times.
    """

    title: str
    n_rows: int
    n_reference: int
    window_rows: int
    arl0: float
    bounds: Counts
    columns: tuple[ColumnHistory, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    quality: tuple[QualityHistory, ...] = ()
    times_ms: Counts | None = None
    details: dict[str, str] = field(default_factory=dict)
    live: LiveFacts | None = None
    segments: tuple[SegmentSummary, ...] = ()
    segment_columns: tuple[ColumnHistory, ...] = ()

    @property
    def notices(self) -> tuple[Finding, ...]:
        """All findings: an alert is a notice too."""
        return self.findings

    @property
    def alerts(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.level is Level.ALERT)

    @property
    def n_windows(self) -> int:
        return len(self.bounds)

    @property
    def noticed(self) -> NDArray[np.bool_]:
        """bool[W], the windows in which something was found that had not been told before."""
        noticed = np.zeros(self.n_windows, dtype=np.bool_)
        if self.n_windows:
            rows = np.array([each.row for each in self.findings], dtype=np.int64)
            rows = rows[(rows > self.bounds[0, 0]) & (rows <= self.bounds[-1, 1])]
            noticed[np.searchsorted(self.bounds[:, 1], rows)] = True
        return noticed

    @property
    def stated_false_notices(self) -> float:
        """The mean number of notices in this many windows where nothing moves; NaN without ARL0."""
        return self.n_windows / self.arl0 if self.arl0 > 0 else float("nan")
