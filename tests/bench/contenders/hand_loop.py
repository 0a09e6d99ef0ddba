"""What a good engineer writes without a framework: confluent-kafka, and one ONNX call a batch.

Same outputs as ours: one keyed prediction per event, and if asked one Arrow frame per batch, both
on the partition number of their source; offsets are committed once all outputs before them are
acknowledged. It leaves out what ours does besides: bad events (one stops it), rebalances,
recreated topics, metrics.
"""

import gc
import signal
import time
from collections import defaultdict
from types import FrameType

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicCollection
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from schemas.events import Prediction
from tests.bench.contenders.arguments import (
    POLL_S,
    Arguments,
    Model,
    load_model,
    parse_arguments,
)
from tests.bench.contenders.decoding import Decoded, make_decoder
from tests.bench.contenders.framing import make_frames

MAX_BATCH_EVENTS = 2000
MAX_IN_FLIGHT = 4000
"""Sent and not yet acknowledged; without this bound latency grows in the producer's queue."""
CHECKPOINT_S = 1.0
LINGER_MS = 1.0


class Loop:
    """Fetch, score, send; a checkpoint each second flushes, checks every delivery, and commits."""

    def __init__(self, arguments: Arguments, model: Model) -> None:
        self._arguments, self._model = arguments, model
        self._decode = make_decoder(arguments.format, model.feature_names)
        self._encode = msgspec.json.Encoder().encode
        self._topic_id = _topic_id(arguments)
        self._failures: list[str] = []
        self._positions: dict[int, int] = {}
        self._next_checkpoint = time.monotonic() + CHECKPOINT_S
        self._consumer = Consumer(_consumer_options(arguments))
        self._producer = Producer(_producer_options(arguments, self._failures))
        self._consumer.subscribe([arguments.input_topic])
        self.stopped = False

    def run(self) -> None:
        while not self.stopped:
            messages = self._consumer.consume(1, POLL_S)
            if messages:
                messages += self._consumer.consume(MAX_BATCH_EVENTS - 1, 0)
                for partition, batch in _by_partition(messages).items():
                    self._handle(partition, batch)
                self._wait_for_room()
            if time.monotonic() >= self._next_checkpoint:
                self._checkpoint()
        self._checkpoint()
        self._consumer.close()

    def _handle(self, partition: int, messages: list[Message]) -> None:
        decoded = self._decode([message.value() for message in messages])
        scores = self._model.session.run(["score"], {"features": decoded.features})[0].reshape(-1)
        now_ms = time.time_ns() // 1_000_000
        self._send(
            self._arguments.output_topic,
            partition,
            self._predictions(partition, messages, decoded, scores.tolist(), now_ms),
        )
        if self._arguments.scored_topic:
            covers_from = self._positions.get(partition, messages[0].offset())
            frames = make_frames(
                self._arguments.input_topic,
                self._topic_id,
                partition,
                covers_from,
                messages,
                decoded,
                scores,
                self._model,
                now_ms,
            )
            wanted = [{"value": frame} for frame in frames]
            self._send(self._arguments.scored_topic, partition, wanted)
        self._positions[partition] = messages[-1].offset() + 1

    def _predictions(
        self,
        partition: int,
        messages: list[Message],
        decoded: Decoded,
        scores: list[float],
        now_ms: int,
    ) -> list[dict[str, bytes]]:
        version, threshold = self._model.version, self._model.threshold
        topic, topic_id, encode = self._arguments.input_topic, self._topic_id, self._encode
        rows = zip(messages, decoded.ids, scores, decoded.event_times_ms, strict=True)
        return [
            {
                "key": message.key(),
                "value": encode(
                    Prediction(
                        event_id,
                        score,
                        score >= threshold,
                        version,
                        event_time_ms,
                        message.timestamp()[1],
                        now_ms,
                        topic,
                        topic_id,
                        partition,
                        message.offset(),
                    )
                ),
            }
            for message, event_id, score, event_time_ms in rows
        ]

    def _send(self, topic: str, partition: int, messages: list[dict[str, bytes]]) -> None:
        n_queued = self._producer.produce_batch(topic, messages, partition=partition)
        if n_queued != len(messages):
            refused = next(message["_error"] for message in messages if "_error" in message)
            raise RuntimeError(f"{len(messages) - n_queued} outputs refused by {topic}: {refused}")

    def _wait_for_room(self) -> None:
        self._producer.poll(0)
        while len(self._producer) > MAX_IN_FLIGHT:
            self._producer.poll(0.001)

    def _checkpoint(self) -> None:
        self._next_checkpoint = time.monotonic() + CHECKPOINT_S
        if not self._positions:
            return
        n_left = self._producer.flush(30)
        if n_left or self._failures:
            raise RuntimeError(f"{n_left} outputs unacknowledged, failures: {self._failures[:3]}")
        topic = self._arguments.input_topic
        offsets = [Position(topic, p, offset) for p, offset in self._positions.items()]
        self._consumer.commit(offsets=offsets, asynchronous=False)


def _by_partition(messages: list[Message]) -> dict[int, list[Message]]:
    groups: defaultdict[int, list[Message]] = defaultdict(list)
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
        groups[message.partition()].append(message)
    return groups


def _consumer_options(arguments: Arguments) -> dict[str, str | int | bool]:
    return {
        "bootstrap.servers": arguments.bootstrap,
        "group.id": arguments.group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Its default of 1000 starves a fast consumer.
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 65_536,
    }


def _producer_options(arguments: Arguments, failures: list[str]) -> dict[str, object]:
    return {
        "bootstrap.servers": arguments.bootstrap,
        "enable.idempotence": True,
        "linger.ms": LINGER_MS,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 1_000_000,
        # A report per message costs a third more; flush() waits for the rest.
        "delivery.report.only.error": True,
        "on_delivery": lambda error, _: failures.append(str(error)) if error else None,
    }


def _topic_id(arguments: Arguments) -> str:
    admin = AdminClient({"bootstrap.servers": arguments.bootstrap})
    futures = admin.describe_topics(TopicCollection([arguments.input_topic]))
    return str(futures[arguments.input_topic].result(30).topic_id)


def main() -> None:
    arguments = parse_arguments()
    loop = Loop(arguments, load_model(arguments.model_dir))

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.stopped = True

    signal.signal(signal.SIGTERM, stop)
    # The objects of a batch die young: scanning the old ones over and over costs a fifth.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    loop.run()


if __name__ == "__main__":
    main()
