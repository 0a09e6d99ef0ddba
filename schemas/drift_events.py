"""The messages on `drift-alerts` and `retraining-requests`. Fields are only ever added, last and
with a default.

Times are integer milliseconds since 1970-01-01 UTC (`_ms`). Windows, change points and training
windows are in event time, which may be years ago; the times of opening, updating and deciding are
by the sender's clock. A number that JSON cannot hold (infinite, or not a number) is None.
"""

import hashlib
import math
from enum import StrEnum
from typing import Any

import msgspec

ID_CHARACTERS = 16


class AlertState(StrEnum):
    """Where an alert is in its life: opened once, updated any number of times, resolved once."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"


class AlertLevel(StrEnum):
    """A notice is significant at the stated rate; an alert is significant and large."""

    NOTICE = "notice"
    ALERT = "alert"


class AlertKind(StrEnum):
    """What moved."""

    FEATURE = "feature"
    SCORE = "score"
    LABEL = "label"
    QUALITY = "quality"
    MULTIVARIATE = "multivariate"


class DriftAlert(msgspec.Struct, frozen=True, kw_only=True):
    """`drift-alerts`, keyed by pipeline: something moved, still moves, or does so no more.

    `alert_id` is the same in every message about one alert (see `stable_id`), so a replay repeats
    it; what moves again after `resolved` is another alert. `level` may rise while it is open.
    `name` is the feature, the score or the measure of quality; `segment` is "" for all rows.
    `statistic` is what the detector held against `threshold`; `p_value` is in 0..1, None where a
    sequential detector has none. `effect` is the size of the change in `effect_unit` ("psi",
    "share", "mean", ...), beyond what chance gives. The window is [start, end), the last one the
    alert was seen in (when resolved, the one that resolved it); `n_windows` counts the windows it
    was seen in so far. `change_point_ms` is the likeliest moment of the change, None where
    history is too short for one. `contributions` are names and their shares of the statistic,
    largest first. `sentence` says all this to people.

    Raises ValueError for an empty id or pipeline, a window that ends before it starts, counts below
    what is possible, and a p-value outside 0..1.
    """

    alert_id: str
    pipeline: str
    model_version: str
    state: AlertState
    level: AlertLevel
    kind: AlertKind
    name: str
    segment: str
    detector: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect: float | None
    effect_unit: str
    n_reference: int
    n_window: int
    window_start_ms: int
    window_end_ms: int
    opened_at_ms: int
    updated_at_ms: int
    change_point_ms: int | None
    contributions: tuple[tuple[str, float | None], ...]
    n_windows: int
    sentence: str

    def __post_init__(self) -> None:
        for name in ("statistic", "threshold", "p_value", "effect"):
            msgspec.structs.force_setattr(self, name, finite(getattr(self, name)))
        shares = tuple((name, finite(share)) for name, share in self.contributions)
        msgspec.structs.force_setattr(self, "contributions", shares)
        _check_named(alert_id=self.alert_id, pipeline=self.pipeline)
        _check(self.window_start_ms <= self.window_end_ms, "its window ends before it starts")
        _check(min(self.n_reference, self.n_window) >= 0, "a number of rows is below 0")
        _check(self.n_windows >= 1, "n_windows is below 1")
        _check(self.p_value is None or 0 <= self.p_value <= 1, "p_value is not in 0..1")


class RetrainingRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="request"):
    """`retraining-requests`, keyed by pipeline: train a successor of `champion_version`.

    On the labelled rows with event times in [training_from_ms, training_to_ms): it begins at the
    change point, for rows before it teach what is no longer so. `n_labelled_since` labelled rows
    were there when it was asked for. The same `request_id` again is the same request.

    Raises ValueError for an empty id or pipeline and for a training window that holds no time.
    """

    request_id: str
    pipeline: str
    champion_version: str
    reason: str
    alert_ids: tuple[str, ...]
    training_from_ms: int
    training_to_ms: int
    requested_at_ms: int
    n_labelled_since: int

    def __post_init__(self) -> None:
        _check_named(request_id=self.request_id, pipeline=self.pipeline)
        _check(self.training_from_ms < self.training_to_ms, "its training window holds no time")
        _check(self.n_labelled_since >= 0, "n_labelled_since is below 0")


class RetrainingDecision(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="decision"
):
    """`retraining-requests`, keyed by pipeline: whether retraining was asked for, and why or why
    not.

    Every decision is published, refusals too. `reasons` are sentences, one for each condition of
    the policy that spoke for or against; `policy` are the settings it was decided by.

    Raises ValueError for an empty id or pipeline, and unless a request is named exactly when one
    was made.
    """

    decision_id: str
    pipeline: str
    decided_at_ms: int
    requested: bool
    reasons: tuple[str, ...]
    alert_ids: tuple[str, ...]
    request_id: str | None
    policy: dict[str, Any]

    def __post_init__(self) -> None:
        _check_named(decision_id=self.decision_id, pipeline=self.pipeline)
        _check(
            self.requested == bool(self.request_id),
            "request_id is given exactly when a request was made",
        )


DriftEvent = DriftAlert | RetrainingRequest | RetrainingDecision


def stable_id(*parts: str | int) -> str:
    """16 hex characters that are the same for the same parts, in every process and on every replay.

    An alert's are what it is about and the window it was opened in, never a clock: a detector that
    crashed opens it again under the same id.
    """
    data = msgspec.json.encode([str(part) for part in parts])
    return hashlib.sha256(data).hexdigest()[:ID_CHARACTERS]


def finite(number: float | None) -> float | None:
    """`number`, or None where JSON cannot hold it."""
    return None if number is None or not math.isfinite(number) else float(number)


def encode_event(event: DriftEvent) -> bytes:
    """The message's value, JSON."""
    return msgspec.json.encode(event)


def decode_alert(data: bytes) -> DriftAlert:
    """The message of `drift-alerts`; raises ValueError with what is wrong with it.

    Types are not converted; fields that a later version adds are passed over.
    """
    decoded: DriftAlert = _decode(data, DriftAlert, "a drift alert")
    return decoded


def decode_retraining(data: bytes) -> RetrainingRequest | RetrainingDecision:
    """The message of `retraining-requests`, which its `type` names; raises ValueError as
    `decode_alert` does.
    """
    decoded: RetrainingRequest | RetrainingDecision
    decoded = _decode(data, RetrainingRequest | RetrainingDecision, "about retraining")
    return decoded


def _decode(data: bytes, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not {what}: {error}") from error


def _check(holds: bool, explanation: str) -> None:
    if not holds:
        raise ValueError(explanation)


def _check_named(**texts: str) -> None:
    for name, text in texts.items():
        _check(text != "", f"{name} is empty")
