"""State of the stages that remember, on one compacted topic: the last value of each key is it.

A stage publishes its new state after the outputs that go with it, through the same outbox, and
acknowledges its source after both. A state says itself how far its source was read, and the same
source gives the same outputs, under the same ids: so it does no harm when the last of two states
is the older one (a worker that was frozen and wakes up), the source is only read again from there.
"""

from dataclasses import dataclass

from faust.types import TP

from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic, shared_name
from stream_processors.outbox import Messages
from stream_processors.records import read_records
from stream_processors.topics import describe, end_offsets


@dataclass(frozen=True, slots=True)
class StateTopic:
    """The states of one stage of one pipeline, by a name of the stage's own (a model version)."""

    kafka: KafkaSettings
    pipeline: str
    stage: str

    @property
    def topic(self) -> str:
        return shared_name(Topic.DRIFT_STATE, self.kafka.topic_prefix)

    def read(self) -> dict[str, bytes]:
        """The last state of each name. Blocking; raises TransientError when the broker is gone.

        Reads the whole topic, which compaction keeps about as large as what it says.
        """
        prefix = self._key("")
        found = {}
        topic = describe(self.kafka, [self.topic]).get(self.topic)
        ends = end_offsets(self.kafka, [topic]) if topic else {}
        for (name, partition), end in ends.items():
            for message in read_records(self.kafka, TP(name, partition), 0, end):
                key = message.key() or b""
                if key.startswith(prefix):
                    found[key[len(prefix) :].decode()] = message.value() or b""
        return {name: value for name, value in found.items() if value}

    def messages(self, states: dict[str, bytes]) -> Messages:
        """To be published with partition -1, which goes by the key; an empty state forgets it."""
        return Messages(self.topic, [self._key(name) for name in states], list(states.values()))

    def _key(self, name: str) -> bytes:
        return f"{self.pipeline}/{self.stage}/{name}".encode()
