"""Bins are exact for every float32; sketches of any cut, order and replay are the whole's."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drift.assign import CHUNK_ROWS
from drift.binning import bin_columns
from drift.columns import Column, Columns, ColumnSpec, Kind
from drift.coverage import Coverage
from drift.entities import EntityTable, hash_entities
from drift.merging import merge_once
from drift.row_sample import hash_places
from drift.sketch import Sketch, decode_sketch
from drift.summary import Summary, summarise
from tests.unit.drift.rows import columns, key, rows

ANY = st.one_of(
    st.floats(width=32),
    st.sampled_from(
        [0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, 1.0]
    ).map(lambda value: float(np.float32(value))),
    st.integers(-3, 12).map(float),
)
CATEGORY = ColumnSpec("x", categories=("a", "b", "c", "d"))


def bin_of(column: Column, value: float) -> int:
    """The plain meaning of a column's bins, one value at a time."""
    if math.isnan(value):
        return column.missing_bin
    if column.kind in (Kind.NUMERIC, Kind.MIXED):
        return next((i for i, cut in enumerate(column.cuts) if value <= cut), len(column.cuts))
    if column.kind is Kind.CONSTANT:
        return 0 if value < column.cuts[0] else 1 if value == column.cuts[0] else 2
    assert column.other_bin is not None
    if value in column.cuts:
        return column.cuts.index(value)
    if value in [float(code) for code in range(column.n_categories)]:
        return len(column.cuts)  # a rarer category
    return column.other_bin


@settings(max_examples=300)
@given(st.lists(ANY, min_size=1, max_size=120), st.lists(ANY, max_size=30), st.integers(2, 12))
def test_every_value_falls_in_the_bin_that_its_column_says(
    reference: list[float], window: list[float], n_bins: int
) -> None:
    made = bin_columns(
        np.array([reference, reference], dtype=np.float32).T,
        [ColumnSpec("v"), CATEGORY],
        n_bins,
    )
    cuts = np.array(made[0].cuts, dtype=np.float32)
    with np.errstate(over="ignore"):
        near = np.nextafter(cuts, [[-np.inf], [np.inf]], dtype=np.float32).ravel().tolist()
    values = [*window, *reference, *near, *made[0].cuts]
    matrix = np.array([values, values], dtype=np.float32).T
    places = made.assign(matrix)
    for index, column in enumerate(made):
        expected = [int(made.offsets[index]) + bin_of(column, v) for v in matrix[:, index].tolist()]
        assert places[index].tolist() == expected
    assert (
        made.count(matrix).tolist() == np.bincount(places.ravel(), minlength=made.n_bins).tolist()
    )


@given(st.lists(ANY, min_size=1, max_size=200), st.integers(2, 12))
def test_every_bin_of_a_numeric_column_holds_rows_of_the_reference(
    reference: list[float], n_bins: int
) -> None:
    matrix = np.array(reference, dtype=np.float32)[:, None]
    made = bin_columns(matrix, [ColumnSpec("v")], n_bins)
    assume(made[0].kind in (Kind.NUMERIC, Kind.MIXED))
    assert (made.count(matrix)[:-1] > 0).all()


COLUMNS = columns()
ROWS = rows(700, seed=11)
ROWS[5, 0], ROWS[300, 5] = np.inf, -np.inf


def same_exactly(one: Summary, other: Summary) -> None:
    assert one.n == other.n
    for name in ("counts", "n_finite", "n_out_of_range"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    for name in ("minimum", "maximum"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def same(one: Summary, other: Summary) -> None:
    """Bit-equal but for moments, which are within 1e-9 (the mean: of a standard deviation)."""
    same_exactly(one, other)
    deviation = np.sqrt(other.m2 / np.maximum(other.n_finite, 1))
    assert (np.abs(one.shift - other.shift) <= 1e-9 * deviation).all()
    np.testing.assert_allclose(one.m2, other.m2, rtol=1e-9, atol=0)


CUTS = st.lists(st.integers(0, len(ROWS)), max_size=12).map(lambda cuts: sorted({0, *cuts, 700}))


def piece(begin: int, end: int, partition: int = 0) -> Sketch:
    hashes = hash_entities(np.arange(begin, end) % 60)
    source = ("t", partition)
    places = hash_places(source, np.arange(begin, end))
    return Sketch.empty(COLUMNS, key(COLUMNS), entity_limit=16, sample_limit=9).update(
        COLUMNS, ROWS[begin:end], Coverage.of({source: [(begin, end)]}), hashes, places
    )


def pieces(cuts: list[int], partition: int = 0) -> list[Sketch]:
    return [piece(a, b, partition) for a, b in pairwise(cuts)]


WHOLE = piece(0, 700)


def same_entities_and_sample(one: Sketch, other: Sketch) -> None:
    assert one.entities is not None
    assert other.entities is not None
    assert one.entities.hashes.tolist() == other.entities.hashes.tolist()
    assert one.entities.counts.tolist() == other.entities.counts.tolist()
    assert one.entities.below == other.entities.below
    assert one.sample is not None
    assert other.sample is not None
    assert one.sample.rows.tobytes() == other.sample.rows.tobytes()


@given(CUTS, st.randoms(use_true_random=False))
def test_pieces_merged_in_any_order_and_grouping_are_the_whole(
    cuts: list[int], chance: random.Random
) -> None:
    left = pieces(cuts)
    while len(left) > 1:
        one = left.pop(chance.randrange(len(left)))
        other = left.pop(chance.randrange(len(left)))
        merged = one.merge(other)
        assert merged.encode() == other.merge(one).encode(), "merge is commutative bit for bit"
        left.append(merged)
    same(left[0].summary, WHOLE.summary)
    same_entities_and_sample(left[0], WHOLE)
    assert left[0].coverage == WHOLE.coverage


@given(CUTS, st.lists(CUTS, max_size=3), st.data())
def test_replays_and_recuts_in_any_order_count_every_offset_once(
    cuts: list[int], replays: list[list[int]], data: st.DataObject
) -> None:
    """A worker that died published any of its pieces; its successor began at a committed cut."""
    published = pieces(cuts)
    for again in replays:
        begin = data.draw(st.sampled_from(cuts))
        cuts_again = sorted({begin, *(cut for cut in again if cut > begin), 700})
        published += pieces(cuts_again)[: data.draw(st.integers(0, 12))]
    doubled = published + data.draw(st.lists(st.sampled_from(published), max_size=5))
    merged = merge_once(data.draw(st.permutations(doubled)))
    assert merged.sketch.coverage == WHOLE.coverage
    assert merged.missed == Coverage()
    same(merged.sketch.summary, WHOLE.summary)
    same_entities_and_sample(merged.sketch, WHOLE)
    assert merged.sketch.encode() == merge_once(published).sketch.encode()


@given(CUTS, CUTS, st.data())
def test_workers_of_two_partitions_give_the_same_bits_in_whatever_order_their_pieces_come(
    a: list[int], b: list[int], data: st.DataObject
) -> None:
    published = pieces(a, 0) + pieces(b, 1)
    merged = merge_once(data.draw(st.permutations(published)))
    assert merged.sketch.n == 1400
    assert merged.sketch.encode() == merge_once(published).sketch.encode()


RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda r: (r[0], r[0] + r[1])),
    min_size=1,
    max_size=7,
)


