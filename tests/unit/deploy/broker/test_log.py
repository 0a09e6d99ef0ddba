"""The log of a partition: what is appended is read, at its offset, also after a restart."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.local.broker.configs import topic_config
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.batches import read_header
from tests.unit.deploy.broker.logs import (
    HOUR_MS,
    NOW_MS,
    PLAIN,
    batch_of,
    damaged,
    files,
    open_log,
    read_batches,
    read_records,
)


def test_offsets_go_up_by_the_records_of_each_batch(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert log.append(batch_of(b"a", b"b"), NOW_MS) == 0
    assert log.append(batch_of(b"c"), NOW_MS) == 2
    assert (log.start_offset, log.end_offset, log.stable_offset) == (0, 3, 3)
    assert [(r.offset, r.value) for r in read_records(log)] == [(0, b"a"), (1, b"b"), (2, b"c")]


def test_a_read_starts_with_the_batch_that_holds_the_offset(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for _ in range(3):
        log.append(batch_of(b"a", b"b"), NOW_MS)
    data = log.read(3, 10_000, upto=6, whole_batch=True)
    assert read_header(data).base_offset == 2


def test_a_read_at_the_end_is_empty(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert log.read(0, 10_000, upto=0, whole_batch=True) == b""
    log.append(batch_of(b"a"), NOW_MS)
    assert log.read(1, 10_000, upto=1, whole_batch=True) == b""


def test_a_read_never_goes_up_to_or_beyond_upto(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for _ in range(4):
        log.append(batch_of(b"a", b"b"), NOW_MS)
    size = len(batch_of(b"a", b"b").data)
    assert len(log.read(0, 10_000, upto=4, whole_batch=True)) == 2 * size
    assert len(log.read(0, 10_000, upto=5, whole_batch=True)) == 2 * size
    assert log.read(4, 10_000, upto=4, whole_batch=True) == b""


def test_a_read_may_cut_a_later_batch_but_not_the_first(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    size = len(batch_of(b"a").data)
    for _ in range(3):
        log.append(batch_of(b"a"), NOW_MS)
    assert len(log.read(0, size + 5, upto=3, whole_batch=False)) == size + 5
    assert log.read(0, size - 1, upto=3, whole_batch=False) == b""
    assert len(log.read(0, size - 1, upto=3, whole_batch=True)) == size
    assert len(log.read(0, 0, upto=3, whole_batch=True)) == size
    assert log.read(0, -1, upto=3, whole_batch=False) == b""


def test_append_time_is_the_brokers(tmp_path: Path) -> None:
    log = open_log(tmp_path, topic_config({"message.timestamp.type": "LogAppendTime"}))
    log.append(batch_of(b"a", b"b", time_ms=5), NOW_MS)
    assert [record.timestamp for record in read_records(log)] == [NOW_MS, NOW_MS]


@pytest.mark.parametrize(
    ("options", "batch", "code"),
    [
        ({"max.message.bytes": "80"}, batch_of(b"x" * 50), Code.MESSAGE_TOO_LARGE),
        ({}, batch_of(b"x", time_ms=NOW_MS + 2 * HOUR_MS), Code.INVALID_TIMESTAMP),
        (
            {"message.timestamp.before.max.ms": "1000"},
            batch_of(b"x", time_ms=NOW_MS - 2000),
            Code.INVALID_TIMESTAMP,
        ),
        ({"cleanup.policy": "compact"}, batch_of((b"k", b"v"), b"x"), Code.INVALID_RECORD),
        ({}, batch_of(b"x", producer=(7, 0, -1)), Code.INVALID_RECORD),
        ({}, batch_of(b"x", transactional=True), Code.INVALID_RECORD),
    ],
)
def test_what_kafka_refuses_is_refused_and_leaves_no_trace(
    tmp_path: Path, options: dict[str, str], batch: object, code: Code
) -> None:
    log = open_log(tmp_path, topic_config(options))
    with pytest.raises(RefusedError) as refused:
        log.append(batch, NOW_MS)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert (log.end_offset, log.size) == (0, 0)


def test_records_without_a_time_are_not_too_old(tmp_path: Path) -> None:
    log = open_log(tmp_path, topic_config({"message.timestamp.before.max.ms": "1000"}))
    assert log.append(batch_of(b"x", time_ms=-1), NOW_MS) == 0


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=200)
    for number in range(10):
        log.append(batch_of(b"%d" % number * 40), NOW_MS)
    assert len(files(tmp_path, "*.log")) == 10
    assert [record.offset for record in read_records(log)] == list(range(10))


def test_an_old_segment_is_rolled_by_the_next_append_and_by_retain(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_ms=1000)
    log.append(batch_of(b"a"), NOW_MS)
    log.append(batch_of(b"b"), NOW_MS + 999)
    assert len(files(tmp_path, "*.log")) == 1
    log.append(batch_of(b"c"), NOW_MS + 1000)
    assert len(files(tmp_path, "*.log")) == 2
    log.retain(NOW_MS + 2000)
    assert len(files(tmp_path, "*.log")) == 3


@pytest.mark.parametrize("clean", [True, False])
def test_a_restart_finds_everything(tmp_path: Path, clean: bool) -> None:
    log = open_log(tmp_path, segment_bytes=300)
    for number in range(10):
        log.append(batch_of(b"%d" % number, b"x"), NOW_MS + number)
    before = read_records(log)
    if clean:
        log.close()
    again = open_log(tmp_path, segment_bytes=300)
    assert (again.start_offset, again.end_offset, again.size) == (0, 20, log.size)
    assert read_records(again) == before
    assert again.append(batch_of(b"y"), NOW_MS) == 20


def test_a_torn_tail_is_cut_off_with_a_warning(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    log.append(batch_of(b"b"), NOW_MS)
    (path,) = files(tmp_path, "*.log")
    path.write_bytes(path.read_bytes()[:-3])
    with capture_logs() as lines:
        again = open_log(tmp_path)
    (warning,) = [line for line in lines if line["event"] == "torn_tail_cut_off"]
    assert warning["log_level"] == "warning"
    assert warning["bytes"] == len(batch_of(b"b").data) - 3
    assert again.end_offset == 1
    assert path.stat().st_size == again.size


def test_a_sound_batch_of_an_offset_that_is_taken_is_no_part_of_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    (path,) = files(tmp_path, "*.log")
    path.write_bytes(path.read_bytes() * 2)
    assert [record.offset for record in read_records(open_log(tmp_path))] == [0]


def test_damage_in_an_earlier_segment_hides_only_what_follows_it_there(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=3 * len(batch_of(b"a").data))
    for number in range(7):
        log.append(batch_of(b"%d" % number), NOW_MS)
    first = files(tmp_path, "*.log")[0]
    batches = read_batches(log)
    first.write_bytes(b"".join((batches[0].data, damaged(batches[1]), batches[2].data)))
    files(tmp_path, "*.index")[0].unlink()
    with capture_logs() as lines:
        again = open_log(tmp_path)
    assert "segment_damaged" in [line["event"] for line in lines]
    assert [record.offset for record in read_records(again)] == [0, 3, 4, 5, 6]
    assert [record.offset for record in read_records(again, 1)] == [3, 4, 5, 6]


def test_an_index_file_that_says_more_than_the_segment_has_is_not_believed(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    log.append(batch_of(b"b"), NOW_MS)
    log.close()
    (path,) = files(tmp_path, "*.log")
    path.write_bytes(path.read_bytes()[: len(batch_of(b"a").data)])
    again = open_log(tmp_path)
    assert again.end_offset == 1
    again.append(batch_of(b"c"), NOW_MS)
    assert [record.value for record in read_records(open_log(tmp_path))] == [b"a", b"c"]


@pytest.mark.parametrize("content", [b"", b"twi1", b"\0" * 400])
def test_a_damaged_index_file_is_not_believed(tmp_path: Path, content: bytes) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    log.close()
    (path,) = files(tmp_path, "*.index")
    path.write_bytes(content)
    assert open_log(tmp_path).end_offset == 1


def test_deleted_records_stay_deleted(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=300)
    for number in range(10):
        log.append(batch_of(b"%d" % number), NOW_MS)
    assert log.delete_before(7) == 7
    assert log.delete_before(3) == 7
    for again in (log, open_log(tmp_path)):
        assert (again.start_offset, again.end_offset) == (7, 10)
        assert [record.offset for record in read_records(again)] == [7, 8, 9]


def test_all_records_may_be_deleted_and_offsets_go_on(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a", b"b"), NOW_MS)
    assert log.delete_before(2) == 2
    assert open_log(tmp_path).append(batch_of(b"c"), NOW_MS) == 2


@pytest.mark.parametrize("offset", [-1, 2])
def test_only_offsets_of_the_log_can_be_deleted_before(tmp_path: Path, offset: int) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    with pytest.raises(RefusedError) as refused:
        log.delete_before(offset)
    assert refused.value.code == Code.OFFSET_OUT_OF_RANGE


def test_watchers_hear_of_appends_markers_and_of_the_end_of_the_topic(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    heard: list[int] = []
    log.watchers.add(lambda: heard.append(log.end_offset))
    log.append(batch_of(b"a", producer=(7, 0, 0), transactional=True), NOW_MS)
    log.append_marker(7, 0, commit=True, now_ms=NOW_MS)
    assert heard == [1, 2]
    log.close()
    assert not log.gone
    log.close(gone=True)
    assert (heard, log.gone) == ([1, 2, 2], True)


def test_a_write_that_fails_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(batch_of(b"a"), NOW_MS)
    log.close()
    (path,) = files(tmp_path, "*.log")
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(RefusedError) as refused:
        log.append(batch_of(b"b", producer=(7, 0, 0)), NOW_MS)
    assert refused.value.code == Code.KAFKA_STORAGE_ERROR
    path.rmdir()
    path.write_bytes(content)
    assert log.append(batch_of(b"b", producer=(7, 0, 0)), NOW_MS) == 1
    assert [record.value for record in read_records(open_log(tmp_path))] == [b"a", b"b"]


def test_sealed_segments_keep_one_file_open_at_most(tmp_path: Path) -> None:
    def n_open() -> int:
        descriptors = Path("/proc/self/fd").iterdir()
        return sum(str(tmp_path) in str(link.resolve()) for link in descriptors)

    log = open_log(tmp_path, segment_bytes=100)
    for number in range(20):
        log.append(batch_of(b"%d" % number), NOW_MS)
    assert len(read_records(log)) == 20
    assert n_open() <= 2
    log.retain(NOW_MS)
    assert n_open() <= 1
    log.close()
    assert n_open() == 0


def test_time_retention_deletes_what_is_older_the_active_segment_too(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention_ms=HOUR_MS, segment_bytes=150)
    for number in range(4):
        log.append(batch_of(b"x" * 60, time_ms=NOW_MS + number), NOW_MS)
    log.retain(NOW_MS + HOUR_MS + 2)
    assert log.start_offset == 2
    log.retain(NOW_MS + HOUR_MS + 10)
    assert (log.start_offset, log.end_offset, log.size) == (4, 4, 0)
    again = open_log(tmp_path)
    assert (again.start_offset, again.end_offset) == (4, 4)


def test_size_retention_keeps_at_least_its_bytes(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=150)
    size = len(batch_of(b"x" * 60).data)
    for _ in range(5):
        log.append(batch_of(b"x" * 60), NOW_MS)
    log.config = open_log(tmp_path / "other", PLAIN, retention_bytes=2 * size + 1).config
    log.retain(NOW_MS)
    assert (log.start_offset, log.size) == (2, 3 * size)


def test_retention_spares_an_open_transaction_and_topics_that_do_not_delete(tmp_path: Path) -> None:
    log = open_log(tmp_path, retention_ms=1, segment_bytes=150)
    log.append(batch_of(b"x" * 60), NOW_MS)
    log.append(batch_of(b"x" * 60, producer=(7, 0, 0), transactional=True), NOW_MS)
    log.append(batch_of(b"x" * 60), NOW_MS)
    log.retain(NOW_MS + HOUR_MS)
    assert log.start_offset == 1
    kept = open_log(tmp_path / "kept", retention_ms=1, deletes=False)
    kept.append(batch_of(b"x"), NOW_MS)
    kept.retain(NOW_MS + HOUR_MS)
    assert (kept.start_offset, kept.end_offset) == (0, 1)


def test_a_checkpoint_spares_a_crashed_start_most_of_the_reading(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for _ in range(18):
        log.append(batch_of(b"x" * 1_000_000), NOW_MS)
    log.retain(NOW_MS)
    assert files(tmp_path, "*.index")
    log.append(batch_of(b"y", producer=(7, 0, 0)), NOW_MS)
    again = open_log(tmp_path)
    assert again.end_offset == 19
    assert again.append(batch_of(b"y", producer=(7, 0, 0)), NOW_MS) == 18


def test_a_file_that_shrank_under_the_log_is_an_answer_not_a_crash(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for _ in range(3):
        log.append(batch_of(b"x" * 2000), NOW_MS)
    log.close()
    log = open_log(tmp_path)
    (path,) = files(tmp_path, "*.log")
    path.write_bytes(b"")
    for read in (lambda: log.read(0, 10, upto=2, whole_batch=True), lambda: log.find_time(0)):
        with pytest.raises(RefusedError) as refused:
            read()
        assert refused.value.code == Code.KAFKA_STORAGE_ERROR


def test_a_log_on_a_disk_that_refuses_goes_on_being_read(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment_bytes=150, segment_ms=1000)
    log.append(batch_of(b"x" * 60), NOW_MS)
    obstacle = tmp_path / "log" / f"{0:020d}.index.tmp"
    obstacle.mkdir()
    with capture_logs() as lines:
        log.retain(NOW_MS + 1000)
        log.close()
    assert [line["event"] for line in lines] == ["retention_failed", "index_not_saved"]
    with pytest.raises(RefusedError) as refused:
        log.append(batch_of(b"y" * 60), NOW_MS)
    assert refused.value.code == Code.KAFKA_STORAGE_ERROR
    obstacle.rmdir()
    assert log.append(batch_of(b"y" * 60), NOW_MS) == 1
    assert [record.offset for record in read_records(log)] == [0, 1]
