"""The development broker as a supervisor sees it: how to start it, and whether it answers.

The broker itself is `deploy.local.broker`, a process of its own; docs/broker.md says what it is.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.lock import holder
from deploy.local.ports import LOOPBACK, refuse_taken
from deploy.local.probe import answers
from schemas.errors import ConfigurationError

DESCRIPTION = "development broker: single node, no replication, no TLS"
DATABASE = "broker.sqlite3"
"""A directory that has this file is a development broker's."""


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """One broker on loopback; a second start on the same `directory` resumes it."""

    directory: Path
    port: int

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def description(self) -> str:
        return DESCRIPTION

    def prepare(self) -> None:
        """Make the directory. Raises ConfigurationError when it is unfit or the port is taken."""
        make_directory(self.directory)
        refuse_taken(self.port, "Kafka", "THALWEG_LOCAL__KAFKA_PORT")

    def command(self) -> list[str]:
        return command("--data-dir", str(self.directory), "--port", str(self.port))

    def healthy(self) -> bool:
        return answers(LOOPBACK, self.port)


def command(*arguments: str) -> list[str]:
    """The command line of the broker process."""
    return [sys.executable, "-m", "deploy.local.broker", *arguments]


def make_directory(directory: Path) -> None:
    """A directory for a broker, new or its own from last time.

    Raises ConfigurationError when a broker is using it, when it holds something else (a broker
    removes what is not its own), or when it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        content = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise ConfigurationError(f"cannot use {directory} as data directory: {error}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigurationError(f"cannot use {directory} as data directory: it is not writable")
    owner = holder(directory)
    if owner is not None:
        raise ConfigurationError(
            f"{directory} is in use by the broker of pid {owner}: stop it, or choose another"
            " --data-dir"
        )
    if content - {"lock"} and DATABASE not in content:
        raise ConfigurationError(
            f"{directory} holds files that are no broker's: choose an empty or new --data-dir"
        )
