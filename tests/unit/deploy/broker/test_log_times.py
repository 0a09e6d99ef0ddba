"""Offsets by time."""

from pathlib import Path

import pytest

from deploy.local.broker.configs import topic_config
from tests.unit.deploy.broker.logs import NOW_MS, batch_of, open_log


@pytest.mark.parametrize("segment_bytes", [100, 10_000])
def test_the_first_record_at_or_after_a_time_is_found(tmp_path: Path, segment_bytes: int) -> None:
    log = open_log(tmp_path, segment_bytes=segment_bytes)
    for start in (100, 50, 300, 200):
        log.append(batch_of(b"a", b"b", time_ms=start), NOW_MS)
    assert log.find_time(0) == (0, 100)
    assert log.find_time(101) == (1, 101)
    assert log.find_time(102) == (4, 300)
    assert log.find_time(301) == (5, 301)
    assert log.find_time(302) is None


def test_deleted_records_are_not_found_by_time(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a", b"b", b"c", time_ms=500), NOW_MS)
    log.append(batch_of(b"d", time_ms=100), NOW_MS)
    log.delete_before(1)
    assert log.find_time(0) == (1, 501)
    log.delete_before(3)
    assert log.find_time(0) == (3, 100)
    assert log.latest_time() == (3, 100)


def test_markers_have_no_time(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a", producer=(7, 0, 0), transactional=True, time_ms=100), NOW_MS)
    log.append_marker(7, 0, commit=True, now_ms=NOW_MS)
    assert log.find_time(101) is None
    assert log.latest_time() == (0, 100)


def test_append_time_is_searched_where_the_broker_sets_it(tmp_path: Path) -> None:
    log = open_log(tmp_path, topic_config({"message.timestamp.type": "LogAppendTime"}))
    log.append(batch_of(b"a", b"b", time_ms=5), NOW_MS)
    log.append(batch_of(b"a", b"b", time_ms=5), NOW_MS + 10)
    assert log.find_time(NOW_MS - 1) == (0, NOW_MS)
    assert log.find_time(NOW_MS + 1) == (2, NOW_MS + 10)
    assert log.latest_time() == (2, NOW_MS + 10)


def test_the_latest_time_is_the_first_record_that_has_it(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=200)
    assert log.latest_time() is None
    for start in (100, 300, 300, 200):
        log.append(batch_of(b"a", b"b", time_ms=start), NOW_MS)
    assert log.latest_time() == (3, 301)


def test_the_latest_time_of_a_batch_cut_by_the_start_is_of_what_is_left(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for time_ms in (900, 400):
        log.append(batch_of(b"a", b"b", time_ms=time_ms), NOW_MS)
    log.delete_before(1)
    assert log.latest_time() == (1, 901)
    log.delete_before(2)
    assert log.latest_time() == (3, 401)


def test_times_are_found_through_the_index_of_a_large_segment(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(300):
        log.append(batch_of(b"x" * 1000, time_ms=1000 + 10 * number), NOW_MS)
    log.close()
    again = open_log(tmp_path)
    for number in range(300):
        for wanted in (1000 + 10 * number - 5, 1000 + 10 * number):
            assert again.find_time(wanted) == (number, 1000 + 10 * number)
        data = again.read(number, 1, upto=300, whole_batch=True)
        assert int.from_bytes(data[:8]) == number
