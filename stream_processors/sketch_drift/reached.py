"""How far the source was read by the frames before a place on `scored-batches`.

A scorer that was killed repeats frames. Whether a frame repeats offsets shows in the frames before
it, which a worker that takes a partition over has not read: it looks back.
"""

import time
from collections.abc import Iterator

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from faust.types import TP

from drift.coverage import Source
from schemas.errors import TransientError
from schemas.frames import decode_frame
from schemas.kafka_settings import KafkaSettings

log = structlog.get_logger()

LOOK_BACK_FRAMES = 1000
"""More than a scorer repeats: what it did since its last commit, a second ago, and its budget."""
TIMEOUT_S = 30.0


def reached_before(kafka: KafkaSettings, tp: TP, offset: int) -> dict[Source, int]:
    """By source partition, the offset after the last one that the frames before `offset` of a
    partition of `scored-batches` answer for. `offset` must hold a record or lie before one.

    Blocking; raises TransientError when the broker does not give them.
    """
    found: dict[Source, int] = {}
    for message in _records(kafka, tp, max(0, offset - LOOK_BACK_FRAMES), offset):
        try:
            header = decode_frame(message.value() or b"").header
        except ValueError:
            continue  # said and counted when it was read
        source = (header.source_topic_id, header.source_partition)
        found[source] = max(found.get(source, 0), header.covers_to)
    return found


def _records(kafka: KafkaSettings, tp: TP, begin: int, end: int) -> Iterator[Message]:
    """The records of `[begin, end)` that are still there."""
    if begin >= end:
        return
    consumer = Consumer(
        kafka.librdkafka()
        | {
            "group.id": "thalweg-look-back",  # never joined, nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    deadline = time.monotonic() + TIMEOUT_S
    try:
        consumer.assign([TopicPartition(tp.topic, tp.partition, begin)])
        while time.monotonic() < deadline:
            for message in consumer.consume(200, 0.5):
                if message.error() is not None:
                    log.warning("look_back_failed", error=str(message.error()))
                elif (message.offset() or 0) >= end:
                    return
                else:
                    yield message
    except KafkaException as error:
        raise TransientError(f"cannot look back on {tp.topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    raise TransientError(f"looking back on {tp.topic}[{tp.partition}] took over {TIMEOUT_S:g} s")
