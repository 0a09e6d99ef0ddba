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
from confluent_kafka import KafkaError, KafkaException, Producer

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
    """Follows one batch: done when the last message of each topic was acknowledged, or one
    failed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, n_topics: int, timeout_s: float) -> None:
        self._loop = loop
        self._left = n_topics
        self.delivered: asyncio.Future[None] = loop.create_future()
        self._timer = loop.call_later(timeout_s, self._settle, f"no answer in {timeout_s:g} s")

    def report(self, error: KafkaError | None, _: object) -> None:
        """librdkafka's delivery callback; called on the polling thread only."""
        self._left -= 1
        if error is not None:
            self._loop.call_soon_threadsafe(self._settle, error.str())
        elif self._left == 0:
            self._loop.call_soon_threadsafe(self._settle, None)

    def _settle(self, problem: str | None) -> None:
        self._timer.cancel()
        if self.delivered.done():
            return
        if problem is None:
            self.delivered.set_result(None)
        else:
            self.delivered.set_exception(DeliveryError(f"an output was not delivered: {problem}"))


class Outbox:
    """Publishes a batch's outputs to the partition number of their source, and follows each one.

    Every message is checked twice: that librdkafka took it, here, and that the broker has it. For
    the second it is enough to follow the last message to a partition. The broker takes messages of
    an idempotent producer in sequence only, `enable.gapless.guarantee` makes librdkafka stop for
    good rather than go on past one that failed, and messages never expire in its queue (that would
    leave a gap in silence): so the last cannot be acknowledged unless all before it were. It also
    means that a reader never sees an offset whose predecessors were not published. A batch without
    an answer for too long is an error; the process then ends and replays.
    """

    def __init__(self, kafka: KafkaSettings, scoring: ScoringSettings) -> None:
        options = kafka.librdkafka() | _producer_options(scoring)
        self._producer = Producer(options, logger=logging.getLogger("librdkafka"))
        self._timeout_s = scoring.delivery_timeout_s
        self.n_delivered = 0
        """Batches whose every output was acknowledged."""
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
        assert outputs, "a batch has at least a frame or a prediction to publish"
        receipt = Receipt(loop, len(outputs), self._timeout_s)
        for messages in outputs:
            self._enqueue(partition, messages, receipt)
        receipt.delivered.add_done_callback(self._count)
        return receipt.delivered

    def close(self) -> None:
        """Stop following deliveries; what is not acknowledged by now is replayed."""
        self._closing.set()
        self._poller.join()
        self._producer.purge()

    def _enqueue(self, partition: int, messages: Messages, receipt: Receipt) -> None:
        items: list[dict[str, Any]] = [
            {"key": key, "value": value}
            for key, value in zip(messages.keys, messages.values, strict=True)
        ]
        items[-1]["callback"] = receipt.report
        n_taken = self._producer.produce_batch(messages.topic, items, partition=partition)
        if n_taken != len(items):
            first = next((item["_error"] for item in items if "_error" in item), None)
            raise DeliveryError(
                f"{len(items) - n_taken} of {len(items)} messages to {messages.topic}[{partition}]"
                f" were refused: {first!s}"
            )

    def _count(self, delivered: asyncio.Future[None]) -> None:
        if not delivered.cancelled() and delivered.exception() is None:
            self.n_delivered += 1

    def _poll(self) -> None:
        while not self._closing.is_set():
            try:
                self._producer.poll(POLL_S)
            except KafkaException as error:
                # Fatal: the reports of all that is queued follow, and end the process.
                log.error("producer_failed", error=error.args[0].str())


def _producer_options(scoring: ScoringSettings) -> dict[str, str | int | float | bool]:
    """The queue is larger than the budget can fill, so that nothing is ever refused for want of
    room.
    """
    return {
        "enable.idempotence": True,
        "enable.gapless.guarantee": True,
        "acks": "all",
        "partitioner": "murmur2_random",  # where a message goes by its key, as with Java clients
        "linger.ms": scoring.linger_ms,
        "delivery.timeout.ms": 0,  # never; a batch's own time-out ends the process instead
        "queue.buffering.max.messages": 4 * scoring.max_in_flight_events + 100_000,
        "queue.buffering.max.kbytes": 2_097_151,
        "message.max.bytes": 8 * 2**20,  # of drift-state; the topics' own limits are lower
        "batch.size": 1_000_000,
        "retry.backoff.ms": 20,
        "retry.backoff.max.ms": 1000,
        "reconnect.backoff.max.ms": 1000,
        "statistics.interval.ms": 0,
    }
