"""What holds for a whole batch, whatever its formats."""

import numpy as np
import pytest

from inference.decode import Columns
from inference.decode.batch import MAX_ENTITY_BYTES
from schemas.codecs import json, packed
from schemas.errors import Reason
from schemas.features import Dtype, Feature, FeatureSchema
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


def test_an_entity_longer_than_predictions_can_carry_is_rejected() -> None:
    whole = columns([json_event(), json_event(), None])
    keys = [b"k" * MAX_ENTITY_BYTES, b"k" * (MAX_ENTITY_BYTES + 1), b"k" * 5000]
    decoded = decoder().decode(
        Columns(whole.offsets, whole.append_times_ms, keys, whole.values, None)
    )
    assert decoded.rows.tolist() == [0]
    assert [each.reason for each in decoded.rejections] == [Reason.TOO_LARGE, Reason.NULL_VALUE]
    assert str(MAX_ENTITY_BYTES + 1) in decoded.rejections[0].explanation


def test_append_times_of_nonsense_do_not_wrap() -> None:
    whole = columns([json_event(time=5), json_event()])
    times = np.array([np.iinfo(np.int64).max, 0])
    decoded = decoder().decode(Columns(whole.offsets, times, whole.keys, whole.values, None))
    assert decoded.rows.tolist() == [0, 1]
    assert decoded.event_times_ms.tolist() == [5, 0]


NULLABLE = FeatureSchema(
    (
        Feature(name="f", minimum=0, nullable=True),
        Feature(name="i", dtype=Dtype.INTEGER, nullable=True),
        Feature(name="b", dtype=Dtype.BOOLEAN, nullable=True),
        Feature(name="c", dtype=Dtype.CATEGORY, categories=("x", "y"), nullable=True),
        Feature(
            name="o", dtype=Dtype.CATEGORY, categories=("x",), nullable=True, unseen_allowed=True
        ),
    )
)


@pytest.mark.parametrize("encoder", [json.Encoder(NULLABLE), packed.Encoder(NULLABLE)])
@pytest.mark.parametrize("absent", range(6))
def test_every_dtype_may_be_nullable(encoder: json.Encoder | packed.Encoder, absent: int) -> None:
    row: list[float | bool | str | None] = [0.5, -3, False, "y", "z"]
    expected = [0.5, -3.0, 0.0, 1.0, -1.0]
    if absent < 5:
        row[absent], expected[absent] = None, float("nan")
    payload, content_type = encoder.encode("e", None, row), encoder.content_type.encode()
    decoded = decode([payload] * 2, [content_type] * 2, NULLABLE)
    assert decoded.rejections == []
    assert np.array_equal(decoded.features, np.array([expected] * 2), equal_nan=True)


@pytest.mark.parametrize("encoder", [json.Encoder(NULLABLE), packed.Encoder(NULLABLE)])
def test_an_event_of_nothing_but_nulls_is_good_where_all_are_nullable(
    encoder: json.Encoder | packed.Encoder,
) -> None:
    payload = encoder.encode("e", None, [None] * 5)
    decoded = decode([payload], [encoder.content_type.encode()], NULLABLE)
    assert np.isnan(decoded.features).all()
    assert decoded.rows.tolist() == [0]


def test_both_formats_give_the_same_matrix() -> None:
    schema = FeatureSchema.of_floats([f"V{index}" for index in range(30)])
    values = np.random.default_rng(0).normal(size=(64, 30)).astype(np.float32)
    matrices = []
    for encoder in (json.Encoder(schema), packed.Encoder(schema)):
        payloads = [encoder.encode(f"e{at}", 1, row.tolist()) for at, row in enumerate(values)]
        content_types = [encoder.content_type.encode()] * len(payloads)
        matrices.append(decode(list(payloads), list(content_types), schema).features)
    assert (matrices[0] == matrices[1]).all()
    assert (matrices[0] == values).all()
