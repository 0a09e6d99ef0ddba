"""The reference: what is kept of the training rows, what it warns of, and its bytes."""

from dataclasses import replace

import numpy as np
import pytest

from drift.binning import bin_columns
from drift.columns import ColumnSpec
from drift.customers import customer_moments
from drift.entities import EntityTable, hash_entities
from drift.reference import Reference, make_reference
from drift.reference_bytes import decode_reference, encode_reference
from drift.season import HOUR_MS, make_season
from tests.unit.drift.rows import SPECS, rows

MONDAY = 1_704_067_200_000  # 2024-01-01 00:00 UTC


def reference(n: int = 6000, **given: object) -> Reference:
    return make_reference(rows(n), SPECS, rng=np.random.default_rng(0), **given)  # type: ignore[arg-type]


def full() -> Reference:
    return reference(
        3000,
        event_times=MONDAY + np.arange(3000, dtype=np.int64) * HOUR_MS // 6,
        entity_keys=[f"card {i % 700}" for i in range(3000)],
        season_slot_hours=4,
        calendar=["small_integer"],
    )


def test_a_reference_keeps_counts_of_all_rows_and_of_equal_blocks_in_time_order() -> None:
    made = reference(6100)
    matrix = rows(6100)
    assert made.counts.tolist() == made.columns.count(matrix).tolist()
    assert made.blocks.shape == (240, made.columns.n_bins)
    assert made.block_rows == 25
    first = 6100 - 240 * 25
    for place in (0, 100, 239):
        begin = first + place * 25
        assert (
            made.blocks[place].tolist() == made.columns.count(matrix[begin : begin + 25]).tolist()
        )


def test_longer_blocks_are_sums_of_neighbours_up_to_the_newest_row() -> None:
    made = reference(6000)
    blocks, size = made.blocks_of(170)
    assert (blocks.shape[0], size) == (34, 175)
    newest = made.columns.count(rows(6000)[-175:])
    assert blocks[-1].tolist() == newest.tolist()
    assert made.blocks_of(1)[1] == 25
    assert made.blocks_of(7000)[0].shape == (0, made.columns.n_bins)


def test_event_times_put_rows_in_order() -> None:
    times = MONDAY + np.arange(2400, dtype=np.int64)
    shuffled = np.random.default_rng(5).permutation(2400)
    keys = np.arange(2400) % 50
    one = reference(2400, event_times=times, entity_keys=keys)
    other = make_reference(
        rows(2400)[shuffled],
        SPECS,
        rng=np.random.default_rng(0),
        event_times=times[shuffled],
        entity_keys=keys[shuffled],
    )
    assert one.fingerprint == other.fingerprint


def test_the_sample_is_rows_of_the_reference_in_their_order_and_bounded() -> None:
    matrix = rows(5000, missing=0.0)
    matrix[:, 0] = np.arange(5000)
    made = make_reference(matrix, SPECS, rng=np.random.default_rng(1), sample_rows=300)
    places = made.sample[:, 0].astype(int)
    assert made.sample.shape == (300, 6)
    assert (np.diff(places) > 0).all()
    assert made.sample.tolist() == matrix[places].tolist()
    assert len(reference(100).sample) == 100


def test_a_long_reference_warns_of_nothing_but_its_constant_column() -> None:
    assert reference(6000).warnings(600) == ("constant in the reference: constant",)


@pytest.mark.parametrize(
    ("n", "window_rows", "said"),
    [(6000, 601, "under 10"), (490, 10, "49 blocks of 10 rows: under 50")],
)
def test_a_reference_too_short_for_the_window_says_so(n: int, window_rows: int, said: str) -> None:
    assert any(said in warning for warning in reference(n).warnings(window_rows))


def test_a_reference_says_which_columns_are_always_missing() -> None:
    matrix = rows(600)
    matrix[:, 1] = np.nan
    made = make_reference(matrix, SPECS, rng=np.random.default_rng(0))
    assert "always missing in the reference: zero_inflated" in made.warnings(10)


def test_few_entities_and_a_short_season_are_warned_of() -> None:
    made = reference(
        1000,
        event_times=MONDAY + np.arange(1000, dtype=np.int64) * 60_000,
        entity_keys=np.arange(1000) % 7,
        season_slot_hours=24,
    )
    said = " ".join(made.warnings(10))
    assert "7 entities" in said
    assert "the season is made of 0.1 weeks, under 2, and is not used" in said


def test_the_customer_covariance_is_that_of_pairs_of_rows_of_one_entity() -> None:
    matrix = rows(300)
    keys = np.random.default_rng(2).integers(0, 90, 300)
    columns = bin_columns(matrix, SPECS)
    moments = customer_moments(columns, matrix, hash_entities(keys))
    sizes = np.bincount(keys)
    assert moments.excess == pytest.approx((sizes**2).sum() / 300 - 1)
    assert moments.n_entities == len(set(keys.tolist()))
    places = columns.assign(matrix)
    for index in range(len(columns)):
        indicator = np.zeros((300, columns[index].n_bins))
        indicator[np.arange(300), places[index] - columns.offsets[index]] = 1
        centred = indicator - indicator.mean(axis=0)
        pairs = (keys[:, None] == keys[None, :]) & ~np.eye(300, dtype=bool)
        expected = centred.T @ pairs @ centred / pairs.sum()
        np.testing.assert_allclose(moments.covariance(columns, index), expected, atol=1e-12)


