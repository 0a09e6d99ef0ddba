"""Consumer groups: members share the partitions, and nothing is lost when they come and go."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.contract.broker.clients import WAIT_S, Cluster, fresh, until
from tests.contract.broker.members import Feeder, Member

pytestmark = pytest.mark.every_broker


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_nothing_is_lost_when_a_member_joins_and_leaves(cluster: Cluster, strategy: str) -> None:
    topic, group = cluster.topic(4), fresh("group")
    options = {"partition_assignment_strategy": strategy}

    with (
        Feeder(cluster, topic, 4) as feeder,
        Member(cluster, topic, group, **options) as stays,
    ):
        until(lambda: len(stays.owned) == 4 and len(stays.seen) > 50)
        leaves = Member(cluster, topic, group, **options).start()
        until(lambda: shared(stays, leaves) and len(leaves.seen) > 50)
        leaves.leave()
        until(lambda: len(stays.owned) == 4)
        feeder.stop()
        until(lambda: {*stays.seen, *leaves.seen} >= set(feeder.acknowledged))

    assert {*stays.seen, *leaves.seen} == set(feeder.acknowledged)
    assert [*stays.errors, *leaves.errors] == []


def test_nothing_is_lost_when_an_aiokafka_member_joins_and_leaves(cluster: Cluster) -> None:
    topic, group = cluster.topic(4), fresh("group")

    async def run() -> None:
        with Feeder(cluster, topic, 4) as feeder:
            stays, leaves = (AiokafkaMember(cluster, topic, group) for _ in range(2))
            await stays.start()
            await holds(lambda: len(stays.owned) == 4 and len(stays.seen) > 50)
            await leaves.start()
            await holds(lambda: shared(stays, leaves) and len(leaves.seen) > 50)
            await leaves.leave()
            await holds(lambda: len(stays.owned) == 4)
            await asyncio.to_thread(feeder.stop)
            await holds(lambda: {*stays.seen, *leaves.seen} == set(feeder.acknowledged))
            await stays.leave()

    asyncio.run(asyncio.wait_for(run(), 2 * WAIT_S))


def test_a_killed_members_partitions_go_to_the_others_after_its_session(cluster: Cluster) -> None:
    topic, group = cluster.topic(4), fresh("group")
    cluster.fill(topic, 400, n_partitions=4)
    command = [sys.executable, "-m", "tests.contract.broker.members"]

    with Member(cluster, topic, group) as survivor:
        victim = subprocess.Popen([*command, cluster.servers, topic, group])
        try:
            until(lambda: len(survivor.owned) == 2)
        finally:
            killed_at = time.monotonic()
            victim.kill()
            victim.wait()
        until(lambda: len(survivor.owned) == 4)
        took_s = time.monotonic() - killed_at
        cluster.fill(topic, 40, n_partitions=4)
        until(lambda: {(each, 109) for each in range(4)} <= set(survivor.seen))

    assert took_s > 1, "the session of 6 s goes on when the connection ends"


def test_a_static_member_comes_back_within_its_session_without_a_rebalance(
    cluster: Cluster,
) -> None:
    """KIP-345: it gets what it had, and the others notice nothing."""
    topic, group = cluster.topic(4), fresh("group")
    options = {"session_timeout_ms": 120_000}

    with Member(cluster, topic, group, group_instance_id="a", **options) as other:
        restarts = Member(cluster, topic, group, group_instance_id="b", **options).start()
        until(lambda: shared(other, restarts))
        had, kept, n_before = set(restarts.owned), set(other.owned), other.n_assignments

        restarts.leave()
        with Member(cluster, topic, group, group_instance_id="b", **options) as back:
            until(lambda: back.owned)
            cluster.fill(topic, 40, n_partitions=4)
            until(lambda: len({*other.seen, *back.seen}) == 40)

            assert (back.owned, other.owned) == (had, kept)
            assert other.n_assignments == n_before


def test_a_second_member_of_the_same_instance_fences_the_first(cluster: Cluster) -> None:
    topic, group = cluster.topic(2), fresh("group")

    with Member(cluster, topic, group, group_instance_id="a") as first:
        until(lambda: len(first.owned) == 2)
        with Member(cluster, topic, group, group_instance_id="a") as second:
            until(lambda: len(second.owned) == 2)
            until(lambda: first.errors)
            cluster.fill(topic, 10, n_partitions=2)
            until(lambda: len(second.seen) == 10)

    assert {error.code() for error in first.errors} <= {
        KafkaError._FATAL,
        KafkaError.FENCED_INSTANCE_ID,
    }
    assert second.errors == []


def test_two_groups_each_read_everything(cluster: Cluster) -> None:
    topic = cluster.topic(2)
    cluster.fill(topic, 100, n_partitions=2)

    with (
        Member(cluster, topic, fresh("group")) as one,
        Member(cluster, topic, fresh("group")) as other,
    ):
        until(lambda: len(one.seen) >= 100 and len(other.seen) >= 100)
        assert sorted(one.seen) == sorted(other.seen) == sorted(set(one.seen))


def shared(one: Any, other: Any) -> bool:
    """Whether the two members own two partitions each, and not the same ones."""
    return len(one.owned) == len(other.owned) == 2 and not one.owned & other.owned


async def holds(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, condition)


class AiokafkaMember:
    """An aiokafka consumer as a task that reads and commits what it read."""

    def __init__(self, cluster: Cluster, topic: str, group: str) -> None:
        from aiokafka import AIOKafkaConsumer

        self.seen: list[tuple[int, int]] = []
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=cluster.servers,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
        )

    @property
    def owned(self) -> set[int]:
        return {each.partition for each in self._consumer.assignment()}

    async def start(self) -> None:
        self._consumer.subscribe([self._topic])
        await self._consumer.start()
        self._task = asyncio.create_task(self._run())

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _run(self) -> None:
        from aiokafka.errors import KafkaError as AiokafkaError

        while True:
            for tp, messages in (await self._consumer.getmany(timeout_ms=100)).items():
                self.seen += [(tp.partition, message.offset) for message in messages]
            try:
                await self._consumer.commit()
            except AiokafkaError:  # a rebalance is on: the next owner reads it again
                continue
