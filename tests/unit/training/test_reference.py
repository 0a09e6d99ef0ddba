"""The drift reference that training leaves: all rows, the served scores, the same bytes again."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.reference_bytes import decode_reference
from inference.engine import load_model
from schemas.features import Feature, FeatureSchema
from schemas.model import REFERENCE_FILE, read_manifest
from storage.model_store import ModelStore, read_reference
from tests.unit.inference.models import write_model
from training.bootstrap import train_first_model
from training.dataset import Floats
from training.reference import add_reference, score_name


def rows(n: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def model(directory: Path) -> Path:
    """A model of three features that needs no training."""
    return write_model(directory)


def test_the_reference_holds_every_row_of_the_features_and_the_served_score(
    tmp_path: Path,
) -> None:
    features = rows(5_000)  # more than one batch of scores
    reference = add_reference(model(tmp_path), features, seed=0)
    loaded = load_model(tmp_path)
    columns = reference.columns
    assert columns.names == (*loaded.manifest.schema.names, "score")
    assert reference.n == 5_000
    scores = loaded.score(features)
    expected = columns.count(np.column_stack((features, scores)))
    assert (reference.counts == expected).all()
    assert (columns[3].lowest, columns[3].highest) == (0.0, 1.0)
    assert reference.summary.n_missing(columns).tolist() == [0, 0, 0, 0]


def test_the_manifest_names_the_file_and_the_version_of_what_it_holds(tmp_path: Path) -> None:
    before = read_manifest(model(tmp_path))
    reference = add_reference(tmp_path, rows(300), seed=0)
    after = read_manifest(tmp_path)
    assert after.reference_version == reference.fingerprint
    assert decode_reference(read_reference(tmp_path)).fingerprint == reference.fingerprint
    assert (after.version, after.sha256) == (before.version, before.sha256)


def test_the_same_rows_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (model(tmp_path / name) for name in ("first", "again", "other"))
    for directory, seed in ((first, 3), (again, 3), (other, 4)):
        add_reference(directory, rows(3_000), seed=seed, entity_keys=["a", "b", "c"] * 1000)
    data = (first / REFERENCE_FILE).read_bytes()
    assert (again / REFERENCE_FILE).read_bytes() == data
    assert read_manifest(again) == read_manifest(first)
    drawn_otherwise = decode_reference((other / REFERENCE_FILE).read_bytes())
    assert (drawn_otherwise.counts == decode_reference(data).counts).all()
    assert (drawn_otherwise.sample != decode_reference(data).sample).any()


def test_entities_are_counted_where_rows_have_keys(tmp_path: Path) -> None:
    keyed = add_reference(model(tmp_path / "a"), rows(40), seed=0, entity_keys=["x", "y"] * 20)
    bare = add_reference(model(tmp_path / "b"), rows(40), seed=0)
    assert keyed.customers is not None
    assert keyed.customers.n_entities == 2
    assert bare.customers is None


def test_rows_go_in_the_order_of_their_times(tmp_path: Path) -> None:
    features = rows(400)
    shuffled = np.random.default_rng(1).permutation(400)
    times = np.arange(400, dtype=np.int64)
    ordered = add_reference(model(tmp_path / "a"), features, seed=0, event_times=times)
    mixed = add_reference(
        model(tmp_path / "b"), features[shuffled], seed=0, event_times=times[shuffled]
    )
    assert mixed.blocks.tolist() == ordered.blocks.tolist()
    with pytest.raises(ValueError, match="event times"):
        add_reference(model(tmp_path / "c"), features, seed=0, event_times=times[:-1])


def test_a_feature_may_be_called_score(tmp_path: Path) -> None:
    schema = FeatureSchema((Feature(name="score"), Feature(name="score_"), Feature(name="c")))
    write_model(tmp_path, schema=schema, schema_hash=schema.hash)
    reference = add_reference(tmp_path, rows(100), seed=0)
    assert reference.columns.names == ("score", "score_", "c", "score__")
    assert score_name(schema) == "score__"


def test_a_worker_loads_the_model_without_its_reference(tmp_path: Path) -> None:
    add_reference(model(tmp_path), rows(100), seed=0)
    (tmp_path / REFERENCE_FILE).write_bytes(b"torn")
    assert load_model(tmp_path).score(rows(2)).shape == (2,)


def test_training_leaves_a_reference_of_all_rows_held_out_ones_too(tmp_path: Path) -> None:
    features = rows(200)
    features[::5, 2] = np.nan
    schema = FeatureSchema((Feature(name="a"), Feature(name="b"), Feature(name="c", nullable=True)))
    made = train_first_model(
        features,
        features[:, 0] > 0,
        schema,
        pipeline="p",
        seed=0,
        hidden=(4,),
        epochs=2,
        directory=tmp_path,
        entity_keys=[f"customer-{row % 50}" for row in range(200)],
    )
    reference = decode_reference(read_reference(made))
    assert reference.n == 200
    assert reference.summary.n_missing(reference.columns).tolist() == [0, 0, 40, 0]
    assert reference.customers is not None
    assert reference.customers.n_entities == 50


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 400), seed=st.integers(0, 2**32 - 1), keyed=st.booleans())
def test_a_reference_comes_back_from_the_store_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int, keyed: bool
) -> None:
    folder = tmp_path_factory.mktemp("model")
    keys = [f"k{row % 7}" for row in range(n)] if keyed else None
    made = add_reference(model(folder / "made"), rows(n, seed), seed=seed, entity_keys=keys)
    store = ModelStore(folder / "store")
    stored = store.path(store.put(folder / "made"))
    read = decode_reference(read_reference(stored))
    assert read.fingerprint == made.fingerprint == read_manifest(stored).reference_version
    assert (read.counts == made.counts).all()
    assert (read.blocks == made.blocks).all()
    assert np.array_equal(read.sample, made.sample)
