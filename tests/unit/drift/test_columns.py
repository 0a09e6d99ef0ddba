"""Bins of columns: chosen from the reference, labelled for people, exact for every value."""

import msgspec
import numpy as np
import pytest

from drift.binning import MAX_CATEGORIES, bin_columns, order_statistic_ranks
from drift.columns import Columns, ColumnSpec, Kind, specs_of
from schemas.features import Dtype, Feature, FeatureSchema
from tests.unit.drift.rows import SPECS, columns, rows

VALUE = (ColumnSpec("value"),)


def bins_of(values: object, n_bins: int = 10) -> Columns:
    return bin_columns(np.asarray(values, dtype=np.float32)[:, None], VALUE, n_bins)


def counts_of(made: Columns, values: object) -> dict[str, int]:
    counts = made.count(np.asarray(values, dtype=np.float32)[:, None])
    return {label: int(n) for label, n in zip(made[0].labels, counts, strict=True) if n}


@pytest.mark.parametrize("n", [50, 99, 1000, 1003])
@pytest.mark.parametrize("n_bins", [2, 5, 10, 20])
def test_bins_of_a_numeric_column_hold_the_spacings_of_its_order_statistics(
    n: int, n_bins: int
) -> None:
    values = np.random.default_rng(n).normal(size=n).astype(np.float32)
    made = bins_of(values, n_bins)
    ranks = [round(k * n / n_bins + 1e-9) for k in range(n_bins + 1)]
    assert made[0].kind is Kind.NUMERIC
    assert made.count(values[:, None]).tolist() == [*np.diff(ranks), 0]
    assert [float(np.sort(values)[r - 1]) for r in ranks[1:-1]] == list(made[0].cuts)


def test_ranks_of_edges_are_rounded_half_up() -> None:
    assert order_statistic_ranks(25, 10).tolist() == [3, 5, 8, 10, 13, 15, 18, 20, 23]


def test_a_bin_holds_its_right_edge_and_says_so() -> None:
    made = bins_of(np.arange(1, 101))
    assert made[0].labels[:2] == ("(-inf, 10]", "(10, 20]")
    assert made[0].labels[-2:] == ("(90, inf)", "missing")
    assert counts_of(made, [10, 10.5, np.nan]) == {"(-inf, 10]": 1, "(10, 20]": 1, "missing": 1}


def test_few_distinct_values_get_a_bin_each_and_a_bin_for_values_never_seen() -> None:
    made = bins_of(np.tile([0, 1, 2.5], 20))
    assert made[0].kind is Kind.DISCRETE
    assert counts_of(made, [-0.0, 2.5, 2.5, 2, 99, -np.inf]) == {"0": 1, "2.5": 2, "other": 3}


def test_many_tied_values_make_a_mixed_column_whose_bins_all_hold_rows() -> None:
    values = np.concatenate([np.zeros(700), np.random.default_rng(0).exponential(size=300)])
    made = bins_of(values)
    assert made[0].kind is Kind.MIXED
    counts = made.count(values.astype(np.float32)[:, None])
    assert counts[0] == 700
    assert (counts[:-1] > 0).all()


def test_values_rounded_to_cents_stay_numeric_and_ages_in_years_do_not() -> None:
    rng = np.random.default_rng(0)
    cents = rng.normal(500, 100, size=10_000).round(2)
    years = rng.integers(18, 98, size=10_000)
    assert bins_of(cents)[0].kind is Kind.NUMERIC
    assert bins_of(years)[0].kind is Kind.MIXED


def test_a_constant_column_has_its_value_and_what_lies_below_and_above() -> None:
    made = bins_of([3, 3, 3, np.nan])
    assert made[0].kind is Kind.CONSTANT
    assert counts_of(made, [3, 2, 4, 5, np.nan]) == {
        "below 3": 1, "3": 1, "above 3": 2, "missing": 1,
    }  # fmt: skip


def test_a_column_that_is_all_missing_in_the_reference_calls_every_value_other() -> None:
    made = bins_of([np.nan, np.nan])
    assert counts_of(made, [1, np.nan]) == {"other": 1, "missing": 1}


