"""The publisher SDK and replay against a real Apache Kafka."""

import csv
import uuid
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka.admin import AdminClient, NewTopic

from inference.decode import BatchDecoder, Columns
from producers.files import infer_schema
from producers.fraud import FRAUD_SCHEMA, FraudStream
from producers.publisher import FeaturePublisher, LabelPublisher, Publisher
from producers.replay import replay
from schemas.codecs import packed
from schemas.errors import DeliveryError
from schemas.events import Label
from schemas.features import FeatureSchema
from schemas.kafka_settings import KafkaSettings
from schemas.pipeline import ColumnMapping

pytestmark = [pytest.mark.kafka, pytest.mark.every_broker]

NewTopicName = Callable[[int], str]
READ_TIMEOUT_S = 120

JAVA_MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}
"""From Apache Kafka's own UtilsTest.testMurmur2."""


@pytest.fixture
def new_topic(kafka: KafkaSettings) -> NewTopicName:
    """Creates a topic of this test's own with so many partitions."""

    def create(n_partitions: int) -> str:
        admin = AdminClient(kafka.librdkafka())
        name = f"publisher-{uuid.uuid4().hex}"
        config = {"max.message.bytes": str(8 * 2**20)}
        for made in admin.create_topics([NewTopic(name, n_partitions, 1, config=config)]).values():
            made.result(READ_TIMEOUT_S)
        return name

    return create


