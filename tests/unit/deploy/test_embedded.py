"""The embedded broker as the stack sees it, without starting one."""

import os
import socket
import sys
from pathlib import Path

import pytest

from deploy.local.embedded import DATABASE, DESCRIPTION, EmbeddedBroker
from deploy.local.lock import hold
from deploy.local.ports import is_free
from deploy.local.probe import answers
from schemas.errors import ConfigurationError
from tests.fixtures.ports import reserved_port


def test_preparing_makes_the_directory_and_may_be_repeated(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "a" / "b", reserved_port())
    broker.prepare()
    broker.prepare()

    assert broker.directory.is_dir()


def test_a_directory_in_use_names_its_user_and_says_what_to_do(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, reserved_port())

    with (
        hold(tmp_path),
        pytest.raises(
            ConfigurationError, match=rf"in use by the broker of pid {os.getpid()}: stop it, or"
        ),
    ):
        broker.prepare()
    broker.prepare()


def test_a_taken_port_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        broker = EmbeddedBroker(tmp_path, server.getsockname()[1])

        with pytest.raises(ConfigurationError, match="THALWEG_LOCAL__KAFKA_PORT"):
            broker.prepare()


def test_a_directory_of_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()

    with pytest.raises(ConfigurationError, match="holds files that are no broker's"):
        EmbeddedBroker(tmp_path, reserved_port()).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize("left", [["lock"], ["lock", DATABASE, "logs"]], ids=["killed", "stopped"])
def test_the_directory_of_a_broker_that_ended_is_taken_up_again(
    tmp_path: Path, left: list[str]
) -> None:
    for name in left:
        (tmp_path / name).touch()

    EmbeddedBroker(tmp_path, reserved_port()).prepare()

    assert {path.name for path in tmp_path.iterdir()} >= set(left), "nothing of it is removed"


def test_a_directory_that_cannot_be_one_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match=r"cannot use .*file/broker as data directory"):
        EmbeddedBroker(tmp_path / "file" / "broker", reserved_port()).prepare()


def test_it_runs_with_this_python_on_loopback_where_it_was_told(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, 9092)

    assert broker.bootstrap_servers == "127.0.0.1:9092"
    assert broker.command() == [
        *(sys.executable, "-m", "deploy.local.broker"),
        *("--data-dir", str(tmp_path), "--port", "9092"),
    ]


def test_what_the_stack_says_of_it_is_what_it_says_of_itself() -> None:
    from deploy.local.broker.main import NOTICE

    assert DESCRIPTION == NOTICE


def test_a_port_that_is_open_but_silent_is_not_a_healthy_broker(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert not answers("127.0.0.1", port, timeout_s=0.2)
        assert not is_free(port)
    assert not EmbeddedBroker(tmp_path, reserved_port()).healthy()