def test_infinities_are_values_of_the_outer_bins() -> None:
    made = bins_of([*np.arange(98), np.inf, -np.inf], n_bins=5)
    counts = counts_of(made, [np.inf, -np.inf])
    assert list(counts) == [made[0].labels[0], made[0].labels[-2]]


def test_a_category_has_a_bin_for_each_of_its_values_for_unseen_and_for_missing() -> None:
    spec = ColumnSpec("country", categories=("NO", "SE", "DK"))
    made = bin_columns(np.array([[0], [0], [1]], dtype=np.float32), [spec])
    assert made[0].labels == ("NO", "SE", "DK", "unseen", "missing")
    assert made[0].other_bin == 3
    strange = np.array([[0], [2], [-1], [3], [0.5], [np.nan], [np.inf]], dtype=np.float32)
    assert made.count(strange).tolist() == [1, 0, 1, 4, 1]


def test_rare_categories_beyond_the_limit_share_a_bin() -> None:
    n = MAX_CATEGORIES + 50
    spec = ColumnSpec("merchant", categories=tuple(f"m{i}" for i in range(n)))
    codes = np.concatenate([np.arange(n), np.arange(50, n)]).astype(np.float32)
    made = bin_columns(codes[:, None], [spec])
    assert made[0].n_bins == MAX_CATEGORIES + 3
    assert made[0].labels[0] == "m50"
    assert made[0].labels[-3:] == ("rarer categories", "unseen", "missing")
    assert made.count(codes[:, None])[-3:].tolist() == [50, 0, 0]


def test_columns_of_a_schema_are_its_features_then_the_score_with_their_ranges() -> None:
    schema = FeatureSchema(
        (
            Feature(name="amount", minimum=0.0, maximum=9.5),
            Feature(name="online", dtype=Dtype.BOOLEAN),
            Feature(name="country", dtype=Dtype.CATEGORY, categories=("NO",)),
        )
    )
    specs = specs_of(schema)
    assert [spec.name for spec in specs] == ["amount", "online", "country", "score"]
    assert [(s.lowest, s.highest) for s in specs] == [
        (0, 9.5), (0, 1), (float("-inf"), float("inf")), (0, 1),
    ]  # fmt: skip
    assert specs[2].categories == ("NO",)
    assert len(specs_of(schema, score=None)) == 3


def test_counts_of_one_column_are_found_by_name() -> None:
    made = columns()
    counts = made.count(rows(500))
    assert made.of(counts, "country").sum() == 500
    assert made.of(counts, "country").tolist() == made.of(counts, 4).tolist()
    assert len(made.of(np.zeros((3, made.n_bins)), "score")[0]) == made[5].n_bins


def test_columns_survive_their_bytes_and_their_fingerprint_tells_them_apart() -> None:
    made = columns()
    again = Columns.decode(made.encode())
    assert again == made
    assert again.fingerprint == made.fingerprint
    assert columns(seed=2).fingerprint != made.fingerprint


@pytest.mark.parametrize("data", [b"", b"\x90", b"\xc1", b"nonsense", b"\xff" * 50])
def test_other_bytes_are_no_columns(data: bytes) -> None:
    with pytest.raises(ValueError):
        Columns.decode(data)


@pytest.mark.parametrize(
    "changed",
    [{"labels": ("a", "b")}, {"cuts": (2.0, 1.0)}, {"cuts": (float("nan"),)}],
)
def test_columns_that_contradict_themselves_are_refused(changed: dict[str, object]) -> None:
    column = bins_of(np.tile([0, 1, 2.5], 20))[0]
    data = msgspec.msgpack.encode([msgspec.structs.replace(column, **changed)])
    with pytest.raises(ValueError, match=r"labels|ascend"):
        Columns.decode(data)


def test_rows_of_another_shape_or_type_are_refused() -> None:
    made = columns()
    with pytest.raises(ValueError, match="float32"):
        made.count(rows(10)[:, :3])
    with pytest.raises(ValueError, match="float64"):
        made.count(rows(10).astype(np.float64))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="float32"):
        bin_columns(rows(10)[:, :3], SPECS)
