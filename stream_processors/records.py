"""What lies between two offsets of a partition, read outside of any consumer group."""

import time
from collections.abc import Iterator

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place
from faust.types import TP

from schemas.errors import TransientError
from schemas.kafka_settings import KafkaSettings

log = structlog.get_logger()

FETCH = 200
STALL_S = 30.0
"""Without a record for so long, the broker is not giving them."""


def read_records(kafka: KafkaSettings, tp: TP, begin: int, end: int) -> Iterator[Message]:
    """The records of `[begin, end)` that are still there, in order.

    What expired or was compacted away is passed over. Blocking; raises TransientError when the
    broker does not give them.
    """
    if begin >= end:
        return
    consumer = Consumer(
        kafka.librdkafka()
        | {
            "group.id": "thalweg-look-back",  # never joined, nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    deadline = time.monotonic() + STALL_S
    try:
        # Asking for the beginning by name, which is retried after 500 ms, is left to the reset.
        consumer.assign([Place(tp.topic, tp.partition, begin)])
        while time.monotonic() < deadline:
            # Of a whole run at once it would wait for that many.
            for message in (*consumer.consume(1, 0.5), *consumer.consume(FETCH, 0)):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return
                    log.warning("look_back_failed", error=str(error))
                elif (message.offset() or 0) >= end:
                    return
                else:
                    deadline = time.monotonic() + STALL_S
                    yield message
                    if message.offset() == end - 1:
                        return
    except KafkaException as error:
        raise TransientError(f"cannot look back on {tp.topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    raise TransientError(
        f"looking back on {tp.topic}[{tp.partition}] brought nothing for {STALL_S:g} s"
    )
