"""The model store takes whole, verified models only."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import ModelError
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, read_manifest
from storage.model_store import ModelStore
from tests.unit.inference.models import write_model


def test_a_stored_model_is_found_by_its_sha256(tmp_path: Path) -> None:
    source = write_model(tmp_path / "model")
    store = ModelStore(tmp_path / "store")
    sha256 = store.put(source)
    assert sha256 == read_manifest(source).sha256
    stored = store.path(sha256)
    assert stored == tmp_path / "store" / "models" / sha256
    for name in (MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE):
        assert (stored / name).read_bytes() == (source / name).read_bytes()


def test_storing_a_model_twice_keeps_the_first(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    sha256 = store.put(write_model(tmp_path / "a"))
    assert store.put(write_model(tmp_path / "b", version="v2")) == sha256
    assert read_manifest(store.path(sha256)).version == "v1"


def test_many_may_store_the_same_model_at_once(tmp_path: Path) -> None:
    source = write_model(tmp_path / "model")
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: ModelStore(tmp_path / "store").put(source), range(16)))
    assert len(names) == 1
    assert [each.name for each in (tmp_path / "store" / "models").iterdir()] == list(names)


@pytest.mark.parametrize("name", [MODEL_FILE, GOLDEN_FILE, MANIFEST_FILE])
def test_a_damaged_model_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    source = write_model(tmp_path / "model")
    (source / name).write_bytes((source / name).read_bytes()[:-3])
    store = ModelStore(tmp_path / "store")
    with pytest.raises(ModelError, match=name):
        store.put(source)
    assert store.sha256s() == []


@pytest.mark.parametrize("name", [MODEL_FILE, GOLDEN_FILE, MANIFEST_FILE])
def test_a_model_with_a_file_missing_is_refused(tmp_path: Path, name: str) -> None:
    source = write_model(tmp_path / "model")
    (source / name).unlink()
    with pytest.raises(ModelError, match=name):
        ModelStore(tmp_path / "store").put(source)


@pytest.mark.parametrize("sha256", ["0" * 64, "", "..", "../../etc"])
def test_an_absent_model_is_an_error_that_lists_what_is_there(tmp_path: Path, sha256: str) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(ModelError, match="there: none"):
        store.path(sha256)
    known = store.put(write_model(tmp_path / "model"))
    with pytest.raises(ModelError, match=known[:12]):
        store.path(sha256)
