"""The publisher SDK: keyed, idempotent, bounded; a full buffer waits and nothing is lost unseen."""

import logging
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Self, TypedDict, Unpack, cast

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codecs import CONTENT_TYPE_HEADER, json, packed
from schemas.errors import DeliveryError, TransientError
from schemas.events import Label
from schemas.features import FeatureSchema
from schemas.kafka_settings import KafkaSettings

MAX_MESSAGE_BYTES = 8 * 2**20
"""As the features topic allows: refusing a foolish event is the scorer's job, with a reason."""

Value = float | bool | str | None
"""One feature of an event as it is sent; None where it is missing."""

_WAIT_STEP_S = 0.1

log = structlog.get_logger(__name__)


class Options(TypedDict, total=False):
    """The options of a Publisher, for those that build on it."""

    max_buffered: int
    max_buffered_mb: int
    linger_ms: float
    buffer_timeout_s: float
    delivery_timeout_s: float


class Publisher:
    """Publishes messages to one topic; a context manager that flushes when its block ends well.

    `max_buffered` messages may wait for their acknowledgement (`max_buffered_mb` of them in bytes);
    at that bound `publish` waits up to `buffer_timeout_s`. A message that the broker has not
    acknowledged after `delivery_timeout_s` has failed. Not for use by several threads.

    The counts: `n_sent` handed over, `n_delivered` acknowledged, `n_failed` given up;
    `first_error` says why the first one failed.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        max_buffered: int = 10_000,
        max_buffered_mb: int = 64,
        linger_ms: float = 5,
        buffer_timeout_s: float = 60,
        delivery_timeout_s: float = 120,
    ) -> None:
        self.topic = topic
        self.n_sent = 0
        self.n_delivered = 0
        self.n_failed = 0
        self.first_error: str | None = None
        self._last_broker_error = ""
        self._buffer_timeout_s = buffer_timeout_s
        self._delivery_timeout_s = delivery_timeout_s
        self._producer = Producer(
            kafka.librdkafka()
            | {
                "enable.idempotence": True,
                "acks": "all",
                # librdkafka's default would send a key elsewhere than a Java client does.
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": max_buffered,
                "queue.buffering.max.kbytes": max_buffered_mb * 1024,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                # librdkafka refuses a linger beyond the delivery timeout
                "linger.ms": min(linger_ms, delivery_timeout_s * 1000),
                "message.timeout.ms": int(delivery_timeout_s * 1000),
            },
            error_cb=self._on_error,
            logger=logging.getLogger("librdkafka"),
        )

    @property
    def n_outstanding(self) -> int:
        """Messages sent whose fate is not yet known."""
        return self.n_sent - self.n_delivered - self.n_failed

    def publish(
        self,
        key: str,
        value: bytes | None,
        *,
        content_type: str | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Hand one message over; returns before it is acknowledged, `flush` makes sure of it.

        JSON is the default on our topics, so it goes without a `content-type` header. Raises
        TransientError when the buffer stays full for `buffer_timeout_s`, and DeliveryError when
        this message can never be sent (too large, or the producer is broken for good).
        """
        wire_headers: dict[str, str | bytes | None] = dict(headers or {})
        if content_type is not None and content_type != json.CONTENT_TYPE:
            wire_headers[CONTENT_TYPE_HEADER] = content_type.encode()
        deadline: float | None = None
        while True:
            try:
                self._producer.produce(
                    self.topic,
                    value,
                    key.encode(),
                    headers=wire_headers or None,
                    on_delivery=self._on_delivery,
                )
                break
            except BufferError:
                deadline = deadline or time.monotonic() + self._buffer_timeout_s
                self._wait_for_room(deadline)
            except KafkaException as error:
                raise DeliveryError(f"{self.topic}: cannot send to it: {error.args[0]}") from error
        self.n_sent += 1
        self._producer.poll(0)

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when every message is acknowledged; raises DeliveryError when one is not.

        Waits for `timeout_s` at most, by default until each message was delivered or given up.
        """
        patience_s = self._delivery_timeout_s + 5 if timeout_s is None else timeout_s
        self._producer.flush(patience_s)
        if self.n_failed or self.n_outstanding:
            raise DeliveryError(
                f"{self.topic}: {self.n_failed} of {self.n_sent} messages failed and"
                f" {self.n_outstanding} are not acknowledged yet;"
                f" first error: {self.first_error or self._last_broker_error or 'no answer yet'}"
            )

    def poll(self, timeout_s: float = 0) -> None:
        """Take in delivery reports; for callers that pause longer between two messages."""
        self._producer.poll(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()
            return
        # The error on its way out matters more than a second one from here.
        self._producer.flush(_WAIT_STEP_S * 20)
        if self.n_failed or self.n_outstanding:
            log.warning(
                "publisher_abandoned",
                topic=self.topic,
                n_failed=self.n_failed,
                n_outstanding=self.n_outstanding,
            )

    def _wait_for_room(self, deadline: float) -> None:
        if time.monotonic() >= deadline:
            raise TransientError(
                f"{self.topic}: the buffer stayed full ({self.n_outstanding} messages) for"
                f" {self._buffer_timeout_s:g} s; see that the broker is up and reachable"
                f" ({self.first_error or self._last_broker_error or 'it has not answered'})"
            )
        self._producer.poll(min(_WAIT_STEP_S, max(0.0, deadline - time.monotonic())))

    def _on_error(self, error: KafkaError) -> None:
        self._last_broker_error = error.str()

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.n_delivered += 1
            return
        self.n_failed += 1
        if self.first_error is None:
            self.first_error = error.str()
            log.warning("delivery_failed", topic=self.topic, error=self.first_error)


class FeaturePublisher(Publisher):
    """Publishes feature events of one schema, keyed by entity; `options` are those of Publisher."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        schema: FeatureSchema,
        encoding: Literal["json", "packed"] = "json",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(kafka, topic, **options)
        self._json = json.Encoder(schema)
        self._packed = packed.Encoder(schema) if encoding == "packed" else None

    def publish_event(
        self,
        entity: str,
        event_id: str,
        event_time_ms: int | str | None,
        row: Sequence[Value],
    ) -> None:
        """Send one event; `row` is in schema order. Raises ValueError when its length does not fit.

        Values that the packed format cannot carry (text for a number, say) go as JSON,
        and a text as event time goes as it is: to refuse an event is the scorer's job.
        """
        time_ms = cast("int | None", event_time_ms)
        if self._packed is not None:
            try:
                payload = self._packed.encode(event_id, time_ms, row)
            except (ValueError, TypeError, OverflowError, struct.error):
                pass
            else:
                self.publish(entity, payload, content_type=packed.CONTENT_TYPE)
                return
        self.publish(entity, self._json.encode(event_id, time_ms, row))


class LabelPublisher(Publisher):
    """Publishes labels as JSON, keyed by event id."""

    def publish_label(
        self, event_id: str, label: float, label_time_ms: int, *, source: str = ""
    ) -> None:
        """Send what turned out to be true; a later `label_time_ms` corrects an earlier one."""
        message = Label(event_id=event_id, label=label, label_time_ms=label_time_ms, source=source)
        self.publish(event_id, msgspec.json.encode(message))
