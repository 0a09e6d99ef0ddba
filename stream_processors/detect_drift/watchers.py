"""Every model version of a pipeline and its segments, each against its own reference; alerts."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from drift.alert_book import AlertBook, Window
from drift.live import Checked, VersionWatch, WatchOptions, alerts_in
from drift.nulls import Nulls
from drift.reference import Reference
from drift.sketch import Sketch
from schemas.drift_events import DriftAlert

log = structlog.get_logger()

RETIRE_AFTER = 3
"""Closed windows with rows, none of a version: it does not serve any more. Or without a reference
for it: the model store does not have it any more."""

Key = tuple[str, str]
"""Model version and segment."""


class Watchers:
    """Closed windows in order of time, those of each version and segment to their own watch.

    `references` says what is known of a version, None for nothing. `states` is a predecessor's
    `encode`. The stated rate of a version is split over all rows and its segments.
    """

    def __init__(
        self,
        pipeline: str,
        options: WatchOptions,
        references: Callable[[str], Reference | None],
        states: Mapping[str, bytes] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._options = options
        self._references = references
        self._nulls = Nulls(seed=options.seed)
        self._states = dict(states or {})
        self._watches: dict[Key, VersionWatch] = {}
        self._warned: set[Key] = set()
        self._missed: dict[Key, int] = {}

    def feed(self, piece: Sketch) -> None:
        """A piece that was not seen before, of a window that is open."""
        watch = self._watch((piece.key.model_version, piece.key.segment))
        if watch is not None and piece.key.columns == watch.reference.columns.fingerprint:
            watch.feed(piece)

    def close(self, window: Window, sketches: Mapping[Key, Sketch]) -> dict[Key, Checked]:
        """What the window says of each version and segment that had rows in it."""
        checked = {}
        for key, sketch in sketches.items():
            watch = self._watch(key)
            if watch is None or sketch.key.columns != watch.reference.columns.fingerprint:
                log.warning(
                    "window_not_tested",
                    model_version=key[0],
                    segment=key[1],
                    problem="no such reference",
                )
                continue
            if key not in self._warned:
                self._warned.add(key)
                for warning in watch.reference.warnings(sketch.n):
                    log.warning(
                        "drift_reference_is_poor",
                        model_version=key[0],
                        segment=key[1],
                        problem=warning,
                    )
            checked[key] = watch.close(window, sketch)
        return checked

    def retire(self, present: Mapping[Key, Sketch], at_ms: int) -> tuple[DriftAlert, ...]:
        """After a window with rows of `present`: resolve the alerts of versions long gone, and of
        what nobody can watch any more. A segment without rows says nothing while its version
        serves.
        """
        alerts: list[DriftAlert] = []
        if not present:
            return ()
        serving = {version for version, _ in present}
        for key in sorted(self._known()):
            why = self._unwatched(key, serving)
            if not why:
                self._missed.pop(key, None)
                continue
            self._missed[key] = self._missed.get(key, 0) + 1
            if self._missed[key] >= RETIRE_AFTER:
                alerts += self._forget(key).retire(at_ms, why)
        return tuple(alerts)

    def _unwatched(self, key: Key, serving: set[str]) -> str:
        """Why windows of it are not tested, in words; none where they are."""
        version, _ = key
        if version not in serving:
            return f"model {version} no longer serves"
        if self._watch(key) is None:
            return (
                f"nobody can watch model {version} any more: no such reference in the model store"
            )
        return ""

    @property
    def open_alerts(self) -> tuple[DriftAlert, ...]:
        return tuple(alert for watch in self._watches.values() for alert in watch.open_alerts)

    def encode(self) -> dict[str, bytes]:
        """The state of each watch, by version and segment."""
        made = {_name(key): watch.encode() for key, watch in self._watches.items()}
        return self._states | made

    def _watch(self, key: Key) -> VersionWatch | None:
        if key not in self._watches:
            whole = self._references(key[0])
            reference = None if whole is None else whole.of_segment(key[1])
            if whole is None or reference is None:
                return None
            options = replace(self._options, n_segments=len(whole.segments))
            state = self._states.get(_name(key))
            try:
                watch = self._make(key, reference, options, state)
            except ValueError as error:
                log.error("drift_state_unreadable", model_version=key[0], error=str(error)[:500])
                watch = self._make(key, reference, options, None)
            self._watches[key] = watch
        return self._watches[key]

    def _make(
        self, key: Key, reference: Reference, options: WatchOptions, state: bytes | None
    ) -> VersionWatch:
        version, segment = key
        return VersionWatch(
            self._pipeline,
            version,
            reference,
            options,
            nulls=self._nulls,
            segment=segment,
            state=state,
        )

    def _known(self) -> set[Key]:
        return set(self._watches) | {_key(name) for name in self._states}

    def _forget(self, key: Key) -> AlertBook:
        """Drop all that is known of it but its alerts, which need no reference."""
        watch, state = self._watches.pop(key, None), self._states.pop(_name(key), b"")
        self._warned.discard(key)
        del self._missed[key]
        try:
            return alerts_in(watch.encode() if watch is not None else state)
        except ValueError as error:
            log.error("drift_state_unreadable", model_version=key[0], error=str(error)[:500])
            return AlertBook(self._pipeline, key[0])


def _name(key: Key) -> str:
    return "/".join(key)


def _key(name: str) -> Key:
    version, _, segment = name.partition("/")
    return version, segment
