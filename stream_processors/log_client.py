"""The client of ClickHouse that a process keeps: connecting for each insert costs more than it."""

import threading

from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.migrate import migrate


class LogClient:
    """One client for all threads of the process, with the tables in place, made when asked for."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._made: Client | None = None
        self._making = threading.Lock()

    def client(self) -> Client:
        """Blocking; raises as `connect` and `migrate` do until they succeed."""
        with self._making:
            if self._made is None:
                made = connect(self._settings)
                migrate(made, self._settings)
                self._made = made
            return self._made