def test_the_formula_of_the_customer_covariance_is_the_one_of_the_facts() -> None:
    matrix = rows(400)
    keys = np.random.default_rng(3).integers(0, 120, 400)
    columns = bin_columns(matrix, SPECS)
    moments = customer_moments(columns, matrix, hash_entities(keys))
    p = columns.of(columns.count(matrix), 4) / 400
    codes = columns.assign(matrix)[4] - columns.offsets[4]
    sums = np.zeros((120, len(p)))
    np.add.at(sums, keys, np.eye(len(p))[codes] - p)
    sizes = np.bincount(keys, minlength=120)
    d = np.diag(p) - np.outer(p, p)
    g = (sums.T @ sums - 400 * d) / (sizes * (sizes - 1)).sum()
    np.testing.assert_allclose(moments.covariance(columns, 4), g, atol=1e-12)


def test_entities_of_one_row_each_have_no_covariance() -> None:
    made = reference(500, entity_keys=np.arange(500))
    assert made.customers is not None
    assert made.customers.excess == 0
    assert not made.customers.covariances.any()


def test_the_overlap_with_a_window_is_the_sum_of_products_of_counts() -> None:
    made = full()
    window = EntityTable.of(hash_entities(["card 1", "card 1", "card 699", "new"]), limit=100)
    counts = [len(range(i, 3000, 700)) for i in (1, 699)]
    assert made.customers is not None
    repeats = made.customers.repeats(window, 4)
    assert repeats.overlap == pytest.approx((2 * counts[0] + counts[1]) / (3000 * 4))
    assert repeats.excess == (4 + 1 + 1) / 4 - 1


def test_a_season_counts_rows_by_the_hours_of_the_week_from_monday() -> None:
    columns = bin_columns(rows(1000), SPECS)
    matrix = rows(400)
    times = MONDAY + np.random.default_rng(0).integers(0, 3 * 168, 400) * HOUR_MS
    season = make_season(columns, matrix, times, slot_hours=24)
    monday = ((times - MONDAY) // HOUR_MS % 168) < 24
    assert season.rows[0] == monday.sum() > 0
    counts, n = season.counts_for(MONDAY + 20 * HOUR_MS, MONDAY + 24 * HOUR_MS)
    assert counts.tolist() == columns.count(matrix[monday]).tolist()
    assert n == monday.sum()
    assert np.flatnonzero(season.weights(MONDAY - 1, MONDAY + 1)).tolist() == [0, 6]
    whole, n = season.counts_for(0, 10**12)
    assert (whole.tolist(), n) == (columns.count(matrix).tolist(), 400)


def test_a_reference_survives_its_bytes() -> None:
    made = full()
    again = decode_reference(encode_reference(made))
    assert again.fingerprint == made.fingerprint
    assert again.columns == made.columns
    assert again.blocks.tolist() == made.blocks.tolist()
    assert again.calendar == ("small_integer",)
    assert again.season is not None
    assert again.customers is not None
    assert again.customers.sum_squares == made.customers.sum_squares  # type: ignore[union-attr]
    assert again.warnings(300) == made.warnings(300)
    np.testing.assert_array_equal(again.sample, made.sample)


def test_a_plain_reference_survives_its_bytes() -> None:
    made = reference(50)
    again = decode_reference(encode_reference(made))
    assert (again.customers, again.season) == (None, None)
    assert again.fingerprint == made.fingerprint


def test_the_fingerprint_changes_with_the_content() -> None:
    made = full()
    assert replace(made, calendar=()).fingerprint != made.fingerprint
    assert replace(made, sample=made.sample[1:]).fingerprint != made.fingerprint


def test_other_bytes_are_refused() -> None:
    data = encode_reference(full())
    for broken in (b"", data[:-1], data + b"x", b"TDS\x01" + data[4:]):
        with pytest.raises(ValueError, match="not a drift reference"):
            decode_reference(broken)
    rng = np.random.default_rng(0)
    for place in rng.integers(4, len(data), 30):
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError, match="not a drift reference"):
            decode_reference(bytes(changed))


def test_a_reference_that_contradicts_itself_is_refused() -> None:
    made = full()
    assert made.season is not None
    for wrong in (
        replace(made, block_rows=made.block_rows + 1),
        replace(made, blocks=made.blocks[:, 1:]),
        replace(made, sample=made.sample[:, 1:]),
        replace(made, calendar=("nothing",)),
        replace(made, season=replace(made.season, slot_hours=5)),
        replace(made, columns=reference(60).columns),
    ):
        with pytest.raises(ValueError, match="not a drift reference"):
            decode_reference(encode_reference(wrong))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"calendar": ["hour"]}, "hour"),
        ({"season_slot_hours": 1}, "event times"),
        ({"season_slot_hours": 5, "event_times": np.arange(60)}, "divide"),
        ({"event_times": np.arange(59)}, "59 event times"),
        ({"entity_keys": np.arange(61)}, "61 entity keys"),
        ({"entity_keys": np.arange(60) / 2}, "texts, bytes or integers"),
        ({"n_bins": 1}, "bins"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reference(60, **given)


def test_no_rows_make_no_reference() -> None:
    with pytest.raises(ValueError, match="no rows"):
        make_reference(rows(0), [ColumnSpec("x")], rng=np.random.default_rng(0))
