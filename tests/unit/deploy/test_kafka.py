"""Finding and configuring a local Kafka, without starting one."""

from pathlib import Path

import pytest

from deploy.local.kafka import (
    ApacheKafka,
    find_java,
    find_kafka_home,
    java_version,
    render_properties,
)
from schemas.errors import ConfigurationError


def test_without_kafka_home_one_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_HOME", raising=False)

    with pytest.raises(ConfigurationError, match=r"set KAFKA_HOME .*Java 17"):
        find_kafka_home()


def test_a_kafka_home_without_kafkas_jar_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match=r"there is no libs/kafka_\*\.jar"):
        find_kafka_home()


def test_any_folder_with_the_jars_under_libs_is_a_kafka_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.3.1.jar").touch()
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))

    assert find_kafka_home() == tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("command not found", 0),
    ],
)
def test_the_java_version_is_read_from_what_java_prints(text: str, version: int) -> None:
    assert java_version(text) == version


def test_no_java_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationError, match="needs Java 17 or newer, and none is on the PATH"):
        find_java()


def test_a_java_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match=f"{java} is 11"):
        find_java()


def test_the_broker_listens_on_loopback_only_and_creates_no_topics_by_itself(
    tmp_path: Path,
) -> None:
    node = ApacheKafka(tmp_path, "java", tmp_path, port=9092, controller_port=9093)
    options = dict(line.split("=", 1) for line in render_properties(node).splitlines())

    hosts = [each.rpartition("//")[2] for each in options["listeners"].split(",")]
    assert hosts == ["127.0.0.1:9092", "127.0.0.1:9093"]
    assert options["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert options["auto.create.topics.enable"] == "false"
    assert options["log.dirs"] == str(tmp_path / "data")


def test_the_heap_is_what_was_asked_for(tmp_path: Path) -> None:
    node = ApacheKafka(tmp_path, "java", tmp_path, port=1, controller_port=2, heap_mb=300)

    assert "-Xmx300m" in node.command()
