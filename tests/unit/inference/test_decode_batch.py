"""What holds for a whole batch, whatever its formats."""

import numpy as np
import pytest

from inference.decode import Columns
from schemas.errors import Reason
from tests.unit.inference.events import (
    APPENDED_MS,
    GOOD_ROW,
    PACKED,
    columns,
    decode,
    decoder,
    json_event,
    packed_event,
    rejection,
)


def test_an_empty_batch_decodes_to_nothing() -> None:
    decoded = decode([])
    assert decoded.features.shape == (0, 6)
    assert decoded.rows.tolist() == []
    assert decoded.rejections == []


def test_a_batch_of_only_bad_rows_has_no_rows() -> None:
    decoded = decode([b"x", None, b"y" * 30_000, json_event()], [None, None, None, b"text/csv"])
    assert decoded.features.shape == (0, 6)
    assert [rejected.reason for rejected in decoded.rejections] == [
        Reason.MALFORMED,
        Reason.NULL_VALUE,
        Reason.TOO_LARGE,
        Reason.UNKNOWN_CONTENT_TYPE,
    ]


def test_formats_may_be_mixed_and_the_order_stays() -> None:
    values = [
        packed_event("a"),
        json_event("b"),
        b"bad",
        packed_event("c", time=9),
        b"bad",
        json_event("d"),
    ]
    types = [PACKED, None, PACKED, PACKED, b"application/json", b"application/json"]
    decoded = decode(list(values), list(types))
    assert decoded.rows.tolist() == [0, 1, 3, 5]
    assert decoded.event_ids == ["a", "b", "c", "d"]
    assert decoded.entities == ["customer-0", "customer-1", "customer-3", "customer-5"]
    assert decoded.features.tolist() == [GOOD_ROW] * 4
    assert decoded.features.flags.c_contiguous
    assert decoded.event_times_ms.tolist() == [APPENDED_MS, APPENDED_MS, 9, APPENDED_MS]
    assert [rejected.row for rejected in decoded.rejections] == [2, 4]


@pytest.mark.parametrize(
    "content_type",
    [None, b"application/json", b"application/json; charset=utf-8", b" Application/JSON "],
)
def test_json_is_known_by_its_names(content_type: bytes | None) -> None:
    assert decode([json_event()], [content_type]).rows.tolist() == [0]


@pytest.mark.parametrize("content_type", [b"", b"text/csv", b"\xff\xfe", b"x" * 5000])
def test_an_unknown_content_type_is_rejected_with_the_known_ones(content_type: bytes) -> None:
    decoded = decode([json_event(), json_event()], [None, content_type])
    assert decoded.rows.tolist() == [0]
    (rejected,) = decoded.rejections
    assert rejected.reason is Reason.UNKNOWN_CONTENT_TYPE
    assert "application/json" in rejected.explanation
    assert len(rejected.explanation) < 500


def test_a_null_value_is_rejected() -> None:
    assert rejection(None)[0] is Reason.NULL_VALUE
    assert rejection(None, PACKED)[0] is Reason.NULL_VALUE


def test_an_event_larger_than_allowed_is_rejected_with_its_size() -> None:
    payload = json_event(padding="x" * 20_000)
    reason, explanation = rejection(payload)
    assert reason is Reason.TOO_LARGE
    assert str(len(payload)) in explanation


def test_the_entity_is_the_key_whatever_its_bytes() -> None:
    keys = [b"card", None, b"", b"\xff\x00ok"]
    whole = columns([json_event()] * 4)
    decoded = decoder().decode(
        Columns(whole.offsets, whole.append_times_ms, keys, whole.values, None)
    )
    assert decoded.entities == ["card", "", "", "�\x00ok"]


def test_append_times_of_nonsense_do_not_wrap() -> None:
    whole = columns([json_event(time=5), json_event()])
    times = np.array([np.iinfo(np.int64).max, 0])
    decoded = decoder().decode(Columns(whole.offsets, times, whole.keys, whole.values, None))
    assert decoded.rows.tolist() == [0, 1]
    assert decoded.event_times_ms.tolist() == [5, 0]
