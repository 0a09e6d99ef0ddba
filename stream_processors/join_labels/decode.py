"""Messages of `labels` as rows of the log, and what is none with its reason. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from inference.decode import Columns
from inference.decode.event_id import check_event_id
from schemas.codecs.json import CONTENT_TYPE as JSON
from schemas.errors import EventError, Reason
from schemas.events import Label
from storage.label_log import LabelRow
from storage.log_tables import EARLIEST_MS, LATEST_MS

MAX_LABEL_BYTES = 64 * 1024

_decode = msgspec.json.Decoder(Label).decode


@dataclass(frozen=True, slots=True)
class RejectedLabel:
    """Message number `row` of its run is no label, and why."""

    row: int
    reason: Reason
    explanation: str


def decode_labels(
    columns: Columns, *, max_ahead_ms: int
) -> tuple[list[LabelRow], list[RejectedLabel]]:
    """The labels of a run of messages in their order, and what is none.

    A label time more than `max_ahead_ms` after the message was appended is refused: nothing that
    came later could correct it.
    """
    labels: list[LabelRow] = []
    rejected: list[RejectedLabel] = []
    for row, (value, content_type, append_time_ms) in enumerate(_messages(columns)):
        try:
            labels.append(_label(value, content_type, append_time_ms, max_ahead_ms))
        except EventError as error:
            rejected.append(RejectedLabel(row, error.reason, error.explanation))
    return labels, rejected


def _messages(columns: Columns) -> Iterator[tuple[bytes | None, bytes | None, int]]:
    n = len(columns.values)
    types: Sequence[bytes | None] = columns.content_types or [None] * n
    return zip(columns.values, types, columns.append_times_ms.tolist(), strict=True)


def _label(
    value: bytes | None, content_type: bytes | None, append_time_ms: int, max_ahead_ms: int
) -> LabelRow:
    if value is None:
        raise EventError(Reason.NULL_VALUE, "the message has no value")
    if len(value) > MAX_LABEL_BYTES:
        raise EventError(
            Reason.TOO_LARGE, f"{len(value)} bytes, a label has at most {MAX_LABEL_BYTES}"
        )
    if content_type is not None and not _is_json(content_type):
        raise EventError(
            Reason.UNKNOWN_CONTENT_TYPE,
            f"content-type is {content_type[:100]!r}, labels are {JSON}",
        )
    try:
        label = _decode(value)
    except msgspec.ValidationError as error:
        raise EventError(Reason.WRONG_TYPE, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(Reason.MALFORMED, f"not JSON: {error}") from error
    check_event_id(label.event_id)
    if label.label not in (0.0, 1.0):
        raise EventError(Reason.OUT_OF_RANGE, f"label is {label.label}, expected 0 or 1")
    latest = min(LATEST_MS, append_time_ms + max_ahead_ms)
    if not EARLIEST_MS <= label.label_time_ms <= latest:
        raise EventError(
            Reason.BAD_EVENT_TIME,
            f"label_time_ms is {label.label_time_ms}, expected {EARLIEST_MS} to {latest}",
        )
    return LabelRow(
        event_id=label.event_id,
        label=label.label,
        label_time_ms=label.label_time_ms,
        source=label.source,
        append_time_ms=min(max(append_time_ms, EARLIEST_MS), LATEST_MS),
    )


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == JSON.encode()
