"""One model version or a segment of it, watched as windows close: tests, change points, alerts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from drift.alert_book import AlertBook, AlertRules, Window
from drift.alert_signals import Signal, signals_of
from drift.change_point import split_counts
from drift.columns import Counts
from drift.e_detector import EDetector
from drift.families import StatedRate
from drift.findings import Level, Subject
from drift.history import History
from drift.levels import AlertBands
from drift.live_streams import LiveStreams, stronger
from drift.monitor import Tested, WindowMonitor, WindowVerdict
from drift.multivariate import MIN_ROWS
from drift.nulls import Nulls
from drift.reference import Reference
from drift.result import Result
from drift.row_sample import RowSample
from drift.sample_test import SampleTest, window_generator
from drift.sentences import live_sentence
from drift.sketch import Sketch
from drift.window_tests import psi
from schemas.drift_events import AlertState, DriftAlert

HISTORY_ENTRIES = 48
"""Windows kept for the change point; older ones are merged, so they span all of time."""
MIN_ENTRIES = 4
"""A change point is looked for once there are so many."""
SAMPLES = "all features"
"""What the domain classifier's finding is named."""
FAMILIES = 5
"""Window tests, e-SR, ADWIN, the domain classifier, and the quality of labelled rows (its own
stage)."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a version is watched. `seed` draws permutations, with the window's start; all rows share
    the stated rate with `n_segments`."""

    arl0: float = 1000.0
    min_window_rows: int = 50
    bands: AlertBands = field(default_factory=AlertBands)
    rules: AlertRules = field(default_factory=AlertRules)
    seed: int = 0
    n_segments: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One detector's answer for one column; `level` is None where it noticed nothing."""

    subject: Subject
    name: str
    result: Result
    level: Level | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A closed window: `verdict` is None where it had too few rows to test."""

    verdict: WindowVerdict | None
    answers: tuple[Answer, ...] = ()
    alerts: tuple[DriftAlert, ...] = ()


class _State(msgspec.Struct, frozen=True):
    """`reference` is the fingerprint of what all of it was measured against."""

    reference: str
    book: bytes
    evidence: dict[str, float | int | list[list[float]]] | None
    history: bytes
    spans: list[int]
    starts: list[int]
    streams: bytes = b""
    quiet_since: dict[str, int] = {}


class VersionWatch:
    """Closed windows of one model version and segment in order of time, held against a reference.

    `state` is a predecessor's `encode`; one against another reference is not gone on with. Raises
    ValueError for bytes that are none.
    """

    def __init__(
        self,
        pipeline: str,
        version: str,
        reference: Reference,
        options: WatchOptions,
        *,
        nulls: Nulls,
        segment: str = "",
        state: bytes | None = None,
    ) -> None:
        self.reference, self._segment = reference, segment
        self._options, self._nulls = options, nulls
        self._rate = StatedRate(options.arl0, FAMILIES * (1 + options.n_segments))
        self._names = reference.columns.names
        self._subjects = [Subject.FEATURE] * (len(self._names) - 1) + [Subject.SCORE]
        self._monitors: dict[int, WindowMonitor] = {}
        self._e_detector: EDetector | None = None
        rows = reference.sample[:, :-1]
        self._sample_test = SampleTest.of_sample(rows, self._rate, without=reference.by_the_clock)
        self._book = AlertBook(pipeline, version, options.rules)
        self._history = History(HISTORY_ENTRIES)
        self._streams = LiveStreams(reference, self._rate)
        self._quiet_since: dict[str, int] = {}
        if state is not None:
            self._restore(state)

    @property
    def open_alerts(self) -> tuple[DriftAlert, ...]:
        return self._book.open_alerts

    def feed(self, piece: Sketch) -> None:
        """Take a piece of an open window; each once, in the order of their topic."""
        self._streams.feed(piece)

    def close(self, window: Window, sketch: Sketch) -> Checked:
        """Test a window; nothing is told of one that was told before."""
        counts = sketch.summary.counts.astype(np.int64)
        if len(self._history) and window.start_ms <= self._history.starts[-1]:
            return Checked(None)
        self._history.append(counts, window.start_ms)
        if sketch.n < self._options.min_window_rows:
            return Checked(None)
        monitor = self._monitor(sketch.n)
        checked = monitor.check(counts, sketch.entities, span_ms=(window.start_ms, window.end_ms))
        verdict = self._with_size(checked, monitor, window.end_ms)
        moody = [n for n, mood in zip(self._names, monitor.moods, strict=True) if mood.seen]
        self._streams.begin(monitor_size(sketch.n), moody)
        about = self._names, self._subjects, self._options.bands
        raised = self._streams.signals(window.start_ms, *about)
        signals = stronger(signals_of(verdict, *about), raised)
        together = self._check_sample(sketch.sample, monitor, window)
        if together is not None:
            level = self._options.bands.level(Subject.MULTIVARIATE, together)
            signals.append(Signal(Subject.MULTIVARIATE, SAMPLES, level, together))
        told = [self._explained(signal, monitor, window) for signal in signals]
        alerts = self._book.close(window, told, segment=self._segment)
        self._note_resolved(alerts, window)
        answers = [*self._answers(verdict, together), *map(_answer_of, raised)]
        return Checked(verdict, tuple(answers), alerts)

    def encode(self) -> bytes:
        """All that a successor needs."""
        history = self._history
        return msgspec.msgpack.encode(
            _State(
                self.reference.fingerprint,
                self._book.encode(),
                self._e_detector.as_dict() if self._e_detector else None,
                history.totals.astype(np.int64).tobytes(),
                history.spans.tolist(),
                history.starts.tolist(),
                self._streams.encode(),
                self._quiet_since,
            )
        )

    def _restore(self, data: bytes) -> None:
        state = _decoded(data)
        if state.reference != self.reference.fingerprint:
            return
        self._book = AlertBook.decode(state.book)
        self._book.rules = self._options.rules
        if state.evidence is not None:
            self._e_detector = EDetector.from_dict(state.evidence)
        if state.spans:
            totals = np.frombuffer(state.history, dtype=np.int64).reshape(len(state.spans), -1)
            spans, starts = np.array(state.spans), np.array(state.starts)
            self._history = History(HISTORY_ENTRIES, totals.copy(), spans, starts)
        self._streams = LiveStreams(self.reference, self._rate, state.streams)
        self._quiet_since = state.quiet_since

    def _monitor(self, n_rows: int) -> WindowMonitor:
        """For windows of about so many rows: what a reference asks for depends on their number.

        All of them add to the evidence of one e-detector, which is the first one's.
        """
        size = monitor_size(n_rows)
        if (monitor := self._monitors.get(size)) is None:
            monitor = WindowMonitor(self.reference, size, rate=self._rate, nulls=self._nulls)
            self._monitors[size] = monitor
        if self._e_detector is None or self._e_detector.arl0 != self._rate.sequential_arl0:
            self._e_detector = monitor.e_detector
        elif monitor.e_detector is not None:
            monitor.e_detector = self._e_detector
        return monitor

    def _with_size(
        self, verdict: WindowVerdict, monitor: WindowMonitor, end_ms: int
    ) -> WindowVerdict:
        """Evidence is of many windows: so is the size of what moved, not that of the last one."""
        evidence = verdict.evidence
        if evidence is None or not evidence.result.exceeded:
            return verdict
        column = evidence.shares[0][0]
        index = self._change_index(column, monitor, end_ms)
        since = self._history.totals[0 if index is None else index :].sum(axis=0)
        columns = self.reference.columns
        moved = columns.of(since, column).astype(np.int64)
        reference = columns.of(self.reference.counts, column).astype(np.int64)
        chance = (len(moved) - 1) * (1 / reference.sum() + 1 / max(1, moved.sum()))
        chance *= max(1.0, monitor.plans[column].dispersion)
        effect = float(max(0.0, float(psi(reference, moved)) - float(chance)))
        return replace(
            verdict, evidence=replace(evidence, result=replace(evidence.result, effect=effect))
        )

    def _explained(self, signal: Signal, monitor: WindowMonitor, window: Window) -> Signal:
        """With a change point and words."""
        change = signal.change_point_ms
        if change is None and signal.name in self._names:
            index = self._change_index(self._names.index(signal.name), monitor, window.end_ms)
            change = None if index is None else int(self._history.starts[index])
        about = signal.subject, signal.name, signal.result
        bounds = window.start_ms, window.end_ms
        sentence = live_sentence(*about, bounds, change, segment=self._segment)
        return replace(signal, change_point_ms=change, sentence=sentence)

    def _change_index(self, column: int, monitor: WindowMonitor, end_ms: int) -> int | None:
        """The entry of history up to `end_ms` that a column's most likely change begins with, of
        those since it was last back where it had been.
        """
        since = self._quiet_since.get(self._names[column])
        first = 0 if since is None else int(np.searchsorted(self._history.starts, since))
        totals = self._history.totals[first:]
        if len(totals) < MIN_ENTRIES:
            return None
        bounds = np.append(self._history.starts[first:], end_ms)
        counts: Counts = self.reference.columns.of(totals, column).astype(np.int64)
        counts = monitor.level(counts, bounds, column)
        dispersion = max(1.0, monitor.plans[column].dispersion)
        return first + split_counts(counts, dispersion=dispersion).index

    def _note_resolved(self, alerts: Sequence[DriftAlert], window: Window) -> None:
        quiet_ms = self._options.rules.quiet_windows * (window.end_ms - window.start_ms)
        resolved = [each.name for each in alerts if each.state is AlertState.RESOLVED]
        self._quiet_since |= dict.fromkeys(resolved, window.end_ms - quiet_ms)

    def _check_sample(
        self, sample: RowSample | None, monitor: WindowMonitor, window: Window
    ) -> Result | None:
        """The domain classifier's result where it is significant.

        Not where the reference itself varies from window to window: rows of another hour would be
        told from it with nothing wrong.
        """
        if self._sample_test is None or monitor.varies:
            return None
        if sample is None or len(sample.rows) < MIN_ROWS:
            return None
        rng = window_generator(self._options.seed, window.start_ms)
        return self._sample_test.check(sample.rows, rng)

    def _answers(self, verdict: WindowVerdict, together: Result | None) -> Sequence[Answer]:
        answers = [self._answer(each) for each in verdict.tested]
        evidence = verdict.evidence
        if evidence is not None:
            column = evidence.shares[0][0] if evidence.shares else 0
            subject, name = self._subjects[column], self._names[column]
            noticed = evidence.result.exceeded
            answers.append(self._leveled(subject, name, evidence.result, noticed=noticed))
        if together is not None:
            answers.append(self._leveled(Subject.MULTIVARIATE, SAMPLES, together, noticed=True))
        return answers

    def _answer(self, tested: Tested) -> Answer:
        subject, name = self._subjects[tested.column], self._names[tested.column]
        return self._leveled(subject, name, tested.result, noticed=tested.noticed)

    def _leveled(self, subject: Subject, name: str, result: Result, *, noticed: bool) -> Answer:
        level = self._options.bands.level(subject, result) if noticed else None
        return Answer(subject, name, result, level)


def monitor_size(n_rows: int) -> int:
    """The power of two next to `n_rows`: windows of about so many rows are judged alike."""
    return 1 << round(float(np.log2(n_rows)))


def alerts_in(state: bytes) -> AlertBook:
    """The alerts in a watch's `encode`, which need no reference; raises ValueError as that does."""
    return AlertBook.decode(_decoded(state).book)


def _decoded(data: bytes) -> _State:
    try:
        return msgspec.msgpack.decode(data, type=_State)
    except msgspec.DecodeError as error:
        raise ValueError(f"not the state of a watched version: {error}") from error


def _answer_of(signal: Signal) -> Answer:
    return Answer(signal.subject, signal.name, signal.result, signal.level)
