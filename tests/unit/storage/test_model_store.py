"""The model store takes whole, verified models only."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.errors import ModelError
from schemas.model import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    QUALITY_FILE,
    REFERENCE_FILE,
    read_manifest,
)
from storage.model_store import ModelStore, read_quality, read_reference
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


def write_with_reference(directory: Path, reference: bytes = b"rows", version: str = "v1") -> Path:
    """A model directory whose manifest names `reference`; the store does not look inside it."""
    write_model(
        directory,
        version=version,
        reference_sha256=hashlib.sha256(reference).hexdigest(),
        reference_version=f"of {reference!r}",
    )
    (directory / REFERENCE_FILE).write_bytes(reference)
    return directory


def test_a_reference_is_stored_with_its_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_with_reference(tmp_path / "model")))
    assert read_reference(stored) == b"rows"
    assert {each.name for each in stored.iterdir()} == {
        MODEL_FILE,
        MANIFEST_FILE,
        GOLDEN_FILE,
        REFERENCE_FILE,
    }


def test_a_manifest_from_before_references_reads_and_is_told_that_drift_needs_one(
    tmp_path: Path,
) -> None:
    source = write_model(tmp_path / "model")
    fields = json.loads((source / MANIFEST_FILE).read_bytes())
    del fields["reference_sha256"], fields["reference_version"]
    (source / MANIFEST_FILE).write_text(json.dumps(fields))
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(source))
    assert read_manifest(stored).reference_sha256 == ""
    with pytest.raises(ModelError, match=r"model v1 has no reference\.bin: it serves, but drift"):
        read_reference(stored)


def test_a_reference_that_the_manifest_does_not_name_stays_outside(tmp_path: Path) -> None:
    source = write_model(tmp_path / "model")
    (source / REFERENCE_FILE).write_bytes(b"of another model")
    store = ModelStore(tmp_path / "store")
    assert not (store.path(store.put(source)) / REFERENCE_FILE).exists()


@pytest.mark.parametrize("damage", [b"", b"row", b"rows!", None])
def test_a_torn_or_missing_reference_is_refused_and_leaves_nothing(
    tmp_path: Path, damage: bytes | None
) -> None:
    source = write_with_reference(tmp_path / "model")
    if damage is None:
        (source / REFERENCE_FILE).unlink()
    else:
        (source / REFERENCE_FILE).write_bytes(damage)
    store = ModelStore(tmp_path / "store")
    with pytest.raises(ModelError, match=REFERENCE_FILE):
        store.put(source)
    assert store.sha256s() == []


def test_a_stored_reference_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_with_reference(tmp_path / "model")))
    (stored / REFERENCE_FILE).write_bytes(b"sowr")
    with pytest.raises(ModelError, match=r"reference\.bin: the manifest expects sha256"):
        read_reference(stored)


def test_a_model_without_a_reference_takes_the_first_that_is_given_and_keeps_it(
    tmp_path: Path,
) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_model(tmp_path / "bare")))
    store.put(write_with_reference(tmp_path / "first", b"first", version="v2"))
    store.put(write_with_reference(tmp_path / "second", b"second", version="v3"))
    store.put(tmp_path / "bare")
    assert read_reference(stored) == b"first"
    manifest = read_manifest(stored)
    assert manifest.reference_version == "of b'first'"
    assert manifest.version == "v1"  # what the model is has not changed


def test_many_may_give_the_same_reference_at_once(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_model(tmp_path / "bare")))
    source = write_with_reference(tmp_path / "model")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.put(source), range(16)))
    assert read_reference(stored) == b"rows"
    assert len(list(stored.iterdir())) == 4


def with_quality(directory: Path, quality: bytes) -> Path:
    """The model in `directory`, whose manifest now names `quality` too."""
    fields = json.loads((directory / MANIFEST_FILE).read_bytes())
    fields["quality_sha256"] = hashlib.sha256(quality).hexdigest()
    (directory / MANIFEST_FILE).write_text(json.dumps(fields))
    (directory / QUALITY_FILE).write_bytes(quality)
    return directory


def test_the_quality_at_release_is_stored_with_its_model(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(with_quality(write_model(tmp_path / "model"), b"good")))
    assert read_quality(stored) == b"good"
    (stored / QUALITY_FILE).write_bytes(b"best")
    with pytest.raises(ModelError, match=r"quality\.json: the manifest expects sha256"):
        read_quality(stored)


def test_a_model_from_before_quality_was_stored_serves_and_says_what_it_lacks(
    tmp_path: Path,
) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_with_reference(tmp_path / "model")))
    with pytest.raises(ModelError, match=r"model v1 has no quality\.json: it serves, but its live"):
        read_quality(stored)


def test_a_model_without_its_quality_takes_the_first_that_is_given_and_keeps_its_reference(
    tmp_path: Path,
) -> None:
    store = ModelStore(tmp_path / "store")
    stored = store.path(store.put(write_with_reference(tmp_path / "old", b"first")))
    store.put(with_quality(write_with_reference(tmp_path / "new", b"second"), b"good"))
    store.put(with_quality(write_with_reference(tmp_path / "newer", b"third"), b"better"))
    assert read_reference(stored) == b"first"
    assert read_quality(stored) == b"good"
    assert store.put(stored) == stored.name, "what is stored is whole"


def test_a_torn_quality_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = with_quality(write_model(tmp_path / "model"), b"good")
    (source / QUALITY_FILE).write_bytes(b"go")
    store = ModelStore(tmp_path / "store")
    with pytest.raises(ModelError, match=QUALITY_FILE):
        store.put(source)
    assert store.sha256s() == []
