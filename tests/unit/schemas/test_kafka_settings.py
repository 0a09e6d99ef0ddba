"""One KafkaSettings yields the configuration of librdkafka and of Faust."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key, encrypted with `secret`."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    rest = ["-subj", "/CN=test", "-passout", "pass:secret", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", *kind, *rest], check=True, capture_output=True)
    return certificate, key


def test_several_servers_reach_both_clients() -> None:
    kafka = KafkaSettings(bootstrap_servers=" a:9092, b:9093 ,[::1]:9094,")
    assert kafka.librdkafka()["bootstrap.servers"] == "a:9092,b:9093,[::1]:9094"
    assert kafka.faust("batch").broker_url == "batch://a:9092;batch://b:9093;batch://[::1]:9094"


@pytest.mark.parametrize(
    "servers",
    ["", ",", "host", "host:", ":9092", "host:0", "host:65536", "PLAINTEXT://host:9092", "a:1 b:2"],
)
def test_what_is_no_list_of_servers_is_refused(servers: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        KafkaSettings(bootstrap_servers=servers)


def test_plaintext_needs_nothing_else() -> None:
    kafka = KafkaSettings(sasl_username="unused", sasl_password="unused")
    assert kafka.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "PLAINTEXT",
    }
    connection = kafka.faust("kafka")
    assert (connection.ssl_context, connection.sasl_mechanism) == (None, None)


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_reaches_both_clients(protocol: str, mechanism: str) -> None:
    kafka = KafkaSettings.model_validate(
        {
            "security_protocol": protocol,
            "sasl_mechanism": mechanism,
            "sasl_username": "me",
            "sasl_password": "secret",
        }
    )
    assert kafka.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": "me",
        "sasl.password": "secret",
    }
    connection = kafka.faust("kafka")
    assert connection.sasl_mechanism == mechanism
    assert (connection.sasl_username, connection.sasl_password) == ("me", "secret")
    assert (connection.ssl_context is not None) == (protocol == "SASL_SSL")
    assert "secret" not in repr(connection)


@pytest.mark.parametrize("given", [{}, {"sasl_username": "me"}, {"sasl_password": "secret"}])
def test_sasl_without_user_or_password_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="sasl_username and sasl_password"):
        KafkaSettings.model_validate({"security_protocol": "SASL_SSL", **given})


def test_tls_files_reach_both_clients(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    kafka = KafkaSettings(
        security_protocol="SSL",
        ssl_ca_file=cert,
        ssl_certificate_file=cert,
        ssl_key_file=key,
        ssl_key_password="secret",
    )
    assert kafka.librdkafka() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SSL",
        "ssl.ca.location": str(cert),
        "ssl.certificate.location": str(cert),
        "ssl.key.location": str(key),
        "ssl.key.password": "secret",
    }
    context = kafka.faust("kafka").ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_a_key_that_cannot_be_read_is_an_error_and_no_question(
    certificate: tuple[Path, Path],
) -> None:
    cert, key = certificate
    kafka = KafkaSettings(security_protocol="SSL", ssl_certificate_file=cert, ssl_key_file=key)
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        kafka.faust("kafka")


def test_a_certificate_needs_its_key(certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ValidationError, match="go together"):
        KafkaSettings(ssl_certificate_file=certificate[0])


def test_librdkafka_accepts_every_option_and_would_refuse_an_unknown_one() -> None:
    from confluent_kafka import KafkaException, Producer

    options = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="me",
        sasl_password="secret",
        bootstrap_servers="127.0.0.1:1",
    ).librdkafka() | {"log_level": 0}
    assert Producer(options).purge() is None  # it was made: every option is known
    with pytest.raises(KafkaException, match="No such configuration property"):
        Producer(options | {"sasl.mecanism": "PLAIN"})
