"""The seam between the local stack and whatever speaks the Kafka protocol."""

from dataclasses import dataclass
from typing import Protocol

from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings

_TIMEOUT_S = 5.0


class Broker(Protocol):
    """A broker as the supervisor sees it: prepare it, run its command, wait until it is healthy."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients reach it."""
        ...

    @property
    def description(self) -> str:
        """What it is, for people; shown where its address is."""
        ...

    def prepare(self) -> None:
        """Make it ready to start; raises ConfigurationError that says why it cannot."""
        ...

    def command(self) -> list[str]:
        """What to run in the foreground; empty when somebody else runs it."""
        ...

    def healthy(self) -> bool:
        """Whether it answers requests now; never raises, takes a few seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class ExternalBroker:
    """A cluster that somebody else runs, given by bootstrap servers and its security settings."""

    kafka: KafkaSettings

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    @property
    def description(self) -> str:
        return "given by THALWEG_KAFKA__BOOTSTRAP_SERVERS"

    def prepare(self) -> None:
        """Nothing to prepare, but it must be there: we cannot start it."""
        if not self.healthy():
            raise ConfigurationError(
                f"no Kafka answers at {self.bootstrap_servers}: start it, or unset"
                " THALWEG_KAFKA__BOOTSTRAP_SERVERS to run a local one"
            )

    def command(self) -> list[str]:
        return []

    def healthy(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        # Failures are this method's answer: librdkafka need not print them as well.
        admin = AdminClient({**self.kafka.librdkafka(), "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=_TIMEOUT_S).brokers)
        except KafkaException:
            return False
