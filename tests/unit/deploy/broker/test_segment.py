"""One file of batches and the index beside it."""

from pathlib import Path

import pytest

from deploy.local.broker.log.batches import Batch, placed
from deploy.local.broker.log.index import INTERVAL_BYTES, NO_TIMESTAMP, read_index
from deploy.local.broker.log.segment import Segment, log_path
from deploy.local.broker.log.swap import cleaned_index_path, cleaned_path, commit_swap, finish_swaps
from tests.unit.deploy.broker.logs import NOW_MS, batch_of

PRODUCERS = {"known": [], "open": [], "aborted": []}


def at(offset: int, *values: bytes, time_ms: int = NOW_MS) -> Batch:
    return placed(batch_of(*values, time_ms=time_ms), offset, None)


def test_a_segment_is_named_after_its_first_offset(tmp_path: Path) -> None:
    segment = Segment(log_path(tmp_path, 42))
    assert (segment.base_offset, segment.next_offset, segment.size) == (42, 42, 0)
    assert segment.path.name == "00000000000000000042.log"


def test_offsets_in_a_hole_are_located_at_the_next_batch(tmp_path: Path) -> None:
    segment = Segment(log_path(tmp_path, 0))
    for offset in (0, 10, 20):
        segment.append(at(offset, b"a", b"b"), NOW_MS)
    size = segment.size // 3
    positions = [segment.locate(offset) for offset in (0, 1, 2, 10, 11, 12, 21, 22)]
    assert positions == [0, 0, size, size, size, 2 * size, 2 * size, 3 * size]


@pytest.mark.parametrize("n_batches", [1, 511, 512, 513, 1500])
def test_every_offset_is_located_by_the_exact_and_by_the_sparse_index(
    tmp_path: Path, n_batches: int
) -> None:
    segment = Segment(log_path(tmp_path, 0))
    for offset in range(n_batches):
        segment.append(at(offset, b"x" * 100), NOW_MS)
    size = segment.size // n_batches
    offsets = [*range(0, n_batches, 97), n_batches - 1, n_batches]
    assert [segment.locate(offset) for offset in offsets] == [offset * size for offset in offsets]
    segment.seal(PRODUCERS)
    assert [segment.locate(offset) for offset in offsets] == [offset * size for offset in offsets]


def test_the_index_is_sparse(tmp_path: Path) -> None:
    segment = Segment(log_path(tmp_path, 0))
    for offset in range(100):
        segment.append(at(offset, b"x" * 1000), NOW_MS)
    assert 2 <= len(segment.index.offsets) <= segment.size // INTERVAL_BYTES + 1


def test_an_index_file_says_what_the_segment_knew(tmp_path: Path) -> None:
    segment = Segment(log_path(tmp_path, 5))
    for offset in range(5, 50):
        segment.append(at(offset, b"x" * 1000, time_ms=NOW_MS + offset), NOW_MS)
    segment.seal(PRODUCERS)
    known = read_index(segment.index_path)
    assert known is not None
    again = Segment(segment.path)
    again.adopt(known)
    for name in ("size", "covered", "next_offset", "max_timestamp", "first_append_ms", "index"):
        assert getattr(again, name) == getattr(segment, name)
    assert known.producers == PRODUCERS


def test_a_segment_without_records_is_as_old_as_its_file(tmp_path: Path) -> None:
    segment = Segment(log_path(tmp_path, 0))
    assert segment.latest_ms() == NO_TIMESTAMP
    segment.append(at(0, b"a", time_ms=-1), NOW_MS)
    assert segment.latest_ms() == int(segment.path.stat().st_mtime * 1000)


def test_a_swap_that_was_decided_is_completed_by_the_next_start(tmp_path: Path) -> None:
    for base in (0, 10, 20):
        log_path(tmp_path, base).write_text(f"old {base}")
        log_path(tmp_path, base).with_suffix(".index").write_text(f"old {base}")
    (tmp_path / f"{0:020d}-{20:020d}.swap").write_text("new")
    cleaned_index_path(tmp_path, 0).write_text("new index")
    finish_swaps(tmp_path)
    finish_swaps(tmp_path)
    left = {path.name.lstrip("0"): path.read_text() for path in tmp_path.iterdir()}
    assert left == {".log": "new", ".index": "new index", "20.log": "old 20", "20.index": "old 20"}


def test_a_segment_being_cleaned_is_dropped_by_the_next_start(tmp_path: Path) -> None:
    log_path(tmp_path, 0).write_text("old")
    cleaned_path(tmp_path, 0).write_text("half")
    cleaned_index_path(tmp_path, 0).write_text("half")
    finish_swaps(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_swap_replaces_only_the_segments_it_was_made_from(tmp_path: Path) -> None:
    for base in (0, 10, 20):
        log_path(tmp_path, base).write_text(f"old {base}")
    cleaned_path(tmp_path, 10).write_text("new")
    cleaned_index_path(tmp_path, 10).write_text("new index")
    commit_swap(tmp_path, 10, 11)
    left = sorted(path.read_text() for path in tmp_path.iterdir())
    assert left == ["new", "new index", "old 0", "old 20"]
