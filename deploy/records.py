"""Records of our topics for people: read from the log, each decoded to one line of text."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.codecs import CONTENT_TYPE_HEADER, packed
from schemas.errors import EventError, TransientError
from schemas.frames import decode_frame
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

POLL_S = 0.5
TIMEOUT_S = 10.0
MAX_ROWS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `timestamp_ms` is its append time."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    content_type: str
    value: bytes | None


def read_records(
    kafka: KafkaSettings,
    topics: Sequence[str],
    *,
    last: int | None = None,
    follow: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Record]:
    """The `last` records of every partition (None: all; 0: only new ones), in partition order.

    Without `follow` it ends at the end offsets seen at the start. Reads outside any group, so
    nothing is committed. Raises TransientError when the broker does not answer.
    """
    consumer = Consumer(
        kafka.librdkafka()
        | {
            "group.id": "thalweg-tail",  # required by the client, never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        starts, ends = _bounds(consumer, topics, last)
        if not follow:
            starts = [each for each in starts if each.offset < ends[each.topic, each.partition]]
        consumer.assign(starts)
        unfinished = {(each.topic, each.partition) for each in starts}
        while (unfinished or follow) and not stopped():
            message = consumer.poll(POLL_S)
            if message is None:
                continue
            where = (str(message.topic()), int(message.partition() or 0))
            offset = int(message.offset() or 0)
            if not _is_end(message) and (follow or offset < ends[where]):
                yield _record(message)
            if not follow and (_is_end(message) or offset + 1 >= ends[where]):
                unfinished.discard(where)
    except KafkaException as error:
        raise TransientError(f"cannot read {', '.join(topics)}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def describe_record(record: Record, feature_names: Sequence[str] = ()) -> str:
    """The value as one line of JSON, whatever its format; packed features get `feature_names`."""
    if record.value is None:
        return "null"
    if record.content_type == packed.CONTENT_TYPE:
        return _packed(record.value, feature_names)
    if record.topic.endswith(".scored-batches"):
        return _frame(record.value)
    if record.topic.endswith(Topic.DRIFT_SKETCHES):
        return _sketch(record.value)
    if record.topic.endswith(Topic.DRIFT_STATE):
        return f"({len(record.value)} bytes that a stage remembers)"
    return record.value.decode(errors="backslashreplace")


def _bounds(
    consumer: Consumer, topics: Sequence[str], last: int | None
) -> tuple[list[TopicPartition], dict[tuple[str, int], int]]:
    """Where to start in each partition, and where each ends now."""
    starts, ends = [], {}
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            raise TransientError(f"no topic {topic}: {metadata.error.str()}")
        for partition in sorted(metadata.partitions):
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=TIMEOUT_S
            )
            start = low if last is None else max(low, high - last)
            starts.append(TopicPartition(topic, partition, OFFSET_END if last == 0 else start))
            ends[topic, partition] = high
    return starts, ends


def _is_end(message: Message) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    raise KafkaException(error)


def _record(message: Message) -> Record:
    headers = dict(message.headers() or [])
    content_type = headers.get(CONTENT_TYPE_HEADER) or b""
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=message.timestamp()[1],
        key=_text(message.key()),
        content_type=_text(content_type),
        value=message.value(),
    )


def _text(data: bytes | str | None) -> str:
    if data is None:
        return ""
    return data if isinstance(data, str) else data.decode(errors="backslashreplace")


def _packed(value: bytes, names: Sequence[str]) -> str:
    try:
        event_id, event_time_ms, schema_id, features = packed.decode(value)
    except EventError as error:
        return f"({error.explanation}) {value[:200]!r}"
    floats = features.tolist()
    named = dict(zip(names, floats, strict=True)) if len(names) == len(floats) else floats
    event = {
        "event_id": event_id,
        "event_time_ms": event_time_ms,
        "schema_id": f"{schema_id:016x}",
        "features": named,
    }
    return msgspec.json.encode(event).decode()


def _frame(value: bytes) -> str:
    try:
        frame = decode_frame(value)
    except ValueError as error:
        return f"({error}) {value[:200]!r}"
    rows = frame.rows.slice(0, MAX_ROWS_SHOWN).to_pylist()
    shown = {"header": frame.header, "n_rows": frame.rows.num_rows, "first_rows": rows}
    return msgspec.json.encode(shown).decode()


def _sketch(value: bytes) -> str:
    """What a sketch is of and answers for; its counts are for the detector."""
    from drift.sketch import decode_sketch

    try:
        sketch = decode_sketch(value)
    except ValueError as error:
        return f"({error}) {value[:200]!r}"
    covers = {
        f"{topic_id}/{partition}": ranges
        for (topic_id, partition), ranges in sketch.coverage.ranges.items()
    }
    shown = msgspec.structs.asdict(sketch.key) | {"n_rows": sketch.n, "covers": covers}
    return msgspec.json.encode(shown).decode()


def clock_time(timestamp_ms: int) -> str:
    """Time of day, UTC, to the millisecond."""
    seconds, ms = divmod(timestamp_ms, 1000)
    return f"{time.strftime('%H:%M:%S', time.gmtime(seconds))}.{ms:03d}"
