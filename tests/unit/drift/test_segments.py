"""Segments: which values get one, and what the reference keeps of their rows."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from drift.binning import bin_columns
from drift.columns import Matrix, specs_of
from drift.reference import Reference, make_reference
from drift.reference_bytes import decode_reference, encode_reference, reference_body
from drift.segments import MAX_SEGMENTS, MIN_SEGMENT_ROWS, Segment, choose_segments
from schemas.features import Dtype, Feature, FeatureSchema

SCHEMA = FeatureSchema(
    (
        Feature(name="amount"),
        Feature(name="channel", dtype=Dtype.CATEGORY, categories=("shop", "web", "mail")),
        Feature(name="night", dtype=Dtype.BOOLEAN, nullable=True),
    )
)


def rows(n: int = 6000) -> Matrix:
    """Amounts differ by channel; a twentieth is by mail, some channels are unseen (-1)."""
    rng = np.random.default_rng(0)
    channel = rng.choice([0.0, 1.0, 2.0, -1.0], n, p=[0.5, 0.4, 0.05, 0.05])
    night = rng.choice([0.0, 1.0, np.nan], n, p=[0.7, 0.2, 0.1])
    amount = rng.normal(10 * channel, 1)
    return np.column_stack([amount, channel, night, rng.random(n)]).astype(np.float32)


def reference(matrix: Matrix, *declared: str, keyed: bool = False) -> Reference:
    return make_reference(
        matrix,
        specs_of(SCHEMA),
        rng=np.random.default_rng(1),
        entity_keys=[f"card {row % 900}" for row in range(len(matrix))] if keyed else None,
        segments=choose_segments(SCHEMA, declared, matrix),
    )


def test_values_with_enough_rows_are_segments_and_rare_unseen_or_missing_ones_are_not() -> None:
    matrix = rows()
    chosen = choose_segments(SCHEMA, ["channel", "night"], matrix)
    names = [segment.name for segment in chosen]
    assert names == ["channel=shop", "channel=web", "night=false", "night=true"]
    web = chosen[1].places(matrix)
    assert len(web) >= MIN_SEGMENT_ROWS
    assert (matrix[web, 1] == 1.0).all()
    assert choose_segments(SCHEMA, [], matrix) == ()


def test_of_very_many_values_the_most_frequent_are_segments() -> None:
    names = tuple(f"c{number:02d}" for number in range(MAX_SEGMENTS + 5))
    schema = FeatureSchema((Feature(name="c", dtype=Dtype.CATEGORY, categories=names),))
    counts = [MIN_SEGMENT_ROWS + number for number in range(len(names))]
    matrix = np.repeat(np.arange(len(names)), counts).astype(np.float32)[:, None]
    chosen = choose_segments(schema, ["c"], matrix)
    assert [segment.name for segment in chosen] == [f"c={name}" for name in names[5:]]
    wide = np.repeat(matrix, 175, axis=1)
    chosen = choose_segments(schema, ["c"], wide)
    assert [segment.name for segment in chosen] == [f"c={name}" for name in names[-3:]]


def test_values_that_make_no_name_are_not_segments() -> None:
    values = ("a", "b\x1b[2J", "c" * 300)
    schema = FeatureSchema((Feature(name="c", dtype=Dtype.CATEGORY, categories=values),))
    matrix = np.repeat([0.0, 1.0, 2.0], 1000).astype(np.float32)[:, None]
    assert [segment.name for segment in choose_segments(schema, ["c"], matrix)] == ["c=a"]


def test_a_segment_s_reference_is_of_its_rows_over_the_bins_of_all() -> None:
    matrix = rows()
    made = reference(matrix, "channel")
    web = made.of_segment("channel=web")
    assert web is not None
    own = matrix[matrix[:, 1] == 1.0]
    assert web.columns == bin_columns(matrix, specs_of(SCHEMA))
    assert web.n == len(own)
    assert web.counts.tolist() == made.columns.count(own).tolist()
    assert web.blocks.sum(axis=1).tolist() == [web.block_rows * 4] * len(web.blocks)
    assert (web.sample[:, 1] == 1.0).all()
    assert made.of_segment("") is made
    assert made.of_segment("channel=mail") is None


def test_all_rows_have_the_same_reference_with_segments_and_without() -> None:
    made, plain = reference(rows(), "channel", "night"), reference(rows())
    assert replace(made, segments=()).fingerprint == plain.fingerprint
    assert made.fingerprint != plain.fingerprint


@pytest.mark.parametrize("keyed", [False, True])
def test_segments_survive_the_reference_s_bytes(keyed: bool) -> None:
    made = reference(rows(), "channel", "night", keyed=keyed)
    again = decode_reference(encode_reference(made))
    assert again.fingerprint == made.fingerprint
    assert [segment for segment, _ in again.segments] == [segment for segment, _ in made.segments]
    for (_, before), (_, after) in zip(made.segments, again.segments, strict=True):
        assert after.columns is again.columns
        assert after.fingerprint == before.fingerprint
        assert (after.customers is not None) == keyed


def test_a_reference_without_segments_has_the_bytes_it_had_before_there_were_any() -> None:
    body = reference_body(reference(rows(700)))
    assert b"segments" not in body
    assert b"segments" in reference_body(reference(rows(), "channel"))


def test_segments_that_contradict_the_reference_are_refused() -> None:
    made = reference(rows(), "channel")
    (segment, own), (_, other) = made.segments
    for wrong in (
        [(msgspec.structs.replace(segment, column=7), own)],
        [(segment, own), (segment, other)],
        [(msgspec.structs.replace(segment, name=""), own)],
        [(segment, replace(own, block_rows=own.block_rows + 1))],
    ):
        with pytest.raises(ValueError, match="not a drift reference"):
            decode_reference(encode_reference(replace(made, segments=tuple(wrong))))


def test_a_segment_without_rows_has_no_reference() -> None:
    with pytest.raises(ValueError, match="no rows"):
        make_reference(
            rows(100),
            specs_of(SCHEMA),
            rng=np.random.default_rng(0),
            segments=[Segment("channel=none", 1, 17.0)],
        )
