"""Mature windows held against quality at release, and what is to be told of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import structlog

from drift.alert_book import Window
from drift.quality.watch import QualityRules, QualityWatch
from schemas.drift_events import DriftAlert
from schemas.quality import QualityBaseline
from storage.client import Client
from storage.labels import Maturing, Maturity, mature_windows
from storage.scored_rows import WindowTotals, scored_rows
from stream_processors import metrics
from stream_processors.model_files import ModelFiles

log = structlog.get_logger()

PATIENCE_WINDOWS = 10
"""A window whose labels do not come holds up those after it until so many of them are mature."""
MAX_AT_ONCE = 50
"""Windows of a version judged before what they say is told and remembered."""


class VersionState(msgspec.Struct, frozen=True):
    """What is remembered of a model version: its watch, and the alerts that the watch told last.

    They are in it before they are told: a successor tells them again, under the same ids, and so
    no alert is open in the watch that nobody was told of, nor the other way round.
    """

    watch: bytes
    told: tuple[DriftAlert, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one model version: its state afterwards, encoded, and what it tells."""

    version: str
    state: bytes
    alerts: tuple[DriftAlert, ...]


@dataclass(frozen=True, slots=True)
class JudgingOptions:
    """`max_rows` are read of one window, beyond it a sample of about so many."""

    pipeline: str
    window_ms: int
    lateness_ms: int
    maturity: float
    min_rows: int
    max_rows: int
    rules: QualityRules


class Judge:
    """The watches of a pipeline's model versions. Blocking; `states` are those of a predecessor.

    Windows are judged in order of time, each once, when its labels are there: a label that comes
    or is corrected later changes what is measured of the window, not what was said of it.
    """

    def __init__(
        self,
        options: JudgingOptions,
        baselines: ModelFiles[QualityBaseline],
        now_ms: Callable[[], int],
        states: Mapping[str, bytes],
    ) -> None:
        self._options = options
        self._baselines = baselines
        self._now_ms = now_ms
        self._states = {version: _decoded(version, data) for version, data in states.items()}
        self._watches: dict[str, QualityWatch] = {}

    @property
    def told(self) -> list[DriftAlert]:
        """What the predecessor told last, to be told again: it may not have come to it."""
        return [alert for state in self._states.values() if state for alert in state.told]

    def judge(self, client: Client, reached_ms: int) -> list[Judgement]:
        """Judge some of the windows that are ready; empty when none is. Events have reached
        `reached_ms`."""
        options = self._options
        for version in self._states:
            self._watch(version)
        judged = {version: watch.judged_ms for version, watch in self._watches.items()}
        found = mature_windows(
            client,
            options.pipeline,
            window_ms=options.window_ms,
            maturity=Maturity(options.maturity, options.min_rows, options.lateness_ms, reached_ms),
            after_ms={version: ms for version, ms in judged.items() if ms is not None},
        )
        judgements = []
        for version, maturing in found.items():
            windows = ready(maturing)[:MAX_AT_ONCE]
            watch = self._watch(version)
            if watch is None or not windows:
                continue
            alerts = tuple(alert for each in windows for alert in self._judge(client, watch, each))
            state = VersionState(watch.encode(), alerts)
            judgements.append(Judgement(version, msgspec.json.encode(state), alerts))
            metrics.QUALITY_JUDGED.labels(version).inc(len(windows))
        return judgements

    def _judge(
        self, client: Client, watch: QualityWatch, window: WindowTotals
    ) -> tuple[DriftAlert, ...]:
        options, start_ms = self._options, window.start_ms
        rows = scored_rows(
            client,
            options.pipeline,
            [start_ms],
            window_ms=options.window_ms,
            share=-(-window.n_scored // options.max_rows),
        )
        own = rows.at((rows.versions == window.model_version) & ~np.isnan(rows.labels))
        span = Window(start_ms, start_ms + options.window_ms, self._now_ms())
        return watch.judge(span, own.labels, own.scores, own.flagged)

    def _watch(self, version: str) -> QualityWatch | None:
        """The watch of a version; None while the model store has no baseline for it."""
        if version in self._watches:
            return self._watches[version]
        baseline = self._baselines.find(version)
        if baseline is None:
            return None
        state = self._states.get(version)
        about = self._options.pipeline, version, baseline, self._options.rules
        try:
            watch = QualityWatch(*about, state=state.watch if state else None)
        except ValueError as error:
            _say_unreadable(version, error)
            watch = QualityWatch(*about)
        self._watches[version] = watch
        return watch


def ready(maturing: Maturing) -> Sequence[WindowTotals]:
    """The mature windows whose turn it is: no window before them waits for its labels, or
    PATIENCE_WINDOWS after them are mature already."""
    windows, barrier = maturing.mature, maturing.first_immature_ms
    n_free = len(windows)
    if barrier is not None:
        n_free = sum(each.start_ms < barrier for each in windows)
    return windows[: max(n_free, len(windows) - PATIENCE_WINDOWS)]


def _decoded(version: str, data: bytes) -> VersionState | None:
    try:
        return msgspec.json.decode(data, type=VersionState)
    except ValueError as error:
        _say_unreadable(version, error)
        return None


def _say_unreadable(version: str, error: ValueError) -> None:
    log.error(
        "quality_state_unreadable",
        model_version=version,
        error=str(error)[:500],
        consequence="its windows are judged again from the first; alerts open before may stay so",
    )
