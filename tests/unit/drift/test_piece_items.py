"""Which pieces count, and the parts of their sums."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct
from scipy import stats

from drift.coverage import Coverage
from drift.fed_pieces import MAX_SOURCES, MAX_WINDOWS, FedPieces
from drift.piece_items import item_parts, share_out
from drift.sketch import Sketch
from tests.unit.drift.piece_stream_rates import Floats, Pieces, reference_of


def place(piece: Sketch, begin: int, end: int, *, window: int = 0, topic: str = "t") -> Sketch:
    key = replace_struct(piece.key, window_start_ms=window)
    return replace(piece, key=key, coverage=Coverage.of({(topic, 0): [(begin, end)]}))


def a_piece() -> Sketch:
    rng = np.random.default_rng(0)
    reference = reference_of(rng.normal(size=(100, 1)), rng)
    _, piece = next(Pieces(reference, 100, rng).of_window(rng.normal(size=(100, 1))))
    return piece


def test_pieces_of_two_windows_answer_for_the_same_offsets_and_both_count() -> None:
    piece, places = a_piece(), FedPieces()

    assert places.take(place(piece, 0, 10, window=0)) is not None
    assert places.take(place(piece, 0, 12, window=60_000)) is not None
    assert places.take(place(piece, 10, 20, window=0)) is not None
    assert places.take(place(piece, 11, 20, window=60_000)) is None
    assert places.n_repeated == 1


def test_a_piece_of_several_ranges_or_none_is_left_out() -> None:
    piece, places = a_piece(), FedPieces()

    assert places.take(replace(piece, coverage=Coverage())) is None
    both = Coverage.of({("t", 0): [(0, 1)], ("t", 1): [(0, 1)]})
    assert places.take(replace(piece, coverage=both)) is None
    assert places.n_repeated == 2


def test_what_is_remembered_is_bounded_and_what_was_forgotten_is_not_fed_again() -> None:
    piece, places = a_piece(), FedPieces()
    for window in range(MAX_WINDOWS + 5):
        assert places.take(place(piece, 0, 10, window=window)) is not None
    assert places.take(place(piece, 10, 20, window=3)) is None
    assert places.take(place(piece, 10, 20, window=5)) is not None
    for number in range(MAX_SOURCES + 5):
        assert places.take(place(piece, 0, 10, topic=str(number))) is not None

    state = places.state()

    assert len(state) == MAX_SOURCES
    assert max(len(windows) for _, _, windows in state) <= MAX_WINDOWS


# --- the parts of a sum


@given(
    n=st.integers(1, 10_000),
    had=st.integers(0, 99),
    total=st.floats(-1e6, 1e6),
    skewness=st.floats(-30, 30),
)
@settings(max_examples=100, deadline=None)
def test_parts_are_of_the_item_size_and_add_up(
    n: int, had: int, total: float, skewness: float
) -> None:
    n = max(n, 100 - had)
    parts = item_parts(n, had, 100)

    shares = share_out(total, parts, skewness, np.random.default_rng(n))

    assert parts.sum() == n
    assert parts[0] + had == 100
    assert (parts[1:-1] == 100).all()
    assert 0 <= parts[-1] < 100
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(total, rel=1e-6, abs=1e-6 * n * 200)


@pytest.mark.parametrize("skewness", [0.0, 2.0, -2.0])
def test_parts_have_the_law_of_sums_of_rows(skewness: float) -> None:
    """Drawn from totals of 4 items with the law of gammas: each as an item of its own, and no two
    alike."""
    rng = np.random.default_rng(20)
    n, shape = 100, 4 / max(abs(skewness), 0.01) ** 2
    sign, mean = math.copysign(1, skewness), math.sqrt(shape)
    law = stats.gamma(100 * shape, scale=1 / mean)
    totals = sign * (law_of_four(shape, rng) - 4 * n * mean)

    items = np.array(
        [share_out(total, np.array([n] * 4), skewness, rng) for total in totals.tolist()]
    )

    direct = stats.kstest(sign * items[:, 0] + n * mean, law.cdf)
    assert direct.pvalue > 0.001
    correlation = np.corrcoef(items.T)
    assert np.abs(correlation - np.eye(4)).max() < 4 / math.sqrt(len(items))


def law_of_four(shape: float, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.standard_gamma(400 * shape, size=4_000) / math.sqrt(shape))
