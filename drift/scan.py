"""A history watched as a stream would be: the same bins, tests, detectors and thresholds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from drift.change_point import split_counts
from drift.columns import ColumnSpec, Counts, Kind
from drift.entities import EntityTable, hash_entities
from drift.families import StatedRate
from drift.findings import ColumnHistory, Finding, ScanReport, Subject
from drift.levels import Episodes
from drift.monitor import Evidence, Tested, WindowMonitor, WindowVerdict
from drift.multivariate import MIN_ROWS
from drift.nulls import Nulls
from drift.reference import MIN_WINDOWS, make_reference
from drift.result import Result
from drift.rows import Rows, ScanOptions, watched
from drift.sample_test import SampleTest
from drift.scan_quality import quality_history
from drift.scan_streams import StreamFinding, watch_streams
from drift.sentences import stream_sentence, window_sentence
from drift.window_tests import psi

HISTORY_WINDOWS = 20
"""Windows that are searched for the change point."""
MAX_ENTRIES = 1_000
SEASON_ENTRIES = 20
"""Parts of a window that history is kept in of a column that follows the season."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A significant result of a window, before it is known whether it is news."""

    subject: Subject
    name: str
    result: Result
    scale: float = 1.0
    column: int | None = None
    shares: tuple[tuple[str, float], ...] = ()


