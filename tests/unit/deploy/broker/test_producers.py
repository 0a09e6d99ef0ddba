"""Idempotence and transactions in one partition, by their rules in Apache Kafka."""

from pathlib import Path

import pytest

from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.log.partition_log import PartitionLog
from deploy.local.broker.log.producers import EXPIRY_MS
from tests.unit.deploy.broker.logs import NOW_MS, batch_of, open_log, read_records


def write(
    log: PartitionLog, sequence: int, *, n: int = 1, epoch: int = 0, producer_id: int = 7
) -> int:
    batch = batch_of(*[b"x"] * n, producer=(producer_id, epoch, sequence))
    return log.append(batch, NOW_MS)


def begin(log: PartitionLog, sequence: int = 0, *, producer_id: int = 7, epoch: int = 0) -> int:
    batch = batch_of(b"x", producer=(producer_id, epoch, sequence), transactional=True)
    return log.append(batch, NOW_MS)


def refusal(log: PartitionLog, sequence: int, *, n: int = 1, epoch: int = 0) -> Code:
    end = log.end_offset
    with pytest.raises(RefusedError) as refused:
        write(log, sequence, n=n, epoch=epoch)
    assert log.end_offset == end
    return refused.value.code


def restarted(log: PartitionLog, tmp_path: Path, clean: bool) -> PartitionLog:
    if clean:
        log.close()
    return open_log(tmp_path)


@pytest.mark.parametrize("clean", [True, False])
def test_a_batch_sent_again_keeps_its_offset_also_after_a_restart(
    tmp_path: Path, clean: bool
) -> None:
    log = open_log(tmp_path)
    offsets = [write(log, 2 * number, n=2) for number in range(6)]
    for again in (log, restarted(log, tmp_path, clean)):
        assert [write(again, 2 * number, n=2) for number in range(1, 6)] == offsets[1:]
        assert again.end_offset == 12


def test_a_duplicate_older_than_the_last_five_is_out_of_order(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(6):
        write(log, number)
    assert refusal(log, 0) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_gap_is_refused_and_the_missing_batch_still_fits(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    write(log, 0, n=3)
    assert refusal(log, 4) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(log, 1) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert write(log, 3) == 3


def test_a_new_epoch_starts_at_sequence_0_and_fences_the_old(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    write(log, 0)
    assert refusal(log, 1, epoch=1) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert write(log, 0, epoch=1) == 1
    assert refusal(log, 1, epoch=0) == Code.INVALID_PRODUCER_EPOCH


def test_an_unknown_producer_may_start_anywhere(tmp_path: Path) -> None:
    assert write(open_log(tmp_path), 4711) == 0


def test_sequences_wrap_to_0(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    write(log, 2**31 - 2, n=2)
    assert write(log, 0) == 2
    log = open_log(tmp_path / "inside")
    write(log, 2**31 - 1, n=3)
    assert write(log, 2**31 - 1, n=3) == 0
    assert write(log, 2) == 3


def test_a_silent_producer_is_forgotten_but_not_inside_a_transaction(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    write(log, 0)
    begin(log, producer_id=8)
    log.retain(NOW_MS + EXPIRY_MS - 1)
    assert refusal(log, 5) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    log.retain(NOW_MS + EXPIRY_MS)
    assert write(log, 5) == 2
    with pytest.raises(RefusedError):
        begin(log, 5, producer_id=8)
    assert dict(log.open_transactions) == {8: 1}


@pytest.mark.parametrize("clean", [True, False])
def test_the_stable_offset_is_the_start_of_the_oldest_open_transaction(
    tmp_path: Path, clean: bool
) -> None:
    log = open_log(tmp_path)
    write(log, 0)
    begin(log, producer_id=8)
    begin(log, producer_id=9)
    begin(log, 1, producer_id=8)
    log = restarted(log, tmp_path, clean)
    assert (log.stable_offset, dict(log.open_transactions)) == (1, {8: 1, 9: 2})
    assert log.append_marker(8, 0, commit=True, now_ms=NOW_MS) == 4
    assert log.stable_offset == 2
    assert log.append_marker(9, 0, commit=False, now_ms=NOW_MS) == 5
    assert log.stable_offset == log.end_offset == 6


@pytest.mark.parametrize("clean", [True, False])
def test_aborted_transactions_are_listed_where_they_overlap(tmp_path: Path, clean: bool) -> None:
    log = open_log(tmp_path)
    begin(log, producer_id=8)  # 0, aborted at 2
    begin(log, producer_id=9)  # 1, committed at 3
    log.append_marker(8, 0, commit=False, now_ms=NOW_MS)
    log.append_marker(9, 0, commit=True, now_ms=NOW_MS)
    begin(log, 1, producer_id=8)  # 4, aborted at 5
    log.append_marker(8, 0, commit=False, now_ms=NOW_MS)
    log = restarted(log, tmp_path, clean)
    assert log.aborted(0, 6) == [(8, 0), (8, 4)]
    assert log.aborted(0, 4) == [(8, 0)]
    assert log.aborted(2, 5) == [(8, 0), (8, 4)]
    assert log.aborted(3, 4) == []
    assert log.aborted(3, 6) == [(8, 4)]
    log.delete_before(3)
    assert log.aborted(0, 6) == [(8, 4)]
    assert restarted(log, tmp_path, clean).aborted(0, 6) == [(8, 4)]


def test_a_marker_without_a_transaction_is_not_written(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    begin(log)
    assert log.append_marker(7, 0, commit=True, now_ms=NOW_MS) == 1
    assert log.append_marker(7, 0, commit=True, now_ms=NOW_MS) is None
    assert log.append_marker(8, 0, commit=False, now_ms=NOW_MS) is None
    assert log.end_offset == 2
    assert len(read_records(log)) == 1


def test_a_marker_of_an_older_epoch_is_refused_and_one_of_a_newer_fences(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    begin(log, epoch=3)
    with pytest.raises(RefusedError) as refused:
        log.append_marker(7, 2, commit=True, now_ms=NOW_MS)
    assert refused.value.code == Code.INVALID_PRODUCER_EPOCH
    assert log.append_marker(7, 4, commit=False, now_ms=NOW_MS) == 1
    for again in (log, open_log(tmp_path)):
        assert refusal(again, 1, epoch=3) == Code.INVALID_PRODUCER_EPOCH
        assert refusal(again, 1, epoch=4) == Code.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert begin(log, 0, epoch=4) == 2


def test_inside_a_transaction_plain_batches_are_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    begin(log)
    assert refusal(log, 1) == Code.INVALID_TXN_STATE
