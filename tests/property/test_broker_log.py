"""The broker's log against a list of records: whatever is done to it, and wherever it is killed."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from deploy.local.broker.log.partition_log import PartitionLog
from tests.unit.deploy.broker.logs import (
    COMPACTED,
    NOW_MS,
    batch_of,
    batches_in,
    files,
    open_log,
    read_batches,
    read_records,
    seen,
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 9)),
        st.tuples(st.just("read"), st.integers(0, 400)),
        st.tuples(st.just("delete"), st.integers(1, 6)),
        st.tuples(st.just("close"), st.just(0)),
        st.tuples(st.just("kill"), st.just(0)),
        st.tuples(st.just("retain"), st.just(0)),
    ),
    max_size=30,
)


class Model:
    """What a log must hold: the values of all records ever appended, and where it starts."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.start = 0

    def append(self, log: PartitionLog, n: int) -> None:
        new = [b"%d" % (len(self.values) + number) for number in range(n)]
        assert log.append(batch_of(*new), NOW_MS) == len(self.values)
        self.values += new

    def check(self, log: PartitionLog) -> None:
        assert (log.start_offset, log.end_offset) == (self.start, len(self.values))
        found = [(record.offset, record.value) for record in read_records(log)]
        assert found == list(enumerate(self.values))[self.start :]

    def check_read(self, log: PartitionLog, number: int) -> None:
        """One fetch from some offset, of some size, up to some offset."""
        offset = self.start + number % (len(self.values) - self.start + 1)
        upto = min(len(self.values), offset + number % 13)
        data = log.read(offset, number, upto=upto, whole_batch=False)
        assert len(data) <= number
        found = list(batches_in(data))
        offsets = [record.offset for record in seen(found)]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets))) if offsets else True
        if data:
            assert found[0].header.base_offset <= offset <= found[0].header.last_offset
            assert found[-1].header.last_offset < upto


@given(STEPS, st.integers(150, 600))
@settings(max_examples=60, deadline=None)
def test_the_log_is_a_list_of_records(steps: list[tuple[str, int]], segment_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory, model = Path(folder), Model()
        log = open_log(directory, segment_bytes=segment_bytes)
        for action, number in steps:
            match action:
                case "append":
                    model.append(log, number)
                case "read":
                    model.check_read(log, number)
                case "delete":
                    model.start = min(model.start + number, len(model.values))
                    assert log.delete_before(model.start) == model.start
                case "retain":
                    log.retain(NOW_MS)
                case _:
                    if action == "close":
                        log.close()
                    log = open_log(directory, segment_bytes=segment_bytes)
            model.check(log)
        log.close()


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.integers(0, 7),
    st.floats(0, 1),
    st.binary(max_size=80),
)
@settings(max_examples=100, deadline=None)
def test_a_tail_torn_at_any_byte_costs_only_the_torn_batch(
    sizes: list[int], close_after: int, where: float, garbage: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory, model = Path(folder), Model()
        log = open_log(directory)
        ends, closed_at = [(0, 0)], 0
        for number, size in enumerate(sizes):
            model.append(log, size)
            ends.append((log.size, log.end_offset))
            if number == close_after:
                log.close()
                closed_at = log.size
        (path,) = files(directory, "*.log")
        cut = round(where * log.size)
        content = path.read_bytes()
        # What an index file speaks for can be lost with the machine, but is not written over.
        path.write_bytes(content[:cut] + (garbage if cut >= closed_at else b""))
        again = open_log(directory)
        # Garbage that happens to be what was there goes on with the log.
        whole = max(end for end in ends if end[0] <= cut)
        assert again.end_offset >= whole[1]
        assert path.read_bytes() == content[: again.size]
        del model.values[again.end_offset :]
        model.check(again)
        model.append(again, 2)
        model.check(open_log(directory))


class Killed(BaseException):
    """Raised in place of a step that the process did not live to take."""


class Killer:
    """Ends everything from the nth change to the file system on, as SIGKILL would.

    Python tells audit hooks of every open, rename and removal before it happens. A hook cannot be
    removed again, so there is one, and it is armed and disarmed.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.directory = ""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.left is None or event not in {"open", "os.rename", "os.remove"}:
            return
        if not str(arguments[0]).startswith(self.directory):
            return
        if self.left == 0:
            raise Killed
        self.left -= 1


@pytest.fixture(scope="module")
def killer() -> Killer:
    return Killer()


WRITES = st.lists(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.sampled_from([b"1", b"2", None])),
        min_size=1,
        max_size=4,
    ),
    min_size=3,
    max_size=10,
)


def last_values(log: PartitionLog) -> dict[bytes | None, bytes]:
    """What a table that reads the whole log ends with."""
    table: dict[bytes | None, bytes] = {}
    for record in read_records(log):
        if record.value is None:
            table.pop(record.key, None)
        else:
            table[record.key] = record.value
    return table


@given(WRITES, st.integers(150, 500), st.integers(1, 3))
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_a_compaction_killed_between_any_two_steps_loses_nothing(
    killer: Killer, writes: list[list[tuple[bytes, bytes | None]]], new_bytes: int, n_before: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written, directory = Path(folder) / "written", Path(folder) / "killed"
        log = open_log(written, COMPACTED, segment_bytes=150)
        first = log.append(batch_of(*writes[0], producer=(7, 0, 0)), NOW_MS)
        for pairs in writes[1:]:
            log.append(batch_of(*pairs), NOW_MS)
        for step in range(n_before - 1):
            asyncio.run(log.clean(NOW_MS + step))
        expected, before, end = last_values(log), set(read_records(log)), log.end_offset
        n_steps, finished = 0, False
        while not finished:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(written, directory)
            finished = clean_until_killed(killer, directory, new_bytes, n_steps)
            again = open_log(directory, COMPACTED)
            assert (again.start_offset, again.end_offset) == (0, end)
            assert last_values(again) == expected
            records = read_records(again)
            assert [r.offset for r in records] == sorted({r.offset for r in records})
            assert set(records) <= before
            assert read_batches(again)[-1].header.last_offset == end - 1
            assert not [*files(directory, "*.swap"), *files(directory, "*.cleaned*")]
            repeated = batch_of(*writes[0], producer=(7, 0, 0))
            assert again.append(repeated, NOW_MS) == first
            n_steps += 1
        assert n_steps > 3 or n_before > 1  # nothing may be due after an earlier pass


def clean_until_killed(killer: Killer, directory: Path, segment_bytes: int, steps: int) -> bool:
    """Compact the log, killed after so many steps; True where it was done before that."""
    log = open_log(directory, COMPACTED, segment_bytes=segment_bytes)
    killer.directory, killer.left = str(directory), steps
    try:
        asyncio.run(log.clean(NOW_MS + 10))
    except Killed:
        return False
    else:
        return True
    finally:
        killer.left = None
        log.close(gone=True)
