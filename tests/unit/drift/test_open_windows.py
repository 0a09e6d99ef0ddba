"""Pieces of windows as the detector takes them: what closes, when, and over a restart."""

from dataclasses import replace

import numpy as np
import pytest

from drift.binning import bin_columns
from drift.columns import Columns, ColumnSpec
from drift.coverage import Coverage
from drift.open_windows import MAX_PIECES, OpenWindows
from drift.sketch import Sketch, SketchKey
from drift.windows import EventTimeWindows, WindowSettings

MINUTE = 60_000
SETTINGS = WindowSettings(width_ms=MINUTE, allowed_lateness_ms=10_000, idle_timeout_ms=30_000)
NOW = 10**12
A, B = ("topic", 0), ("topic", 1)


@pytest.fixture
def columns() -> Columns:
    rows = np.random.default_rng(1).normal(size=(500, 2)).astype(np.float32)
    return bin_columns(rows, [ColumnSpec("a"), ColumnSpec("b")], 5)


def piece(
    columns: Columns,
    latest_ms: int,
    begin: int,
    end: int,
    source: tuple[str, int] = A,
    version: str = "v",
) -> Sketch:
    start = latest_ms - latest_ms % MINUTE
    key = SketchKey("p", version, start, start + MINUTE, "", columns.fingerprint)
    rows = np.random.default_rng(begin).normal(size=(end - begin, 2)).astype(np.float32)
    covers = Coverage.of({source: [(begin, end)]})
    return Sketch.empty(columns, key).update(columns, rows, covers, latest_ms=latest_ms)


def opened(*sources: tuple[str, int]) -> OpenWindows:
    windows = OpenWindows(EventTimeWindows(SETTINGS))
    windows.watch(sources or (A,), NOW)
    return windows


def test_a_window_closes_once_its_end_and_the_lateness_have_passed(columns: Columns) -> None:
    windows = opened()
    windows.add(piece(columns, 50_000, 0, 10), 0, NOW)
    windows.add(piece(columns, 69_999, 10, 20), 1, NOW)
    assert not windows.close(NOW)
    windows.add(piece(columns, 70_000, 20, 30), 2, NOW)
    assert windows.close(NOW)
    assert windows.closing == [0]
    assert windows.merged(0)["v", ""].sketch.n == 10
    windows.told(0)
    assert not windows.close(NOW)


def test_a_slower_partition_holds_the_window_until_it_is_idle(columns: Columns) -> None:
    windows = opened(A, B)
    windows.add(piece(columns, 10_000, 0, 10), 0, NOW)
    windows.add(piece(columns, 20_000, 0, 10, B), 1, NOW)
    windows.add(piece(columns, 200_000, 10, 20), 2, NOW)
    assert not windows.close(NOW + 29_000)
    windows.add(piece(columns, 210_000, 20, 30), 3, NOW + 29_000)
    windows.alive(B, NOW + 29_000)
    assert not windows.close(NOW + 31_000), "it has rows that nobody had time to sketch"
    windows.add(piece(columns, 220_000, 30, 40), 4, NOW + 58_000)
    assert windows.close(NOW + 60_000)
    assert windows.closing == [0]


def test_a_late_piece_counts_nowhere_and_is_counted(columns: Columns) -> None:
    windows = opened()
    windows.add(piece(columns, 50_000, 0, 10), 0, NOW)
    windows.add(piece(columns, 130_000, 10, 20), 1, NOW)
    windows.close(NOW)
    assert not windows.add(piece(columns, 55_000, 20, 27), 2, NOW)
    assert windows.n_late_rows == 7
    assert windows.merged(0)["v", ""].sketch.n == 10


def test_versions_are_merged_apart(columns: Columns) -> None:
    windows = opened()
    windows.add(piece(columns, 1_000, 0, 10), 0, NOW)
    windows.add(piece(columns, 2_000, 0, 5, version="w"), 1, NOW)
    windows.add(piece(columns, 130_000, 10, 20), 2, NOW)
    windows.close(NOW)
    found = {key: merged.sketch.n for key, merged in windows.merged(0).items()}
    assert found == {("v", ""): 10, ("w", ""): 5}


def test_a_successor_goes_on_where_the_state_was_taken(columns: Columns) -> None:
    """Whatever was open or closing is told from the pieces that are read again."""
    pieces = [piece(columns, 7_000 * i, 10 * i, 10 * i + 10) for i in range(40)]
    whole = opened()
    told = {}
    for place, each in enumerate(pieces):
        whole.add(each, place, NOW)
        if whole.close(NOW):
            for start in whole.closing:
                told[start] = whole.merged(start)["v", ""].sketch.encode()
                whole.told(start)
    assert len(told) == 4

    for stop in range(1, 40):
        first, again = opened(), {}
        for place, each in enumerate(pieces[:stop]):
            first.add(each, place, NOW)
            first.close(NOW)
            for start in first.closing[:-1]:  # the last one is decided, and dies untold
                again[start] = first.merged(start)["v", ""].sketch.encode()
                first.told(start)
        state = first.state()
        second = OpenWindows.restored(SETTINGS, state)
        for place in range(state.resume_from, 40):
            second.add(pieces[place], place, NOW)
            if second.close(NOW) and place >= state.position:
                for start in second.closing:
                    again[start] = second.merged(start)["v", ""].sketch.encode()
                    second.told(start)
        assert again == told


def test_a_window_under_load_is_held_in_bounded_memory(columns: Columns) -> None:
    windows = opened(A, B)
    n = 4 * MAX_PIECES
    for place in range(n):
        source, number = (A, B)[place % 2], place // 2
        windows.add(piece(columns, 1_000, 3 * number, 3 * number + 3, source), place, NOW)
        held = windows.merged(0)["v", ""].used if place % 500 == 499 else ()
        assert len(held) < MAX_PIECES
    merged = windows.merged(0)["v", ""]
    assert merged.sketch.n == 3 * n
    assert merged.missed.n_offsets == 0


def test_a_piece_of_the_last_flush_that_is_cut_anew_counts_once(columns: Columns) -> None:
    windows = opened()
    for place in range(MAX_PIECES + 5):
        windows.add(piece(columns, 1_000, 3 * place, 3 * place + 3), place, NOW)
    begin, end = 3 * MAX_PIECES, 3 * MAX_PIECES + 60
    windows.add(piece(columns, 1_000, begin, end), MAX_PIECES + 5, NOW)
    assert windows.merged(0)["v", ""].sketch.n == end


def test_pieces_of_windows_of_another_width_count_nowhere_and_are_counted(
    columns: Columns,
) -> None:
    windows = opened()
    hour = piece(columns, 1_000, 0, 10)
    key = SketchKey("p", "v", 0, 60 * MINUTE, "", columns.fingerprint)
    assert not windows.add(replace(hour, key=key), 0, NOW)
    assert windows.n_foreign_rows == 10
    windows.add(piece(columns, 2_000, 10, 20), 1, NOW)
    assert windows.state().resume_from == 1
