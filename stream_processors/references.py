"""The drift references of the model versions that rows may have been scored by."""

import time
from collections.abc import Callable
from pathlib import Path

from drift.reference import Reference
from drift.reference_bytes import decode_reference
from storage.model_store import read_reference
from stream_processors.model_files import ModelFiles


class References(ModelFiles[Reference]):
    """The references of the models in a store, by version, read when a version is first seen."""

    def __init__(self, store: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(
            store,
            lambda directory: decode_reference(read_reference(directory)),
            what="drift_reference",
            clock=clock,
        )
