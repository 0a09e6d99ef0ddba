"""A stock Faust application: its topics, its agent, and its table out of the changelog."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.broker.clients import WAIT_S, Cluster, fresh, until

pytestmark = pytest.mark.every_broker

Start = Callable[[str], "subprocess.Popen[bytes]"]


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
    name = fresh("faust")
    words, counts = f"{name}-words", f"{name}-counts"
    cluster.create(words, 2)
    cluster.create(counts, 2)

    first = start(name)
    send_words(cluster, words, ["a", "b", "a", "a"])
    until(lambda: latest(cluster, counts) == {"a": 3, "b": 1})
    first.kill()
    first.wait()

    second = start(name)
    send_words(cluster, words, ["a", "c"])

    # At least once: what was not committed before the kill is counted again.
    until(lambda: latest(cluster, counts).keys() == {"a", "b", "c"})
    found = latest(cluster, counts)
    assert found["a"] >= 4, found
    assert found["b"] >= 1, found
    assert found["c"] >= 1, found
    second.terminate()
    assert second.wait(WAIT_S) == 0
    topics = cluster.admin.list_topics(timeout=10).topics
    assert len(topics[f"{name}-{name}-table-changelog"].partitions) == 2


def send_words(cluster: Cluster, topic: str, words: list[str]) -> None:
    producer = cluster.producer()
    for word in words:
        producer.produce(topic, word, word)
    assert producer.flush(WAIT_S) == 0


def latest(cluster: Cluster, topic: str) -> dict[str, int]:
    found = cluster.read(topic, n_partitions=2)
    return {message.key().decode(): int(message.value()) for message in found}
