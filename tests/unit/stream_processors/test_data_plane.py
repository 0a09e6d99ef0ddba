"""The thread that fetches, without a broker."""

import asyncio

from faust.types import TP

from schemas.kafka_settings import KafkaSettings
from stream_processors.transport.budget import Limits
from stream_processors.transport.data_plane import DataPlane

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")
LIMITS = Limits(max_events=10, max_bytes=1000, max_batch=6)


def test_a_command_that_nobody_waits_for_any_more_does_not_end_the_fetching() -> None:
    """As when a worker is stopped while its partitions are assigned."""
    failures: list[Exception] = []

    async def act() -> None:
        plane = DataPlane(NOBODY, "test", LIMITS, failures.append)
        for _ in range(50):  # the thread may be quicker; not every time
            pausing = asyncio.create_task(plane.pause([TP("t", 0)]))
            await asyncio.sleep(0)
            pausing.cancel()
        assert await plane.n_waiting() == 0
        await plane.stop()

    asyncio.run(asyncio.wait_for(act(), 60))
    assert failures == []