@settings(max_examples=60)
@given(RANGES)
def test_of_pieces_that_overlap_those_that_cover_most_are_chosen(
    ranges: list[tuple[int, int]],
) -> None:
    merged = merge_once([piece(begin, end) for begin, end in ranges])
    best = 0
    for chosen in range(2 ** len(ranges)):
        own = sorted(r for i, r in enumerate(ranges) if chosen >> i & 1)
        if all(a[1] <= b[0] for a, b in pairwise(own)):
            best = max(best, sum(end - begin for begin, end in own))
    assert merged.sketch.coverage.n_offsets == best == merged.sketch.n
    everything = {o for begin, end in ranges for o in range(begin, end)}
    assert merged.missed.n_offsets == len(everything) - best


@given(RANGES, RANGES)
def test_coverage_is_a_set_of_offsets(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    def offsets(coverage: Coverage) -> set[int]:
        return {o for found in coverage.ranges.values() for r in found for o in range(*r)}

    one, other = Coverage.of({("t", 0): a}), Coverage.of({("t", 0): b})
    assert offsets(one) == {o for r in a for o in range(*r)}
    assert offsets(one.union(other)) == offsets(one) | offsets(other)
    assert offsets(one.minus(other)) == offsets(one) - offsets(other)
    assert one.overlaps(other) == bool(offsets(one) & offsets(other))
    assert one.minus(other).union(other) == one.union(other)
    assert one.minus(one) == Coverage()


@given(st.binary(max_size=200))
def test_garbage_is_no_sketch(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a drift sketch"):
        decode_sketch(data)
    with pytest.raises(ValueError, match="not a drift sketch"):
        decode_sketch(b"TDS\x01" + data)


@given(st.lists(st.integers(0, 40), max_size=100), st.integers(1, 20), st.data())
def test_a_table_of_entities_is_the_bottom_of_all_their_hashes(
    keys: list[int], limit: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(keys)))
    hashes = hash_entities(np.array(keys, dtype=np.int64))
    table = EntityTable.of(hashes[:cut], limit).merge(EntityTable.of(hashes[cut:], limit))
    expected = sorted(set(hashes.tolist()))[:limit]
    assert table.hashes.tolist() == expected
    assert table.counts.tolist() == [hashes.tolist().count(h) for h in expected]
    assert table.is_complete == (len(set(keys)) <= limit)


VALUES = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(st.lists(VALUES, min_size=1, max_size=60), st.integers(0, 60))
def test_moments_of_any_two_pieces_are_those_of_the_whole(values: list[float], cut: int) -> None:
    matrix = np.array(values, dtype=np.float32)[:, None]
    made = bin_columns(matrix, [ColumnSpec("v")])
    merged = summarise(made, matrix[:cut]).merge(summarise(made, matrix[cut:]))
    same_within_digits(merged, summarise(made, matrix), matrix)


def same_within_digits(one: Summary, other: Summary, matrix: NDArray[np.float32]) -> None:
    same_exactly(one, other)
    finite = matrix[np.isfinite(matrix)].astype(np.float64)
    largest = float(np.ptp(finite)) if len(finite) else 0.0
    assert abs(one.shift[0] - other.shift[0]) <= 1e-9 * largest
    assert one.m2[0] == pytest.approx(other.m2[0], rel=1e-9, abs=0)


def test_more_rows_than_a_chunk_are_the_sum_of_their_parts() -> None:
    matrix = rows(3 * CHUNK_ROWS + 17, seed=4)
    whole = summarise(COLUMNS, matrix)
    assert whole.counts.tolist() == COLUMNS.count(matrix).tolist()
    same(summarise(COLUMNS, matrix[:100]).merge(summarise(COLUMNS, matrix[100:])), whole)


@given(st.permutations(range(6)))
def test_columns_give_the_same_bins_in_any_order(order: list[int]) -> None:
    shuffled = Columns([COLUMNS[i] for i in order])
    matrix = rows(300)
    counts, expected = shuffled.count(matrix[:, order]), COLUMNS.count(matrix)
    for place, index in enumerate(order):
        assert shuffled.of(counts, place).tolist() == COLUMNS.of(expected, index).tolist()
