"""What lies beside the models in a store, found by the version of the model."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from schemas.errors import ThalwegError
from schemas.model import read_manifest
from storage.model_store import ModelStore

log = structlog.get_logger()

LOOK_AGAIN_S = 30.0
"""A version that is not known, or lacks the file, may have been stored or given one meanwhile."""

Content = TypeVar("Content")


class ModelFiles(Generic[Content]):
    """One kind of file of the models in a store, by version, read when a version is first seen.

    `read` gives the contents from a model directory; it raises ThalwegError or ValueError that says
    why it cannot. `what` names them in the log.
    """

    def __init__(
        self,
        store: Path,
        read: Callable[[Path], Content],
        *,
        what: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = ModelStore(store)
        self._read = read
        self._what = what
        self._clock = clock
        self._known: dict[str, Content] = {}
        self._looked_at: dict[str, float] = {}

    def find(self, version: str) -> Content | None:
        """That of `version`, None where there is none. Reads files."""
        if version in self._known:
            return self._known[version]
        now = self._clock()
        looked_at = self._looked_at.get(version)
        if looked_at is not None and now - looked_at < LOOK_AGAIN_S:
            return None
        self._looked_at[version] = now
        found, problem = self._look(version)
        if found is None:
            log.warning(f"no_{self._what}", model_version=version, problem=problem[:500])
        else:
            self._known[version] = found
            log.info(f"{self._what}_loaded", model_version=version)
        return found

    def _look(self, version: str) -> tuple[Content | None, str]:
        problem = "no such model in the store"
        for sha256 in self._store.sha256s():
            try:
                directory = self._store.path(sha256)
                if read_manifest(directory).version != version:
                    continue
                return self._read(directory), ""
            except (ThalwegError, ValueError) as error:
                problem = str(error)
        return None, problem
