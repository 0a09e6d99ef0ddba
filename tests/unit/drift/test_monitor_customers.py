"""Customers in the monitor: the stored reference and a window's sketch are all that it takes."""

import numpy as np
import numpy.typing as npt
import pytest

from drift.columns import ColumnSpec
from drift.entities import WINDOW_LIMIT, EntityTable, hash_entities
from drift.families import StatedRate
from drift.monitor import CUSTOMERS_UNKNOWN, WindowMonitor, WindowVerdict
from drift.nulls import Nulls
from drift.reference import Reference, make_reference
from drift.reference_bytes import decode_reference, encode_reference
from drift.rows import Rows, ScanOptions
from drift.scan import scan

N_REFERENCE, WINDOW, N_WINDOWS, N_CUSTOMERS = 6_000, 500, 6, 80
N = N_REFERENCE + N_WINDOWS * WINDOW
SPECS = (ColumnSpec("amount"), ColumnSpec("age"))
ARL0 = 200.0

Ints = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]


def rows(seed: int = 0, missing: float = 0.1) -> tuple[Matrix, Ints]:
    """Customers with a level of their own, and codes; -1 where a row has no customer."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, N_CUSTOMERS, N)
    codes[rng.random(N) < missing] = -1
    level = np.vstack([rng.normal(size=(N_CUSTOMERS, 2)), np.zeros((1, 2))])
    return (rng.normal(size=(N, 2)) + level[codes]).astype(np.float32), codes


def keys_of(codes: Ints) -> Ints:
    return np.where(codes >= 0, codes, -1 - np.arange(len(codes)))


def reference(matrix: Matrix, keys: Ints | None) -> Reference:
    made = make_reference(
        matrix[:N_REFERENCE],
        SPECS,
        rng=np.random.default_rng(0),
        entity_keys=None if keys is None else keys[:N_REFERENCE],
    )
    return decode_reference(encode_reference(made))


def monitor(of: Reference) -> WindowMonitor:
    return WindowMonitor(of, WINDOW, rate=StatedRate(ARL0, 4), nulls=Nulls(seed=0))


def window_table(keys: Ints, window: int, limit: int = WINDOW_LIMIT) -> EntityTable:
    """As the sketches of two workers have it."""
    begin = N_REFERENCE + window * WINDOW
    hashes = hash_entities(keys[begin : begin + WINDOW])
    return EntityTable.of(hashes[::2], limit).merge(EntityTable.of(hashes[1::2], limit))


def check(
    of: WindowMonitor, matrix: Matrix, window: int, entities: EntityTable | None
) -> WindowVerdict:
    begin = N_REFERENCE + window * WINDOW
    return of.check(of.reference.columns.count(matrix[begin : begin + WINDOW]), entities)


def test_stored_references_and_sketches_find_what_a_scan_of_the_rows_does() -> None:
    matrix, codes = rows()
    report = scan(
        Rows(SPECS, matrix, entities=codes),
        ScanOptions(n_reference=N_REFERENCE, window_rows=WINDOW, arl0=ARL0),
    )
    keys = keys_of(codes)
    live = monitor(reference(matrix, keys))

    verdicts = [check(live, matrix, i, window_table(keys, i)) for i in range(N_WINDOWS)]

    assert {column.test for column in report.columns} == {"customer_covariance"}
    for place, column in enumerate(report.columns):
        np.testing.assert_allclose(column.p_values, [v.p_values[place] for v in verdicts])
    assert all(verdict.warnings == () for verdict in verdicts)


@pytest.mark.parametrize("empty", [False, True], ids=["no table", "an empty table"])
def test_a_window_that_does_not_say_whose_its_rows_are_is_tested_with_caution(empty: bool) -> None:
    matrix, codes = rows()
    keys = keys_of(codes)
    live = monitor(reference(matrix, keys))
    table = EntityTable.of(hash_entities(keys[:0]), WINDOW_LIMIT) if empty else None

    known = check(live, matrix, 0, window_table(keys, 0))
    unknown = check(live, matrix, 0, table)

    assert live.needs_entities
    assert unknown.warnings == (CUSTOMERS_UNKNOWN,)
    assert (unknown.p_values > known.p_values).all()
    assert [t.result.detector for t in unknown.tested] == [t.result.detector for t in known.tested]
    moved = matrix + np.float32(3.0)
    assert len(check(live, moved, 0, table).noticed) >= 2


def test_a_window_of_no_rows_lacks_nothing() -> None:
    matrix, codes = rows()
    live = monitor(reference(matrix, keys_of(codes)))
    none = np.zeros(live.reference.columns.n_bins, dtype=np.int64)
    verdict = live.check(none, EntityTable.of(hash_entities(codes[:0]), WINDOW_LIMIT))
    assert verdict.noticed == verdict.warnings == ()
    assert (verdict.p_values == 1).all()


@pytest.mark.parametrize("named", [False, True], ids=["no entities", "none of two rows"])
def test_entities_are_not_looked_at_where_the_reference_has_no_pair_of_rows(named: bool) -> None:
    matrix = np.random.default_rng(3).normal(size=(N, 2)).astype(np.float32)
    live = monitor(reference(matrix, np.arange(N) if named else None))

    without = check(live, matrix, 0, None)
    with_table = check(live, matrix, 0, window_table(np.zeros(N, dtype=np.int64), 0))

    assert not live.needs_entities
    assert without.warnings == with_table.warnings == ()
    np.testing.assert_array_equal(without.p_values, with_table.p_values)
    assert live.detector_of(0) == "g_test"


def test_a_table_of_another_window_is_refused() -> None:
    matrix, codes = rows()
    keys = keys_of(codes)
    live = monitor(reference(matrix, keys))
    half = EntityTable.of(hash_entities(keys[:250]), WINDOW_LIMIT)
    with pytest.raises(ValueError, match="entities of 250 rows for a window of 500"):
        check(live, matrix, 0, half)


def test_customers_known_by_a_sample_show_nearly_what_all_of_them_do() -> None:
    """Two thirds of a window's customers are not in its table."""
    matrix, codes = rows(missing=0.0)
    keys = keys_of(codes)
    live = monitor(reference(matrix, keys))
    for i in range(N_WINDOWS):
        whole = check(live, matrix, i, window_table(keys, i))
        sampled = check(live, matrix, i, window_table(keys, i, limit=N_CUSTOMERS // 3))
        np.testing.assert_allclose(
            np.log(sampled.p_values), np.log(whole.p_values), rtol=0.5, atol=0.7
        )
        assert sampled.warnings == ()
