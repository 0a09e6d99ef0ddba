"""Nothing is acknowledged unless the broker has every message before it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from confluent_kafka.cimpl import NewTopic

from schemas.errors import DeliveryError
from schemas.kafka_settings import KafkaSettings
from schemas.settings import ScoringSettings
from stream_processors.outbox import Messages, Outbox
from stream_processors.topics import TopicInfo, admin_client, end_offsets
from tests.deployment import PATIENCE_S
from tests.fixtures.kafka import KafkaServer

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]


@pytest.fixture
def narrow(kafka: KafkaSettings, pipeline_name: str) -> str:
    """A topic that takes messages of up to 2,000 bytes."""
    config = {"max.message.bytes": "2000"}
    future = admin_client(kafka).create_topics([NewTopic(pipeline_name, 1, config=config)])
    future[pipeline_name].result(PATIENCE_S)
    return pipeline_name


def messages(topic: str, *values: bytes) -> list[Messages]:
    return [Messages(topic, [None] * len(values), values)]


def run(
    kafka: KafkaSettings, act: Callable[[Outbox], Awaitable[None]], timeout_s: float = PATIENCE_S
) -> None:
    async def main() -> None:
        outbox = Outbox(kafka, ScoringSettings(linger_ms=0, delivery_timeout_s=timeout_s))
        try:
            await act(outbox)
        finally:
            outbox.close()

    asyncio.run(main())


def test_a_batch_is_delivered_when_the_broker_has_all_of_it(
    kafka: KafkaSettings, narrow: str
) -> None:
    async def act(outbox: Outbox) -> None:
        await outbox.publish(0, messages(narrow, *[b"x"] * 50))

    run(kafka, act)
    assert end_offsets(kafka, [TopicInfo(narrow, "", 1)]) == {(narrow, 0): 50}


def test_a_message_that_fails_takes_everything_after_it_along(
    kafka: KafkaSettings, narrow: str
) -> None:
    """The last message of a batch cannot be acknowledged when an earlier one was refused."""

    async def act(outbox: Outbox) -> None:
        await outbox.publish(0, messages(narrow, b"before"))
        results = await asyncio.gather(
            outbox.publish(0, messages(narrow, b"small", b"x" * 5000, b"small")),
            outbox.publish(0, messages(narrow, b"after")),
            return_exceptions=True,
        )
        assert all(isinstance(result, DeliveryError) for result in results)

    run(kafka, act)
    topic = TopicInfo(narrow, "", 1)
    assert end_offsets(kafka, [topic])[narrow, 0] <= 2


def test_a_message_that_librdkafka_refuses_is_an_error_at_once(
    kafka: KafkaSettings, narrow: str
) -> None:
    async def act(outbox: Outbox) -> None:
        with pytest.raises(DeliveryError, match="1 of 2 messages"):
            await outbox.publish(0, messages(narrow, b"small", b"x" * 9_000_000))

    run(kafka, act)


def test_a_batch_without_an_answer_is_an_error_after_its_time_out(
    kafka_server: KafkaServer, pipeline_name: str
) -> None:
    kafka = kafka_server.settings()
    future = admin_client(kafka).create_topics([NewTopic(pipeline_name, 1)])
    future[pipeline_name].result(PATIENCE_S)

    async def act(outbox: Outbox) -> None:
        await asyncio.to_thread(outbox.learn_partitions, [pipeline_name], 1)  # so it is connected
        kafka_server.freeze()
        try:
            with pytest.raises(DeliveryError, match="no answer in 2 s"):
                await outbox.publish(0, messages(pipeline_name, b"unanswered"))
        finally:
            kafka_server.thaw()

    run(kafka, act, timeout_s=2.0)
