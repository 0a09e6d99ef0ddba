"""One model version's labelled windows, held against its quality at release; alerts of what is
worse."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from drift.alert_book import AlertBook, AlertRules, Window
from drift.alert_signals import Signal
from drift.change_point import split_rates
from drift.families import StatedRate, notice
from drift.findings import Subject
from drift.levels import AlertBands
from drift.live import FAMILIES
from drift.quality.baseline import error_baseline
from drift.quality.ranking import FloatArray
from drift.quality.release_tests import ReleaseTest, release_tests
from drift.quality.windows import LabelledRows, measure_quality
from drift.result import Result
from drift.sentences import quality_sentence
from drift.stream.cusum import Cusum
from schemas.drift_events import DriftAlert
from schemas.quality import QualityBaseline, encode_quality

DETECTORS = 2
"""Tests against release, and the CUSUM of errors: they share quality's part of the stated rate."""
HISTORY_WINDOWS = 200
MIN_ENTRIES = 4
"""A change point is looked for once there are so many windows."""


@dataclass(frozen=True, slots=True)
class QualityRules:
    """`arl0`: the mean number of windows between false notices of the whole monitor, of which
    quality is one family in `drift.live.FAMILIES`."""

    arl0: float = 1000.0
    bands: AlertBands = field(default_factory=AlertBands)
    rules: AlertRules = field(default_factory=AlertRules)


class _Past(msgspec.Struct, frozen=True):
    """A judged window: its start, and of its labelled rows how many were wrong and positive."""

    start_ms: int
    n_rows: int
    n_errors: int
    n_positive: int


class _State(msgspec.Struct, frozen=True):
    baseline: str
    judged_ms: int | None
    window_rows: int
    book: bytes
    cusum: dict[str, Any] | None
    past: list[_Past]


