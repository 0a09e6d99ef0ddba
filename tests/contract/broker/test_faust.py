"""A stock Faust application: its topics, its agent, and its table out of the changelog."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.contract.broker.clients import WAIT_S, Cluster, fresh, until

pytestmark = pytest.mark.every_broker

Start = Callable[[str], "subprocess.Popen[bytes]"]

STALL_S, N_STARTS = 60.0, 4
"""A Faust app that counts nothing for so long stands still (docs/surprises.md): it is killed and
started again, as whoever runs one does."""


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Start]:
    """Starts the app of that name; all are killed at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def start_app(name: str) -> "subprocess.Popen[bytes]":
        data = tmp_path / str(len(running))
        command = [sys.executable, "-m", "tests.contract.broker.faust_app"]
        with (tmp_path / "faust.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, cluster.servers, name, str(data)], stdout=log, stderr=log
            )
        running.append(process)
        return process

    yield start_app
    for process in running:
        process.kill()
        process.wait()
    print((tmp_path / "faust.log").read_text()[-4000:])


def test_an_agent_with_a_table_counts_on_after_it_was_killed(
    cluster: Cluster, start: Start
) -> None:
    """Words are sent until they are counted: Faust may lose the first one of an assignment."""
    name = fresh("faust")
    words, counts, changelog = f"{name}-words", f"{name}-counts", f"{name}-{name}-table-changelog"
    cluster.create(words, 2)
    cluster.create(counts, 2)

    def counted(topic: str = counts) -> dict[str, list[int]]:
        """Every count that was sent of each word, in order."""
        found: dict[str, list[int]] = {}
        for message in cluster.read(topic, n_partitions=2):
            found.setdefault(message.key().decode().strip('"'), []).append(int(message.value()))
        return found

    def counts_some() -> bool:
        send_words(cluster, words, "ab")
        return all(len(counted().get(word, [])) >= 3 for word in "ab")

    first = start_until(lambda: start(name), counts_some)
    told = {word: max(found) for word, found in counted().items()}
    until(lambda: all(max(counted(changelog)[word]) >= told[word] for word in told))
    first.kill()
    first.wait()
    n_before = {word: len(found) for word, found in counted().items()}

    def of_second() -> dict[str, list[int]]:
        return {word: found[n_before.get(word, 0) :] for word, found in counted().items()}

    def counts_all() -> bool:
        send_words(cluster, words, "abc")
        return all(of_second().get(word) for word in "abc")

    second = start_until(lambda: start(name), counts_all)

    for word, found in of_second().items():
        # At least once: what was not committed before the kill is counted again.
        assert min(found) > told.get(word, 0), found
        assert all(after <= before + 1 for before, after in pairwise(found)), "without a gap"
    second.terminate()
    assert second.wait(WAIT_S) == 0
    assert cluster.n_partitions(changelog) == 2


def start_until(
    start: Callable[[], "subprocess.Popen[bytes]"], condition: Callable[[], bool]
) -> "subprocess.Popen[bytes]":
    """The app under which the condition came true."""
    for _ in range(N_STARTS):
        process = start()
        deadline = time.monotonic() + STALL_S
        while time.monotonic() < deadline:
            assert process.poll() is None, "it ended"
            if condition():
                return process
            time.sleep(0.2)
        process.kill()
        process.wait()
    raise AssertionError(f"it did not come true under any of {N_STARTS} apps")


def send_words(cluster: Cluster, topic: str, words: Iterable[str]) -> None:
    producer = cluster.producer()
    for word in words:
        producer.produce(topic, word, word)
    assert producer.flush(WAIT_S) == 0
