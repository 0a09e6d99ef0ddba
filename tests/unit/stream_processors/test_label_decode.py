"""Messages on `labels`: labels in their order, and everything else with a reason."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.decode import Columns
from schemas.errors import Reason
from storage.label_log import LabelRow
from storage.log_tables import EARLIEST_MS
from stream_processors.join_labels.decode import MAX_LABEL_BYTES, decode_labels

APPENDED_MS = 1_700_000_000_000
AHEAD_MS = 1000

WHOLE = {"event_id": "e1", "label": 1, "label_time_ms": 10**12, "source": "chargeback"}


def columns(*values: bytes | None, content_types: list[bytes | None] | None = None) -> Columns:
    n = len(values)
    return Columns(
        offsets=np.arange(n, dtype=np.int64),
        append_times_ms=np.full(n, APPENDED_MS, dtype=np.int64),
        keys=[None] * n,
        values=list(values),
        content_types=content_types,
    )


def message(**change: Any) -> bytes:
    return json.dumps(WHOLE | change).encode()


def decoded(
    *values: bytes | None, content_types: list[bytes | None] | None = None
) -> tuple[list[LabelRow], list[tuple[int, Reason]]]:
    labels, rejected = decode_labels(
        columns(*values, content_types=content_types), max_ahead_ms=AHEAD_MS
    )
    assert all(each.explanation for each in rejected)
    return labels, [(each.row, each.reason) for each in rejected]


def test_a_label_keeps_all_that_was_said() -> None:
    labels, rejected = decoded(message())
    assert labels == [LabelRow("e1", 1.0, 10**12, "chargeback", APPENDED_MS)]
    assert rejected == []


def test_a_source_may_be_missing_and_fields_of_later_versions_are_passed_over() -> None:
    value = {"event_id": "e", "label": 0.0, "label_time_ms": 5, "confidence": 0.5}
    (label,), _ = decoded(json.dumps(value).encode())
    assert label == LabelRow("e", 0.0, 5, "", APPENDED_MS)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NULL_VALUE),
        (b"", Reason.MALFORMED),
        (b"\xff\xfe", Reason.MALFORMED),
        (message()[:-1], Reason.MALFORMED),
        (b"[" * 60_000, Reason.WRONG_TYPE),
        (b'{"event_id":"\\ud800","label":1,"label_time_ms":1}', Reason.MALFORMED),
        (b'{"event_id":"e","label":NaN,"label_time_ms":1}', Reason.MALFORMED),
        (message(label=True), Reason.WRONG_TYPE),
        (message(label="fraud"), Reason.WRONG_TYPE),
        (message(label=None), Reason.WRONG_TYPE),
        (message(event_id=7), Reason.WRONG_TYPE),
        (message(label_time_ms=1.5), Reason.WRONG_TYPE),
        (b'{"event_id":"e","label":1}', Reason.WRONG_TYPE),
        (b'{"event_id":"e","label":1e400,"label_time_ms":1}', Reason.WRONG_TYPE),
        (message(label=0.5), Reason.OUT_OF_RANGE),
        (message(label=-1), Reason.OUT_OF_RANGE),
        (message(event_id=""), Reason.BAD_EVENT_ID),
        (message(event_id="e" * 70_000), Reason.TOO_LARGE),
        (message(event_id="e" * 60_000), Reason.BAD_EVENT_ID),
        (message(source="s" * MAX_LABEL_BYTES), Reason.TOO_LARGE),
        (message(label_time_ms=APPENDED_MS + AHEAD_MS + 1), Reason.BAD_EVENT_TIME),
        (message(label_time_ms=EARLIEST_MS - 1), Reason.BAD_EVENT_TIME),
        (message(label_time_ms=10**30), Reason.BAD_EVENT_TIME),
    ],
)
def test_what_is_no_label_is_rejected_with_its_reason_and_its_neighbours_are_not(
    value: bytes | None, reason: Reason
) -> None:
    labels, rejected = decoded(message(event_id="before"), value, message(event_id="after"))
    assert [label.event_id for label in labels] == ["before", "after"]
    assert rejected == [(1, reason)]


def test_labels_are_json_whatever_the_header_adds_to_it() -> None:
    types = [b"application/json", b"Application/JSON; charset=utf-8", None, b"text/csv"]
    labels, rejected = decoded(*[message()] * 4, content_types=types)
    assert len(labels) == 3
    assert rejected == [(3, Reason.UNKNOWN_CONTENT_TYPE)]


def test_the_latest_time_allowed_is_allowed() -> None:
    labels, _ = decoded(message(label_time_ms=APPENDED_MS + AHEAD_MS))
    assert labels[0].label_time_ms == APPENDED_MS + AHEAD_MS


@given(st.lists(st.one_of(st.none(), st.binary(max_size=60), st.just(message())), max_size=20))
def test_every_message_is_a_label_or_rejected(values: list[bytes | None]) -> None:
    labels, rejected = decoded(*values)
    assert len(labels) + len(rejected) == len(values)
    assert len({row for row, _ in rejected}) == len(rejected)