class QualityWatch:
    """Mature windows of one model version in order of time; each is judged once.

    `state` is a predecessor's `encode`; one against another baseline, or built otherwise, is not
    gone on with. Raises ValueError for bytes that are none.
    """

    def __init__(
        self,
        pipeline: str,
        version: str,
        baseline: QualityBaseline,
        options: QualityRules,
        *,
        state: bytes | None = None,
    ) -> None:
        self._baseline = baseline
        self._options = options
        self._rate = StatedRate(options.arl0, FAMILIES * DETECTORS)
        self._book = AlertBook(pipeline, version, options.rules)
        self._cusum: Cusum | None = None
        self._window_rows = 0
        self._past: list[_Past] = []
        self.judged_ms: int | None = None
        """Start of the last window that was judged."""
        self._fingerprint = hashlib.sha256(encode_quality(baseline)).hexdigest()
        if state is not None:
            self._restore(state)

    @property
    def open_alerts(self) -> tuple[DriftAlert, ...]:
        return self._book.open_alerts

    def judge(
        self,
        window: Window,
        labels: FloatArray,
        scores: FloatArray,
        flagged: npt.NDArray[np.bool_],
    ) -> tuple[DriftAlert, ...]:
        """What is to be told of a window's labelled rows, in order of event time: arrays [n].

        Nothing for a window at or before the last one judged, nor for one without rows (they have
        expired since it was measured).
        """
        if self.judged_ms is not None and window.start_ms <= self.judged_ms:
            return ()
        self.judged_ms = window.start_ms
        if not len(labels):
            return ()
        wrong = flagged != (labels > 0.5)
        past = _Past(window.start_ms, len(labels), int(wrong.sum()), int(labels.sum()))
        self._past = [*self._past[1 - HISTORY_WINDOWS :], past]
        signals = self._tests(window, labels, scores, flagged)
        error = self._errors(window, wrong.astype(np.float64))
        if error is not None:
            signals.append(error)
        return self._book.close(window, signals)

    def encode(self) -> bytes:
        """The whole state, of bounded size."""
        return msgspec.json.encode(
            _State(
                baseline=self._fingerprint,
                judged_ms=self.judged_ms,
                window_rows=self._window_rows,
                book=self._book.encode(),
                cusum=None if self._cusum is None else self._cusum.state_dict(),
                past=self._past,
            )
        )

    def _restore(self, data: bytes) -> None:
        try:
            state = msgspec.json.decode(data, type=_State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not the state of a quality watch: {error}") from error
        if state.baseline != self._fingerprint:
            return
        book = AlertBook.decode(state.book)
        if book.rules != self._options.rules:
            book.rules = self._options.rules
        self._book, self._past, self.judged_ms = book, state.past, state.judged_ms
        self._window_rows = state.window_rows
        if state.window_rows:
            self._cusum = self._new_cusum()
        if self._cusum is not None and state.cusum is not None:
            try:
                self._cusum.load(state.cusum)
            except ValueError:  # another stated rate: its sum does not carry over
                self._cusum = self._new_cusum()

    def _tests(
        self,
        window: Window,
        labels: FloatArray,
        scores: FloatArray,
        flagged: npt.NDArray[np.bool_],
    ) -> list[Signal]:
        (quality,) = measure_quality(
            LabelledRows(labels, scores, flagged, np.zeros(len(labels), dtype=np.int64)),
            n_scored=[len(labels)],
        )
        tests = release_tests(self._baseline, labels, flagged.astype(np.float64), quality.metrics)
        names = [each.name for each in tests]
        p_values = np.array([each.p_value for each in tests])
        noticed = notice(p_values, names, self._rate.q_per_family)
        return [
            self._signal(window, each, noticed.threshold)
            for each in tests
            if each.name in noticed.labels
        ]

    def _signal(self, window: Window, test: ReleaseTest, threshold: float) -> Signal:
        of_labels = test.name == "label_rate"
        subject = Subject.LABEL if of_labels else Subject.QUALITY
        result = Result(
            detector="release_test",
            statistic=_deviations(test.p_value),
            threshold=_deviations(threshold),
            p_value=test.p_value,
            effect=test.effect,
            n_reference=test.n_reference,
            n_window=test.n_window,
        )
        return self._told(
            window, subject, test.name, result, scale=test.scale, at_release=test.at_release
        )

    def _errors(self, window: Window, wrong: FloatArray) -> Signal | None:
        if self._cusum is None:
            self._window_rows = self._window_rows or len(wrong)
            self._cusum = self._new_cusum()
        if self._cusum is None:
            return None
        alarms = self._cusum.update(wrong)
        if not alarms:
            return None
        strongest = max((alarm.result for alarm in alarms), key=lambda each: each.statistic)
        rate = self._baseline.errors.rate
        return self._told(
            window, Subject.QUALITY, "error_rate", strongest, scale=rate, at_release=rate
        )

    def _new_cusum(self) -> Cusum | None:
        """Of the stated rate in rows, as many a window as the first one had; None where the
        baseline is too short for it."""
        try:
            return Cusum(
                error_baseline(self._baseline),
                arl0_rows=self._rate.sequential_arl0 * self._window_rows,
            )
        except ValueError:
            return None

    def _told(
        self,
        window: Window,
        subject: Subject,
        name: str,
        result: Result,
        *,
        scale: float,
        at_release: float,
    ) -> Signal:
        change_ms = self._change_point(of_labels=subject is Subject.LABEL)
        sentence = quality_sentence(
            name, result, at_release, (window.start_ms, window.end_ms), change_ms
        )
        level = self._options.bands.level(subject, result, scale=scale)
        return Signal(subject, name, level, result, sentence, change_ms)

    def _change_point(self, *, of_labels: bool) -> int | None:
        """Start of the window that most likely began the change of the error or label rate."""
        if len(self._past) < MIN_ENTRIES:
            return None
        counts = [each.n_positive if of_labels else each.n_errors for each in self._past]
        trials = [each.n_rows for each in self._past]
        split = split_rates(np.array(counts, dtype=np.int64), np.array(trials, dtype=np.int64))
        return self._past[split.index].start_ms


def _deviations(p_value: float) -> float:
    """A p-value as standard deviations of a normal; larger is less likely."""
    from scipy.special import ndtri

    return float(-ndtri(min(max(p_value, 1e-300), 1.0 - 1e-16)))