class Scan:
    """One pass over `rows`; `run` gives the report. Raises ValueError for sizes that do not fit."""

    def __init__(self, rows: Rows, options: ScanOptions) -> None:
        self._rows = rows
        self._options = options
        options.check_sizes(len(rows))
        self._matrix, specs, self._subjects = watched(rows)
        self._rng = np.random.default_rng(options.seed)
        n = options.n_reference
        keys = rows.entity_keys()
        self._hashes = None if keys is None else hash_entities(keys)
        self.reference = make_reference(
            self._matrix[:n],
            specs,
            rng=self._rng,
            event_times=None if rows.times_ms is None else rows.times_ms[:n],
            entity_keys=None if keys is None else keys[:n],
            season_slot_hours=options.season_hours,
            calendar=options.calendar,
        )
        self._rate = StatedRate(options.arl0, self._n_families(specs))
        self._monitor = WindowMonitor(
            self.reference,
            options.window_rows,
            rate=self._rate,
            nulls=Nulls(seed=options.seed),
        )
        self._samples = SampleTest.fitting(
            self._matrix, rows, options, self._rate, without=self.reference.by_the_clock
        )
        self._episodes = Episodes()
        self._findings: list[Finding] = []

    def run(self) -> ScanReport:
        """Watch all windows and streams."""
        columns = self.reference.columns
        bounds = list(self._bounds())
        counts, p_values, psi = [], [], []
        unheld: dict[str, None] = {}
        for window, (begin, end) in enumerate(bounds):
            counted = columns.count(self._matrix[begin:end])
            verdict = self._monitor.check(
                counted, self._entities(begin, end), span_ms=self._span(begin, end)
            )
            self._note_window(window, (begin, end), verdict)
            unheld |= dict.fromkeys(verdict.warnings)
            counts.append(counted)
            p_values.append(verdict.p_values)
            psi.append(verdict.psi)
        streams = watch_streams(self._rows, self._options, self._rate, self._stream_columns())
        for found in streams.findings:
            self._note_stream(found)
        bounds_array = np.array(bounds, dtype=np.int64).reshape(-1, 2)
        return ScanReport(
            title="drift scan",
            n_rows=len(self._rows),
            n_reference=self._options.n_reference,
            window_rows=self._options.window_rows,
            arl0=self._options.arl0,
            bounds=bounds_array,
            columns=self._histories(np.array(counts), np.array(p_values), np.array(psi)),
            findings=tuple(sorted(self._findings, key=_order)),
            warnings=(
                *self.reference.warnings(self._options.window_rows),
                *unheld,
                *streams.warnings,
            ),
            quality=quality_history(self._rows, self._options, bounds_array),
            times_ms=None
            if self._rows.times_ms is None
            else self._rows.times_ms[bounds_array[:, 1] - 1],
        )

    # --- windows --------------------------------------------------------------------------------

    def _bounds(self) -> Iterator[tuple[int, int]]:
        """Whole windows behind the reference; a rest of at least half a window is one too."""
        size, n = self._options.window_rows, len(self._rows)
        for begin in range(self._options.n_reference, n, size):
            end = min(begin + size, n)
            if 2 * (end - begin) >= size:
                yield begin, end

    def _note_window(self, window: int, bounds: tuple[int, int], verdict: WindowVerdict) -> None:
        for tested in verdict.noticed:
            self._note_column(window, bounds, tested)
        if verdict.evidence is not None and verdict.evidence.result.exceeded:
            self._note_evidence(window, bounds, verdict.evidence)
        if self._samples is not None:
            result = self._samples.check(self._matrix[slice(*bounds)], self._rng)
            if result is not None:
                self._tell(window, bounds, _Change(Subject.MULTIVARIATE, "all features", result))

    def _note_column(self, window: int, bounds: tuple[int, int], tested: Tested) -> None:
        name = self.reference.columns.names[tested.column]
        subject = self._subjects[tested.column]
        scale = 1.0
        if subject is Subject.LABEL:
            scale = float(self._matrix[: self._options.n_reference, tested.column].mean())
        change = _Change(subject, name, tested.result, scale, column=tested.column)
        self._tell(window, bounds, change)

    def _note_evidence(self, window: int, bounds: tuple[int, int], evidence: Evidence) -> None:
        names = self.reference.columns.names
        shares = tuple((names[i], share) for i, share in evidence.shares)
        column = evidence.shares[0][0]
        change = self._change_row(column, bounds[1])
        begin = bounds[0] if change is None else max(change, self._options.n_reference)
        # Evidence of many windows: so is the size of what moved, not that of the last window.
        result = replace(evidence.result, effect=self._psi_since(column, begin, bounds[1]))
        subject = self._subjects[column]
        self._tell(
            window,
            bounds,
            _Change(subject, names[column], result, column=column, shares=shares),
        )

    def _psi_since(self, column: int, begin: int, end: int) -> float:
        """PSI of rows `begin` to `end` beyond what chance gives as many dependent rows."""
        columns = self.reference.columns
        counts = columns.of(columns.count(self._matrix[begin:end]), column).astype(np.int64)
        reference = columns.of(self.reference.counts, column).astype(np.int64)
        chance = (len(counts) - 1) * (1 / reference.sum() + 1 / max(1, counts.sum()))
        dispersion = max(1.0, self._monitor.plans[column].dispersion)
        return float(max(0.0, float(psi(reference, counts)) - float(chance) * dispersion))

    def _tell(self, window: int, bounds: tuple[int, int], change: "_Change") -> None:
        """Note the change if it is news."""
        level = self._options.bands.level(change.subject, change.result, scale=change.scale)
        subject, name, result = change.subject, change.name, change.result
        if not self._episodes.is_news(subject, name, result.detector, level, window):
            return
        row = None if change.column is None else self._change_row(change.column, bounds[1])
        self._findings.append(
            Finding(
                row=bounds[1],
                level=level,
                subject=subject,
                name=name,
                result=result,
                sentence=window_sentence(subject, name, result, rows=bounds, change_row=row),
                change_point_row=row,
                contributions=change.shares,
            )
        )

    def _change_row(self, column: int, end: int) -> int | None:
        """Most likely first row after the change, looked for in the last windows."""
        begin = max(0, end - HISTORY_WINDOWS * self._options.window_rows)
        step = max(1, (end - begin) // MAX_ENTRIES)
        if column in self.reference.seasonal:  # only of many rows can a season be taken off
            step = max(step, self._options.window_rows // SEASON_ENTRIES)
        n_entries = (end - begin) // step
        begin = end - n_entries * step
        columns = self.reference.columns
        bins = columns.assign(self._matrix[begin:end])[column] - columns.offsets[column]
        table = np.zeros((n_entries, columns[column].n_bins), dtype=np.int64)
        np.add.at(table, (np.repeat(np.arange(n_entries), step), bins), 1)
        if self._rows.times_ms is not None:
            bounds = np.append(
                self._rows.times_ms[begin:end:step], self._rows.times_ms[end - 1] + 1
            )
            table = self._monitor.level(table, bounds, column)
        edge = max(1, n_entries // 50)
        if n_entries < 4 * edge:
            return None
        dispersion = max(1.0, self._monitor.plans[column].dispersion)
        return begin + split_counts(table, dispersion=dispersion, min_entries=edge).index * step

    # --- streams --------------------------------------------------------------------------------

    def _stream_columns(self) -> dict[str, tuple[Subject, np.ndarray]]:
        """Columns whose mean means something, and stays: no categories, constants or labels, and
        none that varies from window to window in the reference itself or goes by the clock."""
        columns = self.reference.columns
        return {
            column.name: (subject, self._matrix[:, i])
            for i, (column, subject) in enumerate(zip(columns, self._subjects, strict=True))
            if not column.n_categories
            and subject is not Subject.LABEL
            and column.kind is not Kind.CONSTANT
            and self._monitor.detector_of(i) != "window_scale"
            and i not in self.reference.by_the_clock
        }

    def _note_stream(self, found: StreamFinding) -> None:
        level = self._options.bands.level(found.subject, found.result, scale=found.scale)
        window = (found.row - self._options.n_reference) // self._options.window_rows
        if not self._episodes.is_news(
            found.subject, found.name, found.result.detector, level, window
        ):
            return
        sentence = stream_sentence(
            found.subject,
            found.name,
            found.result,
            row=found.row,
            change_row=found.change_point_row,
        )
        self._findings.append(
            Finding(
                row=found.row,
                level=level,
                subject=found.subject,
                name=found.name,
                result=found.result,
                sentence=sentence,
                change_point_row=found.change_point_row,
            )
        )

    # --- what the rows have ---------------------------------------------------------------------

    def _n_families(self, specs: tuple[ColumnSpec, ...]) -> int:
        """Window tests and ADWIN always; e-SR, samples and errors where there is enough."""
        rows, options = self._rows, self._options
        e_detector = options.n_reference >= MIN_WINDOWS * options.window_rows
        samples = len(specs) > 1 and options.window_rows >= MIN_ROWS
        errors = rows.labels is not None and rows.scores is not None
        return 2 + e_detector + samples + errors

    def _entities(self, begin: int, end: int) -> EntityTable | None:
        """All of a window's, however many: a scan has the rows."""
        if self._hashes is None:
            return None
        return EntityTable.of(self._hashes[begin:end], end - begin)

    def _span(self, begin: int, end: int) -> tuple[int, int] | None:
        """From the first row's time to just behind the last one's, where there are times."""
        times = self._rows.times_ms
        return None if times is None else (int(times[begin]), int(times[end - 1]) + 1)

    def _histories(
        self, counts: Counts, p_values: np.ndarray, psi: np.ndarray
    ) -> tuple[ColumnHistory, ...]:
        columns = self.reference.columns
        return tuple(
            ColumnHistory(
                name=column.name,
                subject=self._subjects[i],
                labels=column.labels,
                reference=columns.of(self.reference.counts, i).astype(np.int64),
                windows=columns.of(counts, i).astype(np.int64),
                p_values=p_values[:, i],
                effects=psi[:, i],
                test=self._monitor.detector_of(i),
                note=self._monitor.note_of(i),
            )
            for i, column in enumerate(columns)
        )


def scan(rows: Rows, options: ScanOptions) -> ScanReport:
    """What the system would have said of `rows`; raises ValueError for sizes that do not fit."""
    return Scan(rows, options).run()


def _order(finding: Finding) -> tuple[int, int, float, str]:
    """By row; what is about one column before what is about all of them."""
    place = list(Subject).index(finding.subject)
    return finding.row, place, finding.result.p_value, finding.name
