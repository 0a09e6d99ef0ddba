"""Gaps between what the scorer committed and what the log answers for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.reconcile import Gap, Interval, SourcePartition, find_gaps, merge

SOURCE = SourcePartition("fraud.features", "id-1", 0)
RECREATED = SourcePartition("fraud.features", "id-2", 0)

INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda at: Interval(at[0], sum(at))),
    max_size=12,
)


def gaps(covered: list[tuple[int, int]], committed: int, start: int | None = None) -> list[Gap]:
    starts = None if start is None else {SOURCE: start}
    intervals = [Interval(first, last) for first, last in covered]
    return find_gaps({SOURCE: intervals}, {SOURCE: committed}, starts)


def test_a_hole_in_the_coverage_is_a_loss() -> None:
    assert gaps([(0, 10), (15, 30)], committed=30) == [Gap(SOURCE, 10, 15, pending=False)]


def test_what_lies_above_all_coverage_is_pending() -> None:
    assert gaps([(0, 10)], committed=25) == [Gap(SOURCE, 10, 25, pending=True)]


def test_a_log_ahead_of_the_commit_has_no_gap() -> None:
    assert gaps([(0, 50)], committed=25) == []


def test_a_hole_that_the_commit_cuts_is_reported_up_to_the_commit() -> None:
    assert gaps([(0, 10), (40, 50)], committed=25) == [Gap(SOURCE, 10, 25, pending=False)]


def test_coverage_that_starts_late_owes_nothing_before_it() -> None:
    assert gaps([(1000, 1010)], committed=1010) == []
    assert gaps([(1000, 1010)], committed=900) == []


def test_a_given_start_is_owed() -> None:
    assert gaps([(1000, 1010)], 1010, start=990) == [Gap(SOURCE, 990, 1000, pending=False)]


def test_an_uncovered_partition_is_pending_from_its_start() -> None:
    assert gaps([], committed=7) == [Gap(SOURCE, 0, 7, pending=True)]
    assert gaps([], committed=7, start=7) == []


def test_a_recreated_topic_is_another_source() -> None:
    found = find_gaps({SOURCE: [Interval(0, 100)]}, {SOURCE: 100, RECREATED: 3})
    assert found == [Gap(RECREATED, 0, 3, pending=True)]


@pytest.mark.parametrize("overlap", [0, 3])
def test_runs_that_touch_or_overlap_are_one(overlap: int) -> None:
    assert merge([Interval(10, 20), Interval(0, 10 + overlap)]) == [Interval(0, 20)]


@given(INTERVALS, st.integers(0, 80))
def test_gaps_are_exactly_the_committed_offsets_that_nothing_covers(
    intervals: list[Interval], committed: int
) -> None:
    covered = {offset for each in intervals for offset in range(each.start, each.stop)}
    first = min(covered, default=0)
    found = find_gaps({SOURCE: intervals}, {SOURCE: committed})
    missing = [offset for gap in found for offset in range(gap.start, gap.stop)]
    assert missing == [offset for offset in range(first, committed) if offset not in covered]
    for gap in found:
        assert gap.pending == (gap.start > max(covered, default=-1))
        assert gap.n_offsets == gap.stop - gap.start > 0


@given(INTERVALS)
def test_merged_intervals_hold_the_same_offsets_with_room_between_them(
    intervals: list[Interval],
) -> None:
    merged = merge(intervals)
    assert {offset for each in merged for offset in range(each.start, each.stop)} == {
        offset for each in intervals for offset in range(each.start, each.stop)
    }
    assert all(left.stop < right.start for left, right in itertools.pairwise(merged))
