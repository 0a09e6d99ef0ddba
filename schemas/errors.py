"""Everything that can go wrong, as one tree; each branch tells the loop what to do.

    ThalwegError
    ├── ConfigurationError   refuse to start; the message says what to do
    ├── EventError           dead-letter this one event with its reason; its batch goes on
    ├── ModelError           keep the current model (at start: refuse to serve)
    ├── SourceError          stop: the source is not what it was (recreated, offset out of range)
    └── TransientError       retry, with a bound
        └── DeliveryError    outputs the broker did not acknowledge: replay from the last commit

Driver errors are mapped once, at the driver, with ``raise ... from``.
"""

from enum import StrEnum


class ThalwegError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(ThalwegError):
    """A setting, file or environment that cannot work; the message says what to change."""


class ModelError(ThalwegError):
    """A model that must not serve: missing, torn, wrong hash, wrong signature, failed checks."""


class SourceError(ThalwegError):
    """The source no longer holds what the committed offset refers to."""


class TransientError(ThalwegError):
    """Something outside that may work on the next try."""


class DeliveryError(TransientError):
    """At least one output was not acknowledged by the broker."""


class Reason(StrEnum):
    """Why an event was dead-lettered; a closed list, so that counts by reason stay comparable."""

    NULL_VALUE = "null_value"
    TOO_LARGE = "too_large"
    UNKNOWN_CONTENT_TYPE = "unknown_content_type"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    MISSING_FEATURE = "missing_feature"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CATEGORY = "unknown_category"
    SCHEMA_MISMATCH = "schema_mismatch"
    BAD_EVENT_TIME = "bad_event_time"
    BAD_EVENT_ID = "bad_event_id"
    UNSCORABLE = "unscorable"


class EventError(ThalwegError):
    """One event that cannot be scored; it is dead-lettered with `reason` and the message."""

    def __init__(self, reason: Reason, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason
        self.explanation = explanation
