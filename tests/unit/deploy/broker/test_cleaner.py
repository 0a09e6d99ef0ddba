"""Compaction: the last record of each key stays where it is, and everything else may go."""

import asyncio
from pathlib import Path

import pytest

from deploy.local.broker.log.batches import crc_holds
from deploy.local.broker.log.cleaner import Pass, Source, digest
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.log.segment import Segment
from tests.unit.deploy.broker.logs import (
    COMPACTED,
    HOUR_MS,
    NOW_MS,
    PLAIN,
    Pair,
    batch_of,
    files,
    open_log,
    read_batches,
    read_records,
)


def compacted_log(directory: Path, **changes: object) -> PartitionLog:
    """A log whose segments hold one batch each, and which is compacted whenever it can be."""
    return open_log(directory, COMPACTED, **{"segment_bytes": 100, **changes})


def put(log: PartitionLog, *pairs: Pair, time_ms: int = NOW_MS, codec: int = 0) -> int:
    return log.append(batch_of(*pairs, time_ms=time_ms, codec=codec), NOW_MS)


def clean(log: PartitionLog, now_ms: int = NOW_MS) -> None:
    asyncio.run(log.clean(now_ms))


def contents(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in read_records(log)]


@pytest.mark.parametrize("codec", range(5))
def test_the_last_value_of_a_key_keeps_offset_time_and_compression(
    tmp_path: Path, codec: int
) -> None:
    log = compacted_log(tmp_path, segment_bytes=130)
    put(log, (b"a", b"1"), (b"b", b"1"), (b"c", b"1"), time_ms=NOW_MS - 50, codec=codec)
    put(log, (b"a", b"2"), (b"c", b"2"), codec=codec)
    put(log, (b"z", b"active"))
    clean(log)
    for again in (log, open_log(tmp_path)):
        assert [tuple(record) for record in read_records(again)] == [
            (1, NOW_MS - 49, b"b", b"1"),
            (3, NOW_MS, b"a", b"2"),
            (4, NOW_MS + 1, b"c", b"2"),
            (5, NOW_MS, b"z", b"active"),
        ]
        assert (again.start_offset, again.end_offset) == (0, 6)
        for batch in read_batches(again):
            assert crc_holds(batch.data, batch.header)
            assert batch.header.control or batch.header.attributes & 7 in {codec, 0}


def test_the_active_segment_is_left_alone(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, segment_bytes=10_000)
    put(log, (b"a", b"1"))
    put(log, (b"a", b"2"))
    clean(log)
    assert contents(log) == [(0, b"a", b"1"), (1, b"a", b"2")]


def test_a_large_dirty_active_segment_is_rolled_and_compacted(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, segment_bytes=1 << 26)
    put(log, (b"a", b"1" * 1_048_480))
    put(log, (b"a", b"2"))
    clean(log)
    assert contents(log) == [(1, b"a", b"2")]


def test_the_largest_lag_overrules_the_dirty_ratio(tmp_path: Path) -> None:
    log = compacted_log(
        tmp_path, segment_bytes=10_000, min_dirty_ratio=1.0, max_compaction_lag_ms=HOUR_MS
    )
    put(log, (b"a", b"1"))
    put(log, (b"a", b"2"))
    clean(log, NOW_MS + HOUR_MS - 1)
    assert len(contents(log)) == 2
    clean(log, NOW_MS + HOUR_MS)
    assert contents(log) == [(1, b"a", b"2")]


def test_a_log_that_is_clean_enough_is_left_alone(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, min_dirty_ratio=0.5)
    for number in range(10):
        put(log, (b"%d" % number, b"x" * 20))
    clean(log)
    put(log, (b"0", b"new"))
    put(log, (b"1", b"new"))
    clean(log)
    assert len(contents(log)) == 12


def test_records_younger_than_the_smallest_lag_are_left_alone(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, min_compaction_lag_ms=HOUR_MS)
    for number in range(3):
        put(log, (b"a", b"%d" % number), time_ms=NOW_MS + number)
    clean(log, NOW_MS + HOUR_MS)
    assert len(contents(log)) == 3
    clean(log, NOW_MS + HOUR_MS + 1)
    assert contents(log) == [(1, b"a", b"1"), (2, b"a", b"2")]


