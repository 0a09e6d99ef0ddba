"""Labels for tests: sent to a deployment, and what the log makes of them."""

import msgspec
from confluent_kafka import Producer

from schemas.events import Label
from schemas.topics import TopicNames
from storage.client import Client
from stream_processors.topics import committed_offsets, describe, end_offsets
from tests.deployment import PATIENCE_S, Deployment, until

LABEL_MS = 10**12
"""As event times in `Deployment.send`, which has one event a millisecond."""


class Labels:
    """Labels sent to a deployment, and what the log makes of them."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.names: TopicNames = deployment.names
        self._producer = Producer(deployment.kafka.librdkafka() | {"linger.ms": 2})

    def send(self, index: int, label: int, time_ms: int = LABEL_MS, source: str = "") -> None:
        """Label event number `index` of the deployment."""
        message = Label(event_id=f"e{index}", label=label, label_time_ms=time_ms, source=source)
        self.produce(message.event_id, msgspec.json.encode(message))

    def produce(self, key: str | None, value: bytes | None) -> None:
        self._producer.produce(self.names.labels, value, key)

    def flush(self) -> None:
        assert self._producer.flush(PATIENCE_S) == 0

    def lag(self) -> int:
        topic = describe(self.deployment.kafka, [self.names.labels])[self.names.labels]
        committed = committed_offsets(self.deployment.kafka, self.names.group("join"), [topic])
        ends = end_offsets(self.deployment.kafka, [topic])
        return sum(end - committed.get(place, 0) for place, end in ends.items())

    def wait(self) -> None:
        """Until all that was sent is joined."""
        self.flush()
        until(lambda: self.lag() == 0)

    def joined(self, client: Client) -> dict[str, float]:
        rows = client.query(
            "SELECT event_id, label FROM labelled_predictions WHERE pipeline = {p:String}",
            {"p": self.deployment.name},
        )
        found = dict(rows)
        assert len(found) == len(rows), "an event is joined once"
        return found
