"""How librdkafka is to fetch, and which of its errors end the fetching."""

import structlog
from confluent_kafka import KafkaError, Message

from schemas.errors import SourceError
from stream_processors.transport.budget import Limits

log = structlog.get_logger()

GATHER_BYTES = 2 * 2**20
"""What a stage in no hurry waits for, at most `gather_ms`."""


def is_record(message: Message) -> bool:
    """Whether it is a record and no error. Errors that librdkafka recovers from by itself are
    logged; the others end the fetching with a SourceError.
    """
    error = message.error()
    if error is None:
        return True
    fatal = {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._FATAL,
    }
    if error.code() in fatal or error.fatal():
        raise SourceError(
            f"cannot read {message.topic()}[{message.partition()}] at"
            f" {message.offset()}: {error.str()}"
        )
    log.warning("fetch_error", error=error.str(), code=error.name())
    return False


def fetch_options(group: str, limits: Limits) -> dict[str, str | int | float | bool]:
    """librdkafka's side of the bounds; latency first (FACTS: 5 ms instead of 1 s of fetch
    back-off).
    """
    gather = {"fetch.min.bytes": GATHER_BYTES, "fetch.wait.max.ms": limits.gather_ms}
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 5,
        "fetch.error.backoff.ms": 100,
        "queued.min.messages": max(2 * limits.max_batch, 1000),
        "queued.max.messages.kbytes": max(limits.max_bytes // 1024, 1024),
        "fetch.message.max.bytes": 4 * 2**20,
        "reconnect.backoff.max.ms": 1000,
        **(gather if limits.gather_ms else {}),
    }
