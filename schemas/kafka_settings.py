"""How to reach Kafka: one set of options that yields librdkafka's and Faust's configuration. Nothing else names a broker option."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


@dataclass(frozen=True, slots=True)
class FaustConnection:
    """What a Faust app needs to reach the brokers; `stream_processors` turns it into Faust's own types."""

    broker_url: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str | None
    sasl_username: str
    sasl_password: str


class KafkaSettings(BaseModel):
    """Brokers, security, and the shape of topics that we create."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    bootstrap_servers: Annotated[str, AfterValidator(lambda text: _servers(text))] = (
        "127.0.0.1:9092"
    )
    """Comma-separated host:port list; every one is tried."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Transport security and authentication."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """Used with a SASL protocol."""
    sasl_username: str = ""
    """Used with a SASL protocol."""
    sasl_password: str = Field(default="", repr=False)
    """Used with a SASL protocol."""
    ssl_ca_file: Path | None = None
    """PEM file of the authorities to trust; default: the system's."""
    ssl_certificate_file: Path | None = None
    """PEM file of the client certificate."""
    ssl_key_file: Path | None = None
    """PEM file of its key."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,100}$")] = ""
    """Put before every topic and group name, so that deployments can share a cluster."""
    partitions: int = Field(default=4, ge=1, le=10_000)
    """Partitions of the topics we create."""
    replication_factor: int = Field(default=1, ge=1, le=15)
    """Replicas of the topics we create; at least 3 in production."""
    session_timeout_ms: int = Field(default=10_000, ge=1000, le=300_000)
    """A group member unheard for this long loses its partitions."""

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> Self:
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError("a SASL protocol needs sasl_username and sasl_password")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file go together")
        return self

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Connection options for any confluent-kafka client."""
        options: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
        }
        if self._sasl:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password,
            }
        files = {
            "ssl.ca.location": self.ssl_ca_file,
            "ssl.certificate.location": self.ssl_certificate_file,
            "ssl.key.location": self.ssl_key_file,
        }
        return options | {name: str(path) for name, path in files.items() if path is not None}

    def faust(self, scheme: str) -> FaustConnection:
        """The same connection for a Faust app; `scheme` names its transport."""
        return FaustConnection(
            broker_url=";".join(
                f"{scheme}://{server}" for server in self.bootstrap_servers.split(",")
            ),
            ssl_context=self._ssl_context() if self.security_protocol.endswith("SSL") else None,
            sasl_mechanism=self.sasl_mechanism if self._sasl else None,
            sasl_username=self.sasl_username,
            sasl_password=self.sasl_password,
        )

    @property
    def _sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH, cafile=str(self.ssl_ca_file) if self.ssl_ca_file else None
        )
        if self.ssl_certificate_file and self.ssl_key_file:
            context.load_cert_chain(str(self.ssl_certificate_file), str(self.ssl_key_file))
        return context


def _servers(text: str) -> str:
    servers = [server.strip() for server in text.split(",") if server.strip()]
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"{server!r} is not host:port")
    if not servers:
        raise ValueError("give at least one host:port")
    return ",".join(servers)
