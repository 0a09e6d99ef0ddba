"""A version's reference is found in the store, whenever it comes; without one it is not watched."""

from pathlib import Path

import pytest

from schemas.model import MANIFEST_FILE, REFERENCE_FILE, read_manifest
from storage.model_store import ModelStore
from stream_processors.model_files import LOOK_AGAIN_S
from stream_processors.references import References


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def own_store(model: tuple[Path, str], tmp_path: Path) -> tuple[Path, Path]:
    """A store of this test's own, and a model directory that is not in it yet."""
    store, sha256 = model
    return tmp_path, ModelStore(store).path(sha256)


def test_a_version_is_watched_by_the_columns_of_its_reference(model: tuple[Path, str]) -> None:
    store, sha256 = model
    manifest = read_manifest(ModelStore(store).path(sha256))
    reference = References(store).find(manifest.version)
    assert reference is not None
    assert reference.columns.names == (*manifest.schema.names, "score")
    assert reference.customers is None, "it was trained without entity keys"


def test_a_version_stored_later_is_found_when_it_is_looked_for_again(
    own_store: tuple[Path, Path],
) -> None:
    store, directory = own_store
    version, clock = read_manifest(directory).version, Clock()
    references = References(store, clock)
    assert references.find(version) is None
    ModelStore(store).put(directory)
    assert references.find(version) is None, "files are not read for every row"
    clock.now = LOOK_AGAIN_S
    assert references.find(version) is not None


@pytest.mark.parametrize("damaged", [MANIFEST_FILE, REFERENCE_FILE])
def test_a_damaged_model_is_not_watched(own_store: tuple[Path, Path], damaged: str) -> None:
    store, directory = own_store
    version = read_manifest(directory).version
    path = ModelStore(store).path(ModelStore(store).put(directory)) / damaged
    path.write_bytes(b"garbage")
    assert References(store).find(version) is None
