"""A local stack as a user has it: the command line on one data directory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploy.local.state import StackState, read_state
from schemas.settings import ClickHouseSettings
from storage import queries
from storage.client import Client, connect
from tests.fixtures.brokers import BrokerKind, default_kind


class Stack:
    """The command line on one data directory; `broker` is the kind that `up` starts, `settings` are
    variables of every command.
    """

    def __init__(self, data_dir: Path, broker: BrokerKind | None = None, **settings: str) -> None:
        self.data_dir = data_dir
        self._settings = settings
        self._broker = broker or default_kind()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "thalweg.main", *arguments]
        others = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
        environment = {
            "THALWEG_LOCAL__KAFKA_HEAP_MB": "384",
            "THALWEG_LOCAL__START_TIMEOUT_S": "240",  # a machine may be busy
            "THALWEG_LOCAL__STOP_TIMEOUT_S": "60",
        } | self._settings
        if self._broker == "embedded":
            environment["KAFKA_HOME"] = ""
        return subprocess.run(
            [*command, "--data-dir", str(self.data_dir)],
            env={**others, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def up(self) -> None:
        done = self.run("up", "--detach")
        assert done.returncode == 0, done.stderr

    @property
    def state(self) -> StackState:
        state = read_state(self.data_dir)
        assert state is not None
        return state

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def n_logged(self, pipeline: str) -> int:
        with self.clickhouse() as client:
            return queries.counts(client, pipeline).n_identities

    def clickhouse(self) -> Client:
        return connect(ClickHouseSettings(url=self.state.clickhouse_url))
