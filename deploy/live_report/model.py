"""The model version that a report is about, with what is kept of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.reference import load_reference
from schemas.errors import ConfigurationError, ModelError
from schemas.model import read_manifest
from schemas.pipeline import read_pipeline
from schemas.quality import QualityBaseline, decode_quality
from schemas.settings import Settings
from storage.model_store import ModelStore, read_quality

if TYPE_CHECKING:
    from drift.reference import Reference


@dataclass(frozen=True, slots=True)
class WatchedModel:
    """`baseline` is the quality at release, None for a model without one."""

    version: str
    is_champion: bool
    reference: "Reference"
    baseline: QualityBaseline | None


def watched_model(settings: Settings, version: str | None = None) -> WatchedModel:
    """The model of that version in the store; the pipeline's champion unless given.

    Raises ConfigurationError for a pipeline or version that does not exist, and ModelError for a
    model without a drift reference.
    """
    store = ModelStore(settings.store)
    champion = read_pipeline(settings.store, settings.pipeline).model
    sha256 = champion if version is None else _named(store, version)
    directory = store.path(sha256)
    manifest = read_manifest(directory)
    try:
        baseline = decode_quality(read_quality(directory)) if manifest.quality_sha256 else None
    except ValueError as error:
        raise ModelError(f"{directory}: {error}") from error
    return WatchedModel(manifest.version, sha256 == champion, load_reference(directory), baseline)


def _named(store: ModelStore, version: str) -> str:
    """The sha256 of the only model whose version is this, or begins or ends so."""
    known = {read_manifest(store.path(sha256)).version: sha256 for sha256 in store.sha256s()}
    if version in known:
        return known[version]
    found = [
        each for each in known if version and each.startswith(version) | each.endswith(version)
    ]
    if len(found) != 1:
        wrong = "several models" if found else "no model"
        there = ", ".join(sorted(found or known)) or "none"
        raise ConfigurationError(f"{wrong} of version {version!r} (there: {there})")
    return known[found[0]]
