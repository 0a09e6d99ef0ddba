"""The state of decisions, read anew from the two topics that hold it."""

from dataclasses import dataclass

from faust.types import TP

from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TopicNames
from stream_processors.partitions import partition_of
from stream_processors.records import read_records
from stream_processors.request_retraining.history import History
from stream_processors.topics import TopicInfo, describe, end_offsets


@dataclass(frozen=True, slots=True)
class Replay:
    """`history` of a pipeline up to now, and `home`, the partition of alerts it is keyed to: who
    has it decides.
    """

    history: History
    home: TP


def replay(kafka: KafkaSettings, pipeline: str) -> Replay:
    """Read all that both topics still hold, to their ends at this moment.

    Further than the group has come: what it brings again changes nothing, and a decision must not
    rest on an alert that was resolved since. Every partition is read, for a topic that was given
    more has a pipeline's older messages elsewhere. Blocking; raises TransientError when the broker
    does not answer, ConfigurationError when a topic is missing.
    """
    names = TopicNames(pipeline, kafka.topic_prefix)
    alerts, requests = find_topics(kafka, names)
    history = History(pipeline)
    key = pipeline.encode()
    ends = end_offsets(kafka, [alerts, requests])
    for (topic, partition), end in sorted(ends.items()):
        for message in read_records(kafka, TP(topic, partition), 0, end):
            if message.key() != key:
                continue
            if topic == names.drift_alerts:
                history.read_alert(message.value() or b"")
            else:
                history.read_retraining(message.value() or b"")
    return Replay(history, TP(alerts.name, partition_of(key, alerts.n_partitions)))


def find_topics(kafka: KafkaSettings, names: TopicNames) -> tuple[TopicInfo, TopicInfo]:
    """The topics of alerts and of requests; raises ConfigurationError when one is missing."""
    wanted = (names.drift_alerts, names.retraining_requests)
    found = describe(kafka, wanted)
    for name in wanted:
        if name not in found:
            raise ConfigurationError(f"topic {name} is missing; `thalweg bootstrap` creates it")
    return found[wanted[0]], found[wanted[1]]
