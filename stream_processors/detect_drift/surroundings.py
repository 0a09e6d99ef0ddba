"""What the detector asks of the cluster."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Message
from faust.types import TP

from drift.coverage import Source
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TopicNames
from stream_processors.detect_drift.memory import Memory
from stream_processors.records import read_records
from stream_processors.state_topic import StateTopic
from stream_processors.topics import TopicInfo, committed_offsets, describe, end_offsets

NAME = "windows"
"""Of the detector's one state."""


class Surroundings(Protocol):
    """What the detector asks of the cluster. Blocking; TransientError when it does not answer."""

    def sources(self) -> list[Source]:
        """The source partitions whose rows are sketched."""
        ...

    def behind(self, read_to: int) -> set[Source]:
        """Those that have events of which no piece was read: not sketched yet, or, when there are
        records of sketches from `read_to` on, any.
        """
        ...

    def remembered(self) -> Memory | None:
        """What a predecessor wrote down last."""
        ...

    def pieces(self, begin: int) -> Iterable[Message]:
        """The records of the partition of sketches from `begin` up to what is there now."""
        ...


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
        # In the order that events pass the stages: one that goes from a stage to the next between
        # two questions is then seen by the later one.
        stages = {self.names.features: "score", self.names.scored_batches: "sketch"}
        topics = describe(self.kafka, list(stages))
        if self.names.features not in topics:
            return set()
        waiting: set[int] = set()
        for name, stage in stages.items():
            waiting |= self._waiting(topics.get(name), stage)
        if self._end() > read_to:
            return set(self.sources())
        return {(topics[self.names.features].id, number) for number in waiting}

    def _waiting(self, topic: TopicInfo | None, stage: str) -> set[int]:
        """The partitions of `topic` with records that the stage has not committed."""
        if topic is None:
            return set()
        committed = committed_offsets(self.kafka, self.names.group(stage), [topic])
        ends = end_offsets(self.kafka, [topic])
        return {place[1] for place, end in ends.items() if committed.get(place, 0) < end}

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
