"""How to reach Kafka: one set of options that yields librdkafka's and Faust's configuration.

Nothing else names a broker option.
"""

import ssl
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, model_validator

from schemas.errors import ConfigurationError


def _servers(text: str) -> str:
    """`text` without blanks; ValueError unless it is a comma-separated list of host:port."""
    servers = [server.strip() for server in text.split(",") if server.strip()]
    for server in servers:
        host, _, port = server.rpartition(":")
        bare = host and not any(each in host for each in "/@ ")
        if not (bare and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{server!r} is not host:port")
    if not servers:
        raise ValueError("give at least one host:port")
    return ",".join(servers)


@dataclass(frozen=True, slots=True)
class FaustConnection:
    """What a Faust app needs to reach the brokers; `stream_processors` makes it Faust's types."""

    broker_url: str
    ssl_context: ssl.SSLContext | None
    sasl_mechanism: str | None
    sasl_username: str
    sasl_password: str = field(repr=False)


class KafkaSettings(BaseModel):
    """Brokers, security, and the shape of topics that we create."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    bootstrap_servers: Annotated[str, AfterValidator(_servers)] = "127.0.0.1:9092"
    """Comma-separated host:port list; every one is tried."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Transport security and authentication."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """Used with a SASL protocol."""
    sasl_username: str = ""
    """Used with a SASL protocol."""
    sasl_password: str = Field(default="", repr=False)
    """Used with a SASL protocol."""
    ssl_ca_file: FilePath | None = None
    """PEM file of the authorities to trust; default: the system's."""
    ssl_certificate_file: FilePath | None = None
    """PEM file of the client certificate."""
    ssl_key_file: FilePath | None = None
    """PEM file of its key."""
    ssl_key_password: str = Field(default="", repr=False)
    """Password of the key file, if it is encrypted."""
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
        if self._sasl and not (self.sasl_username and self.sasl_password):
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
        if self.ssl_key_password:
            options["ssl.key.password"] = self.ssl_key_password
        return options | {name: str(path) for name, path in files.items() if path is not None}

    def faust(self, scheme: str) -> FaustConnection:
        """The same connection for a Faust app; `scheme` names its transport.

        Raises ConfigurationError for certificates that cannot be loaded.
        """
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
        try:
            context = ssl.create_default_context(
                ssl.Purpose.SERVER_AUTH, cafile=str(self.ssl_ca_file) if self.ssl_ca_file else None
            )
            if self.ssl_certificate_file and self.ssl_key_file:
                # A password always, even an empty one: without it OpenSSL asks on the terminal.
                context.load_cert_chain(
                    self.ssl_certificate_file, self.ssl_key_file, password=self.ssl_key_password
                )
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"the files of kafka.ssl_* cannot be loaded: {error}"
            ) from error
        return context