def test_a_tombstone_stays_for_its_retention_and_then_goes(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, delete_retention_ms=1000)
    put(log, (b"a", b"1"))
    put(log, (b"a", None), (b"b", b"1"), time_ms=NOW_MS + 5)
    put(log, (b"z", b"active"))
    clean(log)
    tombstone = read_records(log)[0]
    assert tuple(tombstone) == (1, NOW_MS + 5, b"a", None)
    clean(log, NOW_MS + 999)
    assert read_records(log)[0] == tombstone
    log.close()
    log = compacted_log(tmp_path, delete_retention_ms=1000)
    clean(log, NOW_MS + 1000)
    assert contents(log) == [(2, b"b", b"1"), (3, b"z", b"active")]
    assert read_records(log)[0].timestamp == NOW_MS + 6


def test_passes_in_between_do_not_prolong_a_tombstones_life(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, delete_retention_ms=1000, segment_bytes=10_000)
    put(log, (b"a", None))
    for step in range(5):
        log.retain(NOW_MS + (log.config.segment_ms * (step + 1)))  # rolls
        clean(log, NOW_MS + 250 * step)
        put(log, (b"b", b"%d" % step))
    assert b"a" not in [key for _, key, _ in contents(log)]


def test_a_reader_reaches_the_end_though_the_last_record_is_gone(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    put(log, (b"a", b"1"))
    put(log, (b"a", None))
    log.retain(NOW_MS + log.config.segment_ms)
    clean(log)
    clean(log)
    assert contents(log) == []
    for again in (log, open_log(tmp_path)):
        assert read_batches(again)[-1].header.last_offset == 1
        assert again.end_offset == 2


def test_small_segments_are_merged(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    for number in range(8):
        put(log, (b"k", b"%d" % number))
    log.config = open_log(tmp_path / "other", COMPACTED, segment_bytes=400).config
    clean(log)
    assert len(files(tmp_path, "*.log")) < 5
    assert contents(log) == [(6, b"k", b"6"), (7, b"k", b"7")]
    for offset in range(8):
        assert read_records(log, offset)[0].offset == max(offset, 6)


def test_aborted_records_go_and_committed_ones_stay(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)

    def begin(producer_id: int, value: bytes) -> None:
        pair = (b"k%d" % producer_id, value)
        log.append(batch_of(pair, producer=(producer_id, 0, 0), transactional=True), NOW_MS)

    put(log, (b"k7", b"before"))
    begin(7, b"aborted")
    begin(8, b"committed")
    log.append_marker(7, 0, commit=False, now_ms=NOW_MS)
    log.append_marker(8, 0, commit=True, now_ms=NOW_MS)
    put(log, (b"z", b"active"))
    clean(log)
    expected = [(0, b"k7", b"before"), (2, b"k8", b"committed"), (5, b"z", b"active")]
    assert contents(log) == expected
    for again in (log, open_log(tmp_path)):
        assert again.aborted(0, 6) == []
        assert contents(again) == expected


def test_a_pass_whose_end_was_not_noted_leaves_no_aborted_transaction_without_marker(
    tmp_path: Path,
) -> None:
    log = compacted_log(tmp_path)
    log.append(batch_of((b"a", b"1"), producer=(7, 0, 0), transactional=True), NOW_MS)
    log.append_marker(7, 0, commit=False, now_ms=NOW_MS)
    put(log, (b"y", b"1"))
    put(log, (b"z", b"active"))
    obstacle = tmp_path / "log" / "compacted.tmp"
    obstacle.mkdir()  # the end of a pass cannot be noted, as if killed just before
    for step in range(4):
        clean(log, NOW_MS + step)
        markers = {b.header.producer_id for b in read_batches(log) if b.header.control}
        listed = {producer_id for producer_id, _ in log.aborted(0, log.end_offset)}
        assert listed <= markers
        if step == 1:
            obstacle.rmdir()
    assert not markers
    assert contents(log) == [(2, b"y", b"1"), (3, b"z", b"active")]


def test_a_marker_goes_only_when_its_transaction_has_no_records(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    for sequence in (0, 1):
        pair = (b"k%d" % sequence, b"x")
        log.append(batch_of(pair, producer=(7, 0, sequence), transactional=True), NOW_MS)
        log.append_marker(7, 0, commit=True, now_ms=NOW_MS)
    put(log, (b"k0", b"new"))
    put(log, (b"z", b"active"))
    for step in range(3):
        clean(log, NOW_MS + step)
    markers = [b.header.base_offset for b in read_batches(log) if b.header.control]
    assert markers == [3]


def test_an_open_transaction_holds_compaction_up(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    put(log, (b"a", b"1"))
    put(log, (b"a", b"2"))
    log.append(batch_of((b"a", b"3"), producer=(7, 0, 0), transactional=True), NOW_MS)
    put(log, (b"a", b"4"))
    put(log, (b"a", b"5"))
    clean(log)
    assert [offset for offset, *_ in contents(log)] == [1, 2, 3, 4]


@pytest.mark.parametrize("closed", [True, False])
def test_duplicates_are_still_found_when_their_batch_is_gone(tmp_path: Path, closed: bool) -> None:
    log = compacted_log(tmp_path)
    batch = batch_of((b"a", b"1"), producer=(7, 0, 0))
    log.append(batch, NOW_MS)
    put(log, (b"a", b"2"))
    put(log, (b"z", b"active"))
    clean(log)
    if closed:
        log.close()
    again = open_log(tmp_path)
    assert 0 not in [offset for offset, *_ in contents(again)]
    assert again.append(batch, NOW_MS) == 0
    assert again.end_offset == 3


def test_records_without_a_key_go_as_in_kafka(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    log.config = open_log(tmp_path / "other", PLAIN, segment_bytes=100).config
    log.append(batch_of(b"no key"), NOW_MS)
    log.config = open_log(tmp_path / "third", COMPACTED, segment_bytes=100).config
    put(log, (b"a", b"1"))
    put(log, (b"z", b"active"))
    clean(log)
    assert contents(log) == [(1, b"a", b"1"), (2, b"z", b"active")]


def test_a_pass_takes_as_many_keys_as_fit_and_the_next_goes_on_from_there(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    for number in range(6):
        put(log, (b"%d" % (number % 3), b"x"))
    put(log, (b"z", b"active"))
    segments = [Segment(path) for path in files(tmp_path, "*.log")[:-1]]
    for segment, path in zip(segments, files(tmp_path, "*.log"), strict=False):
        segment.size = path.stat().st_size
        segment.next_offset = segment.base_offset + 1
    current = Pass(0, 0, (), NOW_MS, 0, max_keys=2)
    current.read_keys([Source.of(segment) for segment in segments])
    assert current.upto == 2


def test_a_topic_deleted_during_a_pass_stops_it(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    for number in range(200):
        put(log, (b"k", b"%d" % number))

    async def delete_meanwhile() -> None:
        task = asyncio.create_task(log.clean(NOW_MS))
        await asyncio.sleep(0)
        log.close(gone=True)
        await task

    asyncio.run(delete_meanwhile())
    assert log.gone
    assert not files(tmp_path, "*.swap")
    assert len(contents(open_log(tmp_path))) == 200


def test_appends_and_reads_go_on_during_a_pass(tmp_path: Path) -> None:
    log = compacted_log(tmp_path, segment_bytes=5000)
    for number in range(500):
        put(log, (b"%d" % (number % 7), b"x" * 50))

    async def use_meanwhile() -> int:
        task = asyncio.create_task(log.clean(NOW_MS))
        n_used = 0
        while not task.done():
            put(log, (b"0", b"meanwhile"))
            assert contents(log)[-1][0] == log.end_offset - 1
            n_used += 1
            await asyncio.sleep(0)
        return n_used

    assert asyncio.run(use_meanwhile()) > 1
    assert len(contents(log)) < log.end_offset
    assert contents(open_log(tmp_path)) == contents(log)


def test_a_pass_that_fails_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    log = compacted_log(tmp_path)
    for number in range(3):
        put(log, (b"a", b"%d" % number))
    before = contents(log)
    obstacle = tmp_path / "log" / f"{0:020d}.cleaned"
    obstacle.mkdir()
    clean(log)
    assert contents(log) == before
    obstacle.rmdir()
    clean(log)
    assert len(contents(log)) == 2


def test_long_keys_are_told_apart_by_digest_and_never_taken_for_short_ones() -> None:
    long_keys = [b"k" * 16, b"k" * 17, b"k" * 1000]
    assert len({digest(key) for key in long_keys}) == 3
    assert all(len(digest(key)) == 16 for key in long_keys)
    assert digest(b"short") == b"short"
