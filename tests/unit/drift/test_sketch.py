"""A sketch counts each row once, knows what it covers, and survives its bytes."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from drift.coverage import Coverage
from drift.entities import EntityTable, hash_entities
from drift.merging import merge_once
from drift.row_sample import RowSample, hash_places
from drift.sketch import MAGIC, Sketch, decode_sketch
from drift.summary import summarise
from tests.unit.drift.rows import columns, key, rows

COLUMNS = columns()
SOURCE = ("topic-id", 0)


def covers(begin: int, end: int, partition: int = 0) -> Coverage:
    return Coverage.of({("topic-id", partition): [(begin, end)]})


def piece(begin: int, end: int, partition: int = 0, seed: int = 3) -> Sketch:
    """A sketch of one row for each offset; the same offsets give the same rows."""
    matrix = rows(1000, seed)[begin:end]
    return Sketch.empty(COLUMNS, key(COLUMNS)).update(
        COLUMNS, matrix, covers(begin, end, partition)
    )


def test_counts_and_moments_are_those_of_the_values() -> None:
    matrix = rows(5000)
    summary = summarise(COLUMNS, matrix)
    wide = matrix.astype(np.float64)
    assert summary.n == 5000
    assert summary.n_missing(COLUMNS).tolist() == np.isnan(matrix).sum(axis=0).tolist()
    np.testing.assert_allclose(summary.means(COLUMNS), np.nanmean(wide, axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        summary.variances(), np.nanvar(wide, axis=0, ddof=1), rtol=1e-12, atol=0
    )
    assert summary.minimum.tolist() == np.nanmin(matrix, axis=0).tolist()
    assert summary.maximum.tolist() == np.nanmax(matrix, axis=0).tolist()
    assert summary.n_out_of_range[0] == ((wide[:, 0] < 0) | (wide[:, 0] > 3)).sum() > 0
    assert summary.n_unseen(COLUMNS)[4] == (matrix[:, 4] == -1).sum() > 0


def test_infinities_count_and_are_extremes_but_leave_the_moments_alone() -> None:
    matrix = rows(100, missing=0.0)
    matrix[:2, 0] = [np.inf, -np.inf]
    summary = summarise(COLUMNS, matrix)
    assert summary.n_finite[0] == 98
    assert (summary.minimum[0], summary.maximum[0]) == (-np.inf, np.inf)
    assert summary.means(COLUMNS)[0] == pytest.approx(matrix[2:, 0].mean(dtype=np.float64))


def test_no_rows_have_no_mean_and_no_variance() -> None:
    summary = summarise(COLUMNS, rows(0))
    assert summary.n == 0
    assert np.isnan(summary.means(COLUMNS)).all()
    assert np.isnan(summary.variances()).all()


def test_a_variance_keeps_its_digits_far_from_zero_and_from_the_reference() -> None:
    matrix = np.full((4096, 6), 16_000_000, dtype=np.float32)
    matrix[::2] += 1
    assert summarise(COLUMNS, matrix).variances() == pytest.approx(
        [0.25 * 4096 / 4095] * 6, rel=1e-9
    )


def test_sketches_that_cover_the_same_offsets_do_not_merge() -> None:
    with pytest.raises(ValueError, match="same offsets"):
        piece(0, 10).merge(piece(9, 20))
    assert piece(0, 10).merge(piece(10, 20)).coverage == covers(0, 20)
    assert piece(0, 10).merge(piece(0, 10, partition=1)).n == 20


@pytest.mark.parametrize(
    "other", [{"segment": "NO"}, {"model_version": "v2"}, {"window_start_ms": 1}, {"columns": "?"}]
)
def test_sketches_of_different_things_do_not_merge(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="different things"):
        piece(0, 10).merge(replace(piece(10, 20), key=key(COLUMNS, **other)))


def test_a_replay_in_larger_pieces_replaces_what_it_covers() -> None:
    merged = merge_once([piece(0, 10), piece(10, 20), piece(0, 25), piece(25, 30)])
    assert merged.sketch.coverage == covers(0, 30)
    assert merged.sketch.n == 30
    assert merged.missed == Coverage()


def test_what_overlapping_pieces_cannot_give_is_said() -> None:
    merged = merge_once([piece(0, 10), piece(5, 20)])
    assert merged.sketch.coverage == covers(5, 20)
    assert merged.missed == covers(0, 5)


def test_merged_sketches_of_several_partitions_count_once_among_their_pieces() -> None:
    both = piece(0, 10).merge(piece(0, 10, partition=1))
    merged = merge_once([piece(0, 10, partition=1), both, piece(10, 20), both])
    assert merged.sketch.n == 30
    assert len(merged.used) == 2


def test_nothing_does_not_merge() -> None:
    with pytest.raises(ValueError, match="nothing"):
        merge_once([])


def test_a_sketch_survives_its_bytes_bit_for_bit() -> None:
    hashes = hash_entities([f"card {i % 40}" for i in range(100)])
    places = hash_places(SOURCE, np.arange(100))
    sketch = Sketch.empty(COLUMNS, key(COLUMNS), entity_limit=20, sample_limit=10).update(
        COLUMNS, rows(100), covers(0, 100), hashes, places
    )
    again = decode_sketch(sketch.encode(), COLUMNS)
    assert again.encode() == sketch.encode()
    assert again.key == sketch.key
    assert again.coverage == sketch.coverage
    assert again.summary.m2.tolist() == sketch.summary.m2.tolist()
    assert again.entities is not None
    assert again.entities.counts.tolist() == sketch.entities.counts.tolist()  # type: ignore[union-attr]


def test_a_sketch_of_31_columns_travels_in_under_3_kilobytes() -> None:
    from drift.binning import bin_columns
    from drift.columns import ColumnSpec

    matrix = np.random.default_rng(0).normal(size=(10_000, 31)).astype(np.float32)
    wide = bin_columns(matrix, [ColumnSpec(f"v{i}") for i in range(31)])
    sketch = Sketch.empty(wide, key(wide)).update(wide, matrix, covers(0, 10_000))
    assert len(sketch.encode()) < 3000


def test_bytes_that_are_cut_changed_or_something_else_are_refused() -> None:
    data = piece(0, 100).encode()
    for broken in (b"", b"{}", data[:-1], data + b"x", b"TDS\x02" + data[4:], MAGIC + b"\x00" * 40):
        with pytest.raises(ValueError, match="not a drift sketch"):
            decode_sketch(broken)
    rng = np.random.default_rng(0)
    for place in rng.integers(4, len(data), 200):
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError, match="not a drift sketch"):
            decode_sketch(bytes(changed))


def test_counts_that_are_not_those_of_the_rows_are_refused() -> None:
    sketch = piece(0, 100)
    counts = sketch.summary.counts.copy()
    counts[0] += 1
    lying = replace(sketch, summary=replace(sketch.summary, counts=counts))
    with pytest.raises(ValueError, match="counts"):
        decode_sketch(lying.encode())


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="above"):
        decode_sketch(MAGIC + zlib.compress(b"\x00" * (80 * 2**20)))


def test_a_sketch_over_another_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="other columns"):
        decode_sketch(piece(0, 10).encode(), columns(seed=9))


def test_entities_with_few_rows_are_counted_exactly() -> None:
    table = EntityTable.of(hash_entities([b"a", b"b", b"a", b"a"]), limit=10)
    assert table.is_complete
    assert sorted(table.counts.tolist()) == [1, 3]
    assert table.rows_per_row_of(table) == 10 / 4


def test_a_sampled_table_estimates_rows_per_entity_and_overlap() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 20_000, size=100_000)
    other = rng.integers(10_000, 30_000, size=50_000)
    true = np.bincount(keys, minlength=30_000), np.bincount(other, minlength=30_000)
    table = EntityTable.of(hash_entities(keys), limit=2000)
    window = EntityTable.of(hash_entities(other), limit=1000)
    # A ratio over 2,000 entities with about 5 rows each, and one over about 1,000 of which half are
    # shared, products with relative spread under 1: standard errors of 2% and 5%; five of each.
    own = (true[0] ** 2).sum() / 100_000
    shared = (true[0] * true[1]).sum() / 50_000
    assert table.rows_per_row_of(table) == pytest.approx(own, rel=0.1)
    assert table.rows_per_row_of(window) == pytest.approx(shared, rel=0.25)


def test_hashes_of_texts_do_not_depend_on_the_other_texts_of_the_batch() -> None:
    keys = ["a", "ab", "", "a" * 8, "a" * 9, "ø", "a-rather-long-key-of-a-customer"]
    together = hash_entities(keys)
    assert len(set(together.tolist())) == len(keys)
    assert together.tolist() == [int(hash_entities([k])[0]) for k in keys]
    assert together.tolist() == hash_entities([k.encode() for k in keys]).tolist()
    assert together.tolist() == hash_entities(np.array(keys, dtype=object)).tolist()


def test_hashes_of_entities_are_what_they_were() -> None:
    """Stored references and live windows must agree on them for years."""
    assert hash_entities(["card 1", "a-rather-long-key-of-a-customer"]).tolist() == [
        9602767016912045166,
        3013714857476569682,
    ]
    assert hash_entities(np.array([7, -7])).tolist() == [7191089600892374487, 7790691224305936752]


@pytest.mark.parametrize("keys", [[1.5], [None], [["a"], ["b", "c"]], ["a", 1]])
def test_keys_of_another_sort_are_refused(keys: list[object]) -> None:
    with pytest.raises(ValueError):
        hash_entities(keys)  # type: ignore[arg-type]


def test_every_row_is_as_likely_to_be_in_the_sample() -> None:
    """1,000 partitions of 100 rows, 10 kept of each: 1,000 of each tenth of the offsets."""
    offsets = np.arange(100, dtype=np.int64)
    matrix = offsets.astype(np.float32)[:, None]
    kept = [
        RowSample.of(hash_places(("t", p), offsets), matrix, 10).rows[:, 0] for p in range(1000)
    ]
    tenths = np.bincount(np.concatenate(kept).astype(int) // 10, minlength=10)
    assert tenths.sum() == 10_000
    assert (np.abs(tenths - 1000) < 4.5 * np.sqrt(1000)).all()  # missed by chance once in 10^4


def test_entities_and_samples_are_asked_for_or_not() -> None:
    sketch = piece(0, 10)
    with pytest.raises(ValueError, match="entity hashes"):
        sketch.update(COLUMNS, rows(1), None, hash_entities(["a"]))
    with pytest.raises(ValueError, match="place hashes"):
        Sketch.empty(COLUMNS, key(COLUMNS), sample_limit=5).update(COLUMNS, rows(1))
    with pytest.raises(ValueError, match="does not"):
        Sketch.empty(COLUMNS, key(COLUMNS), entity_limit=5).merge(sketch)
    with pytest.raises(ValueError, match="do not merge"):
        Sketch.empty(COLUMNS, key(COLUMNS), entity_limit=5).merge(
            Sketch.empty(COLUMNS, key(COLUMNS), entity_limit=6)
        )
