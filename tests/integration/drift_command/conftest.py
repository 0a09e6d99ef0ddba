"""One pipeline, the log of its drift, and the command that reads it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.migrate import migrate
from tests.integration.drift_command.command import Command
from tests.live_drift import LiveLog, live_log, reference_of, store_pipeline

N_WINDOWS = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A data directory with a pipeline, and its champion's version."""
    folder = tmp_path_factory.mktemp("live")
    return folder, store_pipeline(folder / "models")


@pytest.fixture(scope="module")
def log(store: tuple[Path, str]) -> LiveLog:
    return live_log(reference_of(store[0] / "models"), store[1], n_windows=N_WINDOWS)


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


@pytest.fixture
def thalweg(store: tuple[Path, str], database: ClickHouseSettings, client: Client) -> Command:
    return Command(store[0], database)