def read(kafka: KafkaSettings, topic: str, n: int) -> list[Message]:
    """All messages of a topic, of which there must be exactly `n`."""
    consumer = Consumer(
        kafka.librdkafka()
        | {
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([topic])
    n_partitions = len(consumer.list_topics(topic, READ_TIMEOUT_S).topics[topic].partitions)
    messages: list[Message] = []
    n_ends = 0
    try:
        while n_ends < n_partitions:
            message = consumer.poll(READ_TIMEOUT_S)
            assert message is not None, f"nothing more after {len(messages)} messages"
            if message.error():
                n_ends += 1
            else:
                messages.append(message)
    finally:
        consumer.close()
    assert len(messages) == n
    return messages


def decoded(messages: list[Message], schema: FeatureSchema) -> tuple[list[str], np.ndarray]:
    """Event ids and features as the scorer reads them; nothing may be rejected."""
    decoder = BatchDecoder(schema, max_event_bytes=2**20, max_event_time_ahead_s=86_400)
    batch = decoder.decode(
        Columns(
            offsets=np.array([message.offset() for message in messages]),
            append_times_ms=np.array([message.timestamp()[1] for message in messages]),
            keys=[message.key() for message in messages],
            values=[message.value() for message in messages],
            content_types=[
                dict(message.headers() or []).get("content-type") for message in messages
            ],
        )
    )
    assert batch.rejections == []
    return batch.event_ids, batch.features


def test_every_message_is_delivered_and_counted(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(1)
    with Publisher(kafka, topic) as publisher:
        for number in range(1000):
            publisher.publish("k", b"%d" % number)
    assert (publisher.n_sent, publisher.n_delivered, publisher.n_failed) == (1000, 1000, 0)
    values = [message.value() for message in read(kafka, topic, 1000)]
    assert values == [b"%d" % number for number in range(1000)]


def test_a_full_buffer_waits_and_loses_nothing(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(1)
    most = 0
    with Publisher(kafka, topic, max_buffered=10) as publisher:
        for number in range(2000):
            publisher.publish("k", b"%d" % number)
            most = max(most, publisher.n_outstanding)
    assert most <= 10
    values = [message.value() for message in read(kafka, topic, 2000)]
    assert values == [b"%d" % number for number in range(2000)]


def test_keys_go_to_the_partitions_that_a_java_client_chooses(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(7)
    with Publisher(kafka, topic) as publisher:
        for key in JAVA_MURMUR2:
            publisher.publish(key, b"")
    partitions = {
        (message.key() or b"").decode(): message.partition()
        for message in read(kafka, topic, len(JAVA_MURMUR2))
    }
    assert partitions == {key: (value & 0x7FFFFFFF) % 7 for key, value in JAVA_MURMUR2.items()}


def test_only_what_is_not_json_carries_a_content_type(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(1)
    with Publisher(kafka, topic) as publisher:
        publisher.publish("k", b"{}")
        publisher.publish("k", b"{}", content_type="application/json")
        publisher.publish("k", b"x", content_type="text/x", headers={"trace": b"1"})
        publisher.publish("k", None)
    messages = read(kafka, topic, 4)
    assert [message.headers() for message in messages] == [
        None,
        None,
        [("trace", b"1"), ("content-type", b"text/x")],
        None,
    ]
    assert messages[3].value() is None


def test_a_topic_that_does_not_exist_fails_at_flush(kafka: KafkaSettings) -> None:
    publisher = Publisher(kafka, f"missing-{uuid.uuid4().hex}", delivery_timeout_s=2)
    publisher.publish("k", b"v")
    with pytest.raises(DeliveryError, match="1 of 1 messages failed"):
        publisher.flush()


def test_a_foolish_two_megabyte_event_reaches_the_topic(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(1)
    with Publisher(kafka, topic) as publisher:
        publisher.publish("k", bytes(2 * 2**20))
    assert len(read(kafka, topic, 1)[0].value() or b"") == 2 * 2**20


@pytest.mark.parametrize("encoding", ["json", "packed"])
def test_fraud_events_arrive_as_the_scorer_wants_them(
    kafka: KafkaSettings, new_topic: NewTopicName, encoding: str
) -> None:
    topic = new_topic(1)
    events = list(islice(FraudStream(n_customers=50, n_terminals=50), 500))
    with FeaturePublisher(kafka, topic, FRAUD_SCHEMA, encoding) as publisher:  # type: ignore[arg-type]
        for event in events:
            publisher.publish_event(event.entity, event.event_id, event.event_time_ms, event.row)
    messages = read(kafka, topic, 500)
    ids, features = decoded(messages, FRAUD_SCHEMA)
    assert ids == [event.event_id for event in events]
    np.testing.assert_array_equal(features, np.array([e.row for e in events], np.float32))
    assert [message.key() for message in messages] == [e.entity.encode() for e in events]


def test_what_the_packed_format_cannot_carry_goes_as_json(
    kafka: KafkaSettings, new_topic: NewTopicName
) -> None:
    topic = new_topic(1)
    schema = FeatureSchema.of_floats(["a"])
    with FeaturePublisher(kafka, topic, schema, "packed") as publisher:
        publisher.publish_event("k", "good", 1, [1.5])
        publisher.publish_event("k", "text", 1, ["abc"])
        publisher.publish_event("k", "time", "soon", [1.5])
        publisher.publish_event("k", "i" * 200, 1, [1.5])
        with pytest.raises(ValueError, match="longer"):
            publisher.publish_event("k", "length", 1, [1.5, 2.5])
    good, *others = read(kafka, topic, 4)
    assert good.headers() == [("content-type", packed.CONTENT_TYPE.encode())]
    assert all(message.headers() is None for message in others)
    bodies = [msgspec.json.decode(message.value() or b"") for message in others]
    assert bodies[0]["features"] == {"a": "abc"}
    assert bodies[1]["event_time_ms"] == "soon"
    assert bodies[2]["event_id"] == "i" * 200


def test_labels_are_keyed_by_event_id(kafka: KafkaSettings, new_topic: NewTopicName) -> None:
    topic = new_topic(1)
    with LabelPublisher(kafka, topic) as publisher:
        publisher.publish_label("e-1", 1, 12345, source="bank")
    (message,) = read(kafka, topic, 1)
    assert message.key() == b"e-1"
    assert msgspec.json.decode(message.value() or b"", type=Label) == Label(
        event_id="e-1", label=1, label_time_ms=12345, source="bank"
    )


@pytest.mark.parametrize("encoding", ["json", "packed"])
def test_a_replayed_file_arrives_once_per_row_with_float32_of_what_it_says(
    kafka: KafkaSettings, new_topic: NewTopicName, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "cards.csv"
    random = np.random.default_rng(3)
    rows = [[repr(value) for value in row] for row in random.normal(0, 1e3, (3000, 5)).tolist()]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "d", "e"], *rows])
    schema = infer_schema(path, ColumnMapping())
    topic = new_topic(1)
    with FeaturePublisher(kafka, topic, schema, encoding) as publisher:  # type: ignore[arg-type]
        assert replay(path, schema, ColumnMapping(), publisher) == 3000
    ids, features = decoded(read(kafka, topic, 3000), schema)
    assert ids == [f"cards-{row}" for row in range(3000)]
    expected = np.array([[np.float32(text) for text in row] for row in rows])
    np.testing.assert_array_equal(features, expected)
