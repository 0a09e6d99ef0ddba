"""The drift references of the model versions that rows may have been scored by."""

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from drift.reference import Reference
from drift.reference_bytes import decode_reference
from schemas.errors import ThalwegError
from schemas.model import read_manifest
from storage.model_store import ModelStore, read_reference

log = structlog.get_logger()

LOOK_AGAIN_S = 30.0
"""A version that is not known, or has no reference, may have been stored or given one meanwhile."""


class References:
    """The references of the models in a store, by version, read when a version is first seen."""

    def __init__(self, store: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = ModelStore(store)
        self._clock = clock
        self._known: dict[str, Reference] = {}
        self._looked_at: dict[str, float] = {}

    def find(self, version: str) -> Reference | None:
        """The reference of `version`, None where there is none. Reads files."""
        if version in self._known:
            return self._known[version]
        now = self._clock()
        looked_at = self._looked_at.get(version)
        if looked_at is not None and now - looked_at < LOOK_AGAIN_S:
            return None
        self._looked_at[version] = now
        found, problem = self._look(version)
        if found is None:
            log.warning("no_drift_reference", model_version=version, problem=problem[:500])
        else:
            self._known[version] = found
            log.info("drift_reference_loaded", model_version=version)
        return found

    def _look(self, version: str) -> tuple[Reference | None, str]:
        problem = "no such model in the store"
        for sha256 in self._store.sha256s():
            try:
                directory = self._store.path(sha256)
                if read_manifest(directory).version != version:
                    continue
                return decode_reference(read_reference(directory)), ""
            except (ThalwegError, ValueError) as error:
                problem = str(error)
        return None, problem
