"""What a decision on retraining rests on: open alerts, quality, labels, requests before."""

from bisect import bisect_left
from dataclasses import dataclass, replace

from schemas.drift_events import AlertLevel, AlertState, DriftAlert

DAY_MS = 86_400_000
STANDARD_ERRORS = 2.0
"""A loss counts beyond so many of its standard errors."""
MAX_SIGNALS = 2000
"""Open alerts of one pipeline that are remembered, the newest; a detector never comes near it."""
MAX_RESOLVED = 2000
"""Resolved alerts that are remembered, the newest: more than a detector repeats after a crash."""


@dataclass(frozen=True, slots=True)
class OpenSignal:
    """An open alert as the policy sees it.

    `alert_since_ms`: since when its level is alert, by the sender's clock, None for a notice.
    `change_point_ms`: the estimate (event time), or the start of the first window known to have
    shown it where there is none.
    """

    alert_id: str
    model_version: str
    kind: str
    name: str
    segment: str
    effect: float | None
    effect_unit: str
    opened_at_ms: int
    updated_at_ms: int
    alert_since_ms: int | None
    change_point_ms: int


@dataclass(frozen=True, slots=True)
class QualityReading:
    """How much worse a measure is than at release: `loss`, positive is worse, with its error.

    `realised` from labels, else estimated without them. `since_ms`: since when it has been so, by
    the clock of decisions; `change_point_ms`: in event time.
    """

    measure: str
    model_version: str
    loss: float
    standard_error: float
    realised: bool
    since_ms: int
    change_point_ms: int

    def exceeds(self, size: float) -> bool:
        return self.loss - STANDARD_ERRORS * self.standard_error >= size


@dataclass(frozen=True, slots=True)
class QualitySeen:
    """What there was to take readings from: windows of the champion that are measured, of which
    `n_mature` have labels enough to count as realised; the share of labels of the most mature.
    `at_release`: whether there is a value to hold them against."""

    at_release: bool = True
    n_windows: int = 0
    n_mature: int = 0
    most_mature: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyState:
    """All that a decision rests on.

    `event_time_ms` is how far the stream has come; `label_starts_ms` (ascending) and `label_counts`
    say how many labelled rows there are in each stretch of event time. `requests_ms` are the times
    of requests, ascending, by the clock of decisions. `log_known` is False while nobody can tell
    how many labels and what quality there are: then nothing is asked for. `resolved_ids` are alerts
    that will not open again. `quality_seen` is for the words of a refusal only.
    """

    pipeline: str
    champion: str
    event_time_ms: int
    signals: tuple[OpenSignal, ...] = ()
    quality: tuple[QualityReading, ...] = ()
    label_starts_ms: tuple[int, ...] = ()
    label_counts: tuple[int, ...] = ()
    requests_ms: tuple[int, ...] = ()
    log_known: bool = True
    resolved_ids: tuple[str, ...] = ()
    quality_seen: QualitySeen = QualitySeen()

    def labelled_since(self, time_ms: int) -> int:
        """Labelled rows of stretches that begin at `time_ms` or later."""
        return sum(self.label_counts[bisect_left(self.label_starts_ms, time_ms) :])

    def with_alert(self, alert: DriftAlert) -> "PolicyState":
        """After a message about an alert; an older or repeated one changes nothing."""
        # A detector that crashed tells a life again, from opened on: it is over all the same.
        if alert.alert_id in self.resolved_ids:
            return self
        open_signals = {each.alert_id: each for each in self.signals}
        known = open_signals.get(alert.alert_id)
        if known is not None and alert.updated_at_ms < known.updated_at_ms:
            return self
        open_signals.pop(alert.alert_id, None)
        resolved = self.resolved_ids
        if alert.state is AlertState.RESOLVED:
            resolved = (*resolved, alert.alert_id)[-MAX_RESOLVED:]
        else:
            open_signals[alert.alert_id] = _signal(alert, known)
        newest = sorted(open_signals.values(), key=lambda each: each.updated_at_ms)[-MAX_SIGNALS:]
        signals = tuple(sorted(newest, key=lambda each: each.alert_id))
        return replace(self, signals=signals, resolved_ids=resolved)

    def with_request(self, at_ms: int) -> "PolicyState":
        """After a request; those that no rule looks back to any more are forgotten."""
        # The newest stands for the cool-down, however long that is; the day's for the budget.
        kept = [each for each in self.requests_ms if each > at_ms - DAY_MS]
        return replace(self, requests_ms=(*kept, at_ms))


def _signal(alert: DriftAlert, known: OpenSignal | None) -> OpenSignal:
    since = None
    if alert.level is AlertLevel.ALERT:
        since = known.alert_since_ms if known else None
        since = alert.updated_at_ms if since is None else since
    change = alert.change_point_ms
    first = known.change_point_ms if known else alert.window_start_ms
    return OpenSignal(
        alert_id=alert.alert_id,
        model_version=alert.model_version,
        kind=alert.kind,
        name=alert.name,
        segment=alert.segment,
        effect=alert.effect,
        effect_unit=alert.effect_unit,
        opened_at_ms=alert.opened_at_ms,
        updated_at_ms=alert.updated_at_ms,
        alert_since_ms=since,
        change_point_ms=first if change is None else change,
    )
