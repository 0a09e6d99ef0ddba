"""Read the outputs of a run back: is every prediction there, and when did the broker append it?"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from numpy.typing import NDArray

from schemas.frames import decode_frame
from tests.bench.events import SEQUENCE_DIGITS

_TIMEOUT_S = 60.0


class EventId(msgspec.Struct):
    """All that the bench reads of a prediction."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Predictions:
    """`append_ms`: int64[n], the broker's append times in order."""

    n_records: int
    n_distinct: int
    append_ms: NDArray[np.int64]

    def events_per_s(self, discard: float) -> float:
        """From the record at the fraction `discard` to the last one; start-up lies before it."""
        first = int(len(self.append_ms) * discard)
        # The append time is in whole milliseconds: a smoke test may fit into one.
        elapsed_s = max(float(self.append_ms[-1] - self.append_ms[first]) / 1000, 0.001)
        return (len(self.append_ms) - first) / elapsed_s


def read_predictions(
    bootstrap: str, partitions: Sequence[TopicPartition], n_expected: int
) -> Predictions:
    """Every prediction that is readable now; the events are numbered 0 to `n_expected` - 1."""
    decode = msgspec.json.Decoder(EventId).decode
    seen = np.zeros(n_expected, np.bool_)
    times: list[NDArray[np.int64]] = []
    n_records = 0
    for messages in _read_all(bootstrap, partitions):
        numbers = [int(decode(m.value() or b"").event_id[-SEQUENCE_DIGITS:]) for m in messages]
        seen[numbers] = True
        times.append(np.array([message.timestamp()[1] for message in messages], np.int64))
        n_records += len(messages)
    append_ms = np.sort(np.concatenate(times)) if times else np.zeros(0, np.int64)
    return Predictions(n_records, int(seen.sum()), append_ms)


def count_framed(bootstrap: str, partitions: Sequence[TopicPartition]) -> int:
    """Distinct source offsets in the frames that are readable now."""
    offsets: dict[int, list[NDArray[np.int64]]] = {}
    for messages in _read_all(bootstrap, partitions):
        for message in messages:
            frame = decode_frame(message.value() or b"")
            rows = frame.rows.column("source_offset").to_numpy()
            offsets.setdefault(frame.header.source_partition, []).append(rows)
    return sum(len(np.unique(np.concatenate(parts))) for parts in offsets.values())


def _read_all(bootstrap: str, partitions: Sequence[TopicPartition]) -> Iterator[list[Message]]:
    """Records in runs, up to where each partition ends when this is called."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-readback",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        ends = {tp.partition: consumer.get_watermark_offsets(tp)[1] for tp in partitions}
        left = sum(ends.values())
        consumer.assign(
            [TopicPartition(t.topic, t.partition, OFFSET_BEGINNING) for t in partitions]
        )
        deadline = time.monotonic() + _TIMEOUT_S
        while left > 0 and time.monotonic() < deadline:
            messages = consumer.consume(5000, 0.2)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            inside = [m for m in messages if (m.offset() or 0) < ends[m.partition() or 0]]
            left -= len(inside)
            if inside:
                yield inside
    finally:
        consumer.close()
