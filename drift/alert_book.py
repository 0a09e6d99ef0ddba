"""The life of alerts: opened, updated, resolved, with ids that a replay gives again."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from drift.alert_signals import Signal, effect_unit
from drift.findings import Level
from drift.sentences import in_segment
from schemas.drift_events import AlertKind, AlertLevel, AlertState, DriftAlert, stable_id

Key = tuple[str, str, str]
"""Segment, subject and name."""


@dataclass(frozen=True, slots=True)
class Window:
    """A closed window of event time, [start, end); those of a segment come in order of `start_ms`.

    `closed_at_ms` is when it was closed, by the sender's clock (in a replay: simulated).
    """

    start_ms: int
    end_ms: int
    closed_at_ms: int


@dataclass(frozen=True, slots=True)
class AlertRules:
    """When an open alert is told again, and when it is over.

    `quiet_windows`: windows without significance that resolve it. `effect_factor`: its effect is
    news when it grew or shrank by this factor since it was last told, effects under `effect_floor`
    counting as that; such an update is told once in `windows_between_updates` windows at most. A
    rise from notice to alert is told at once; it happens once in an alert's life.
    ValueError for what makes no rule.
    """

    quiet_windows: int = 3
    effect_factor: float = 1.5
    effect_floor: float = 0.01
    windows_between_updates: int = 5

    def __post_init__(self) -> None:
        if self.quiet_windows < 1 or self.windows_between_updates < 1:
            raise ValueError("windows are counted from one")
        if not (self.effect_factor > 1 and self.effect_floor > 0):
            raise ValueError("effect_factor lies above 1, effect_floor above 0")


@dataclass(slots=True)
class _Open:
    """An open alert: as of its last significant window, and what was last told of it."""

    alert: DriftAlert
    opened_end_ms: int
    told_effect: float | None
    told_unit: str
    n_since_told: int = 0
    n_quiet: int = 0


@dataclass(slots=True)
class AlertBook:
    """The alerts of one model version over what closes together.

    Windows whose labels come weeks later close weeks later: they get a book of their own. All that
    is told follows from the windows and what was significant in them: fed the same windows again a
    book says nothing, and a book from an earlier state says the same again, under the same ids. Its
    size is bounded by columns times segments.
    """

    pipeline: str
    model_version: str
    rules: AlertRules = field(default_factory=AlertRules)
    _open: dict[Key, _Open] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    @property
    def open_alerts(self) -> tuple[DriftAlert, ...]:
        """As of their last significant windows."""
        return tuple(each.alert for each in self._open.values())

    def close(
        self, window: Window, signals: Iterable[Signal], *, segment: str = ""
    ) -> tuple[DriftAlert, ...]:
        """What is to be told of a closed window with these `signals`, at most one of a subject and
        name; nothing for a window at or before the last one of its segment.

        Raises ValueError for two signals of one thing: take the stronger (`signals_of`).
        """
        if window.start_ms <= self._seen.get(segment, -(2**63)):
            return ()
        by_key = {}
        for signal in signals:
            key = (segment, str(signal.subject), signal.name)
            if key in by_key:
                raise ValueError(f"two signals of {signal.subject} {signal.name} in one window")
            by_key[key] = signal
        self._seen[segment] = window.start_ms
        events = []
        for key in [each for each in self._open if each[0] == segment and each not in by_key]:
            events += self._quiet(key, window)
        for key, signal in by_key.items():
            events += self._significant(key, signal, window)
        return tuple(events)

    def retire(self, at_ms: int, why: str) -> tuple[DriftAlert, ...]:
        """Resolve everything, for no window will: `why` in words, `at_ms` by the sender's clock."""
        return tuple(self._resolve(key, at_ms, why) for key in list(self._open))

    def encode(self) -> bytes:
        """The whole state; `decode` gives a book that goes on as this one would have."""
        return msgspec.json.encode(
            {
                "pipeline": self.pipeline,
                "model_version": self.model_version,
                "rules": asdict(self.rules),
                "open": [(key, each) for key, each in self._open.items()],
                "seen": self._seen,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "AlertBook":
        """A book of `encode`; raises ValueError for anything else."""
        try:
            state = msgspec.json.decode(data, type=_State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not an alert book: {error}") from error
        return cls(
            state.pipeline,
            state.model_version,
            state.rules,
            dict(state.open),
            state.seen,
        )

    def _significant(self, key: Key, signal: Signal, window: Window) -> list[DriftAlert]:
        entry = self._open.get(key)
        if entry is None:
            alert = self._opened(key, signal, window)
            unit = alert.effect_unit
            self._open[key] = _Open(alert, window.end_ms, alert.effect, unit)
            return [alert]
        before, alert = entry.alert, _as_of(entry, signal, window)
        entry.alert, entry.n_quiet = alert, 0
        entry.n_since_told += 1
        if alert.level == before.level and not self._effect_is_news(entry):
            return []
        entry.told_effect, entry.told_unit = alert.effect, alert.effect_unit
        entry.n_since_told = 0
        entry.alert = replace(alert, updated_at_ms=window.closed_at_ms)
        return [entry.alert]

    def _effect_is_news(self, entry: _Open) -> bool:
        if entry.n_since_told < self.rules.windows_between_updates:
            return False
        if entry.alert.effect_unit != entry.told_unit:
            return True
        floor = self.rules.effect_floor
        now, told = entry.alert.effect or 0.0, entry.told_effect or 0.0
        sizes = sorted(max(abs(each), floor) for each in (now, told))
        turned = now * told < 0 and sizes[0] > floor
        return turned or sizes[1] >= self.rules.effect_factor * sizes[0]

    def _quiet(self, key: Key, window: Window) -> list[DriftAlert]:
        entry = self._open[key]
        entry.n_quiet += 1
        entry.n_since_told += 1
        if entry.n_quiet < self.rules.quiet_windows:
            return []
        words = f"quiet for {entry.n_quiet} windows"
        resolved = self._resolve(key, window.closed_at_ms, words)
        return [replace(resolved, window_start_ms=window.start_ms, window_end_ms=window.end_ms)]

    def _resolve(self, key: Key, at_ms: int, why: str) -> DriftAlert:
        alert = self._open.pop(key).alert
        named = alert.kind in (AlertKind.FEATURE, AlertKind.LABEL)
        what = f"{alert.kind} {alert.name}" if named else alert.name
        what += in_segment(alert.segment)
        words = f"{what}: {why}; significant in {alert.n_windows} before"
        return replace(alert, state=AlertState.RESOLVED, updated_at_ms=at_ms, sentence=words)

    def _opened(self, key: Key, signal: Signal, window: Window) -> DriftAlert:
        segment, subject, name = key
        return DriftAlert(
            alert_id=stable_id(
                self.pipeline,
                self.model_version,
                subject,
                name,
                segment,
                window.start_ms,
                window.end_ms,
            ),
            pipeline=self.pipeline,
            model_version=self.model_version,
            state=AlertState.OPENED,
            kind=AlertKind(subject),
            name=name,
            segment=segment,
            opened_at_ms=window.closed_at_ms,
            updated_at_ms=window.closed_at_ms,
            change_point_ms=_earlier(signal.change_point_ms, window.end_ms),
            contributions=signal.contributions,
            n_windows=1,
            level=AlertLevel(signal.level),
            sentence=signal.sentence,
            **_measured(signal, window),
        )


def _as_of(entry: _Open, signal: Signal, window: Window) -> DriftAlert:
    """The open alert with this window's numbers; its level only rises."""
    before = entry.alert
    # An estimate after the window that first noticed is another change than the one alerted.
    change = _earlier(signal.change_point_ms, entry.opened_end_ms)
    large = before.level is AlertLevel.ALERT or signal.level is Level.ALERT
    return replace(
        before,
        state=AlertState.UPDATED,
        level=AlertLevel.ALERT if large else AlertLevel.NOTICE,
        change_point_ms=before.change_point_ms if change is None else change,
        contributions=signal.contributions or before.contributions,
        n_windows=before.n_windows + 1,
        sentence=signal.sentence,
        **_measured(signal, window),
    )


def _measured(signal: Signal, window: Window) -> dict[str, Any]:
    """The fields that are about one window."""
    result = signal.result
    unit = effect_unit(result.detector)
    return {
        "detector": result.detector,
        "statistic": result.statistic,
        "threshold": result.threshold,
        # A detector of streams has none; `Result` says 1 there.
        "p_value": None if unit == "mean" else result.p_value,
        "effect": result.effect,
        "effect_unit": unit,
        "n_reference": result.n_reference,
        "n_window": result.n_window,
        "window_start_ms": window.start_ms,
        "window_end_ms": window.end_ms,
    }


def _earlier(change_point_ms: int | None, end_ms: int) -> int | None:
    return None if change_point_ms is None or change_point_ms >= end_ms else change_point_ms


class _State(msgspec.Struct):
    pipeline: str
    model_version: str
    rules: AlertRules
    open: list[tuple[Key, _Open]]
    seen: dict[str, int]
