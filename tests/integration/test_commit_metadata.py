"""The topic id kept with a commit comes back as it was, whatever lies in the heap."""

import asyncio
import ctypes

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Wanted

from schemas.kafka_settings import KafkaSettings
from stream_processors.topics import create_pipeline_topics
from stream_processors.transport.driver import METADATA_END

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]
TOPIC_ID = "BDkLZKjXRgWyWgwGDrm0Ew"


def dirty_heap() -> None:
    """Leave free chunks of the metadata's size full of letters for the next malloc."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    chunks = [ctypes.c_void_p(libc.malloc(size)) for size in (24, 40, 56) for _ in range(60)]
    for chunk, size in zip(chunks, (size for size in (24, 40, 56) for _ in range(60)), strict=True):
        ctypes.memset(chunk, ord("A"), size)
    for chunk in chunks:
        libc.free(chunk)


async def commit(kafka: KafkaSettings, group: str, topic: str, metadata: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, metadata)})
    await consumer.stop()


def test_the_metadata_of_a_commit_is_read_to_its_end_and_no_further(
    kafka: KafkaSettings, pipeline_name: str
) -> None:
    create_pipeline_topics(kafka, pipeline_name)
    topic = f"{pipeline_name}.features"
    asyncio.run(commit(kafka, pipeline_name, topic, TOPIC_ID + METADATA_END))
    consumer = Consumer(kafka.librdkafka() | {"group.id": pipeline_name})
    seen = set()
    for _ in range(50):
        dirty_heap()
        (found,) = consumer.committed([Wanted(topic, 0)], 10)
        seen.add(found.metadata)
    consumer.close()
    assert seen == {TOPIC_ID}
