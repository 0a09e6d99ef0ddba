"""What a pipeline's definition says to decisions: its champion, how good that was, its policy."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from schemas.errors import ThalwegError
from schemas.model import MANIFEST_FILE, read_manifest
from schemas.pipeline import pipeline_path, read_pipeline
from schemas.quality import QualityBaseline, decode_quality
from schemas.retraining import RetrainingPolicy, RetrainingSettings
from storage.model_store import ModelStore, read_quality

log = structlog.get_logger()

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Definition:
    """`baseline` is None for a model that was stored without its quality at release."""

    champion: str
    policy: RetrainingPolicy
    baseline: QualityBaseline | None


class Definitions:
    """The definition of one pipeline, read again when its file or its model's manifest changes.

    One that cannot be read any more is said, and the former stays in force. Reads files.
    """

    def __init__(self, store: Path, pipeline: str, settings: RetrainingSettings) -> None:
        """Raises ThalwegError that says what is wrong with the definition."""
        self._store, self._pipeline, self._settings = store, pipeline, settings
        self._seen: dict[Path, Stamp] = {}
        self._definition = self._read()

    def current(self) -> Definition:
        """The definition in force."""
        if any(_stamp(path) != seen for path, seen in self._seen.items()):
            try:
                self._definition = self._read()
            except ThalwegError as error:
                log.error("pipeline_definition_refused", error=str(error)[:500])
        return self._definition

    def _read(self) -> Definition:
        # Stamped before they are read: a change under the reading is seen the next time.
        path = pipeline_path(self._store, self._pipeline)
        self._seen[path] = _stamp(path)
        pipeline = read_pipeline(self._store, self._pipeline)
        policy = self._settings.policy(pipeline.retraining or {})
        directory = ModelStore(self._store).path(pipeline.model)
        self._seen = {
            path: self._seen[path],
            directory / MANIFEST_FILE: _stamp(directory / MANIFEST_FILE),
        }
        champion = read_manifest(directory).version
        baseline, problem = None, ""
        try:
            baseline = decode_quality(read_quality(directory))
        except (ThalwegError, ValueError) as error:
            problem = str(error)
        log.info(
            "pipeline_definition_read",
            champion=champion,
            policy=policy.model_dump(mode="json"),
            quality="known" if baseline is not None else problem[:500],
        )
        return Definition(champion, policy, baseline)


def _stamp(path: Path) -> Stamp:
    """Another one after every replacement and every write; None for a file that is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
