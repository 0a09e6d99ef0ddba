"""Where outputs and the acknowledgement of their source meet.

At least once: publish every message of a batch, wait until the broker has acknowledged each one,
then acknowledge the batch, whose offsets Faust commits. The transactional form (offsets sent inside
the producer's transaction) takes this object's place without the scorer noticing.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaError, Producer

from schemas.errors import ConfigurationError, DeliveryError
from schemas.kafka_settings import KafkaSettings
from schemas.settings import ScoringSettings

log = structlog.get_logger()

POLL_S = 0.05
LEARN_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages for one topic, in order; `keys` and `values` are parallel."""

    topic: str
    keys: Sequence[bytes | None]
    values: Sequence[bytes]


class Receipt:
    """Counts the delivery reports of one batch; done when every message was acknowledged or one
    failed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, n_messages: int) -> None:
        self._loop = loop
        self._left = n_messages
        self._error: KafkaError | None = None
        self.delivered: asyncio.Future[None] = loop.create_future()

    def report(self, error: KafkaError | None, _: Any) -> None:
        """librdkafka's delivery callback; called on the polling thread only."""
        if error is not None and self._error is None:
            self._error = error
        self._left -= 1
        if self._left == 0 or self._error is not None:
            self._loop.call_soon_threadsafe(self.settle)

    def settle(self) -> None:
        """Resolve `delivered`. Called on the event loop."""
        if self.delivered.done():
            return
        if self._error is None:
            self.delivered.set_result(None)
        else:
            self.delivered.set_exception(
                DeliveryError(f"an output was not delivered: {self._error.str()}")
            )


class Outbox:
    """Publishes a batch's outputs to the partition number of their source, and follows each one.

    Order without gaps: one idempotent producer with `enable.gapless.guarantee`, so a message that
    fails takes everything after it along, and a reader never sees an offset whose predecessors
    were not published.
    """

    def __init__(self, kafka: KafkaSettings, scoring: ScoringSettings) -> None:
        options = kafka.librdkafka() | _producer_options(scoring)
        self._producer = Producer(options, logger=logging.getLogger("librdkafka"))
        self._closing = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="outbox", daemon=True)
        self._poller.start()

    def learn_partitions(self, topics: Sequence[str], n_partitions: int) -> None:
        """Make sure the producer knows that these topics have `n_partitions`, before it is given
        any for a new one; librdkafka looks again every five minutes only. Blocking; raises
        ConfigurationError when it does not learn so within a bound.
        """
        deadline = time.monotonic() + LEARN_TIMEOUT_S
        for name in topics:
            while len(self._producer.list_topics(name, LEARN_TIMEOUT_S).topics[name].partitions) < (
                n_partitions
            ):
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"{name} has fewer than {n_partitions} partitions; give it as many as its"
                        " source has"
                    )
                time.sleep(POLL_S)

    def publish(self, partition: int, outputs: Sequence[Messages]) -> asyncio.Future[None]:
        """Enqueue all outputs of a batch; the future ends when the broker has acknowledged each
        one.

        Raises DeliveryError (here or from the future) when any was refused.
        """
        loop = asyncio.get_running_loop()
        receipt = Receipt(loop, sum(len(messages.values) for messages in outputs))
        if not outputs:
            receipt.settle()
        for messages in outputs:
            self._enqueue(partition, messages, receipt)
        return receipt.delivered

    def close(self) -> None:
        """Stop following deliveries; what is not acknowledged by now is replayed."""
        self._closing.set()
        self._poller.join()
        self._producer.purge()

    def _enqueue(self, partition: int, messages: Messages, receipt: Receipt) -> None:
        items = [
            {"key": key, "value": value}
            for key, value in zip(messages.keys, messages.values, strict=True)
        ]
        n_taken = self._producer.produce_batch(
            messages.topic, items, partition=partition, on_delivery=receipt.report
        )
        if n_taken != len(items):
            first = next((item["_error"] for item in items if "_error" in item), None)
            raise DeliveryError(
                f"{len(items) - n_taken} of {len(items)} messages to {messages.topic}[{partition}]"
                f" were refused: {first!s}"
            )

    def _poll(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(POLL_S)


def _producer_options(scoring: ScoringSettings) -> dict[str, str | int | float | bool]:
    """The queue is larger than the budget can fill, so that nothing is ever refused for want of
    room.
    """
    return {
        "enable.idempotence": True,
        "enable.gapless.guarantee": True,
        "acks": "all",
        "linger.ms": scoring.linger_ms,
        "delivery.timeout.ms": int(scoring.delivery_timeout_s * 1000),
        "queue.buffering.max.messages": 4 * scoring.max_in_flight_events + 100_000,
        "queue.buffering.max.kbytes": 2_097_151,
        "message.max.bytes": 2 * 2**20,
        "batch.size": 1_000_000,
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 1000,
        "reconnect.backoff.max.ms": 1000,
        "statistics.interval.ms": 0,
    }
