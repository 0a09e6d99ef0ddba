"""What the detector asks of the cluster."""

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Message
from faust.types import TP

from drift.coverage import Source
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TopicNames
from stream_processors.detect_drift.memory import Memory
from stream_processors.records import read_records
from stream_processors.state_topic import StateTopic
from stream_processors.topics import committed_offsets, describe, end_offsets

NAME = "windows"
"""Of the detector's one state."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The pipeline's topics on the broker. Every question blocks and may raise TransientError."""

    kafka: KafkaSettings
    names: TopicNames
    sketches: TP
    state: StateTopic

    def sources(self) -> list[Source]:
        """The partitions of `features`, as the scorer names them."""
        topic = describe(self.kafka, [self.names.features]).get(self.names.features)
        return [(topic.id, number) for number in range(topic.n_partitions)] if topic else []

    def behind(self, read_to: int) -> set[Source]:
        """Partitions with events not scored yet, or not sketched; all of them while there are
        records of sketches from `read_to` on, whose they may be.
        """
        if self._end() > read_to:
            return set(self.sources())
        stages = {self.names.features: "score", self.names.scored_batches: "sketch"}
        topics = describe(self.kafka, list(stages))
        waiting = set()
        for name, topic in topics.items():
            committed = committed_offsets(self.kafka, self.names.group(stages[name]), [topic])
            for place, end in end_offsets(self.kafka, [topic]).items():
                if committed.get(place, 0) < end:
                    waiting.add(place[1])
        source = topics.get(self.names.features)
        return {(source.id, number) for number in waiting} if source else set()

    def remembered(self) -> Memory | None:
        """The memory written down last; raises ValueError for one that cannot be read."""
        data = self.state.read().get(NAME)
        return None if data is None else Memory.decode(data)

    def pieces(self, begin: int) -> Iterator[Message]:
        """The records of the partition of sketches from `begin` up to what is there now."""
        yield from read_records(self.kafka, self.sketches, begin, self._end())

    def _end(self) -> int:
        topic = describe(self.kafka, [self.sketches.topic])[self.sketches.topic]
        ends = end_offsets(self.kafka, [topic])
        return ends[self.sketches.topic, self.sketches.partition]
