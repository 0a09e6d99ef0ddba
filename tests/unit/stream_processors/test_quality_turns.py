"""Which windows are read together, and which mature ones have their turn."""

from hypothesis import given
from hypothesis import strategies as st

from storage.labels import Maturing
from storage.scored_rows import MAX_RANGES, WindowTotals
from stream_processors.join_labels.judge import PATIENCE_WINDOWS, ready
from stream_processors.join_labels.measurer import batches


def mature(*starts: int) -> tuple[WindowTotals, ...]:
    return tuple(WindowTotals("v", start, 10, 10) for start in starts)


def starts(maturing: Maturing) -> list[int]:
    return [each.start_ms for each in ready(maturing)]


def test_mature_windows_wait_for_one_before_them_whose_labels_are_to_come() -> None:
    assert starts(Maturing(mature(1, 2, 4, 5), first_immature_ms=3)) == [1, 2]
    assert starts(Maturing(mature(4, 5), first_immature_ms=3)) == []
    assert starts(Maturing(mature(1, 2), first_immature_ms=None)) == [1, 2]


def test_but_not_for_ever() -> None:
    many = range(4, 4 + PATIENCE_WINDOWS)
    assert starts(Maturing(mature(*many), first_immature_ms=3)) == []
    assert starts(Maturing(mature(*many, 99), first_immature_ms=3)) == [4]


counts = st.dictionaries(st.integers(-50, 500), st.integers(0, 40), max_size=300)


@given(counts, st.integers(1, 60))
def test_every_window_is_in_one_batch_that_is_not_too_large(
    counts: dict[int, int], max_rows: int
) -> None:
    found = list(batches(counts, max_rows))
    assert sorted(start for batch in found for start in batch.starts_ms) == sorted(counts)
    for batch in found:
        n = sum(counts[start] for start in batch.starts_ms)
        assert len(batch.starts_ms) <= MAX_RANGES
        assert n / batch.share <= max_rows
        if batch.share > 1:
            assert len(batch.starts_ms) == 1
            assert n / (batch.share - 1) > max_rows, "no smaller share than it takes"
