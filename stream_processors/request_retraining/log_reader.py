"""What ClickHouse adds to a decision: how far the stream is, labels, quality."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from drift.policy_quality import MeasuredWindow, read_quality
from drift.policy_state import DAY_MS, PolicyState, QualityReading, QualitySeen
from schemas.errors import TransientError
from schemas.retraining import RetrainingPolicy
from storage.client import Client
from storage.drift_queries import QualityMetric, newest_event_time, quality_history
from stream_processors.request_retraining.definition import Definition

log = structlog.get_logger()

LabelCounter = Callable[[Client, str, int, int], list[tuple[int, int]]]
"""client, pipeline, since_ms, step_ms: (start_ms, labelled rows) of each stretch of event time."""

MAX_WINDOWS = 5000
"""Windows of quality looked at, the newest: 17 days of five minutes."""
MAX_STRETCHES = 10_000
"""Into so many the time since the change is cut to count labels in, each of whole windows."""
RECENT_S = 600
"""Rows appended so long ago at most tell how far the stream is."""


class LogReader:
    """Asks the log of one pipeline, through a client that `connect` gives. Blocking."""

    def __init__(
        self,
        connect: Callable[[], Client],
        pipeline: str,
        window_ms: int,
        count_labels: LabelCounter,
    ) -> None:
        self._connect, self._pipeline = connect, pipeline
        self._window_ms, self._count_labels = window_ms, count_labels

    def complete(self, state: PolicyState, definition: Definition, now_ms: int) -> PolicyState:
        """`state` with champion, labels and quality as they are now.

        While ClickHouse cannot be asked it says so, `log_known` is False; raises ThalwegError for
        what another try does not cure.
        """
        state = replace(state, champion=definition.champion)
        try:
            return self._ask(state, definition, now_ms)
        except TransientError as error:
            log.warning("log_does_not_answer", error=str(error)[:500])
            return replace(state, log_known=False)

    def _ask(self, state: PolicyState, definition: Definition, now_ms: int) -> PolicyState:
        client, policy = self._connect(), definition.policy
        newest = newest_event_time(client, self._pipeline, RECENT_S) or 0
        windows = quality_history(
            client,
            self._pipeline,
            policy.measure,
            model_version=definition.champion,
            limit=MAX_WINDOWS,
        )
        reached = (each.window_end_ms for each in windows)
        event_time_ms = max(state.event_time_ms, newest, *reached)
        state = replace(
            state,
            event_time_ms=event_time_ms,
            quality=readings(windows, definition, event_time_ms, now_ms),
            quality_seen=quality_seen(windows, definition),
        )
        return self._with_labels(client, state, policy)

    def _with_labels(
        self, client: Client, state: PolicyState, policy: RetrainingPolicy
    ) -> PolicyState:
        changes = [each.change_point_ms for each in state.signals]
        changes += [each.change_point_ms for each in state.quality]
        if not changes:
            return state
        oldest = state.event_time_ms - int(policy.max_training_days * DAY_MS)
        since_ms = max(min(changes), oldest)
        n_windows = max(0, state.event_time_ms - since_ms) // self._window_ms
        step_ms = self._window_ms * (1 + n_windows // MAX_STRETCHES)
        counts = sorted(self._count_labels(client, self._pipeline, since_ms, step_ms))
        return replace(
            state,
            label_starts_ms=tuple(start for start, _ in counts),
            label_counts=tuple(n for _, n in counts),
        )


def readings(
    windows: Sequence[QualityMetric],
    definition: Definition,
    event_time_ms: int,
    now_ms: int,
) -> tuple[QualityReading, ...]:
    """The loss that mature windows realised, and the one estimated for those that are not mature:
    where labels have come, they are believed and the estimate is not. Empty for a model of which
    it is not known what it did at release.
    """
    policy, at_release = definition.policy, _at_release(definition)
    if at_release is None:
        return ()
    realised, estimated = [], []
    for each in windows:
        if each.maturity >= policy.min_maturity:
            if each.realised is not None and each.realised_error is not None:
                realised.append(_measured(each, each.realised, each.realised_error))
        elif each.estimate is not None and each.estimate_error is not None:
            estimated.append(_measured(each, each.estimate, each.estimate_error))
    found = []
    for chosen, is_realised in ((realised, True), (estimated, False)):
        loss = read_quality(policy.measure, chosen, *at_release)
        if loss is not None:
            found.append(
                loss.reading(
                    definition.champion,
                    realised=is_realised,
                    event_time_ms=event_time_ms,
                    now_ms=now_ms,
                )
            )
    return tuple(found)


def quality_seen(windows: Sequence[QualityMetric], definition: Definition) -> QualitySeen:
    """What `readings` had, whatever it made of it."""
    shares = [each.maturity for each in windows]
    return QualitySeen(
        at_release=_at_release(definition) is not None,
        n_windows=len(windows),
        n_mature=sum(share >= definition.policy.min_maturity for share in shares),
        most_mature=max(shares, default=0.0),
    )


def _at_release(definition: Definition) -> tuple[float, float] | None:
    """The policy's measure at release and its standard error, where both are known."""
    measures = definition.baseline.measures if definition.baseline is not None else {}
    found = measures.get(definition.policy.measure)
    if found is None or found.value is None or found.standard_error is None:
        return None
    return found.value, found.standard_error


def _measured(window: QualityMetric, value: float, error: float) -> MeasuredWindow:
    return MeasuredWindow(window.window_start_ms, window.window_end_ms, value, error)
