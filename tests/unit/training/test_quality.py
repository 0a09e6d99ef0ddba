"""The quality that training leaves beside the model: of the held-out rows, as served."""

from pathlib import Path

import numpy as np
import pytest

from inference.engine import load_model
from schemas.features import FeatureSchema
from schemas.model import QUALITY_FILE, read_manifest
from schemas.quality import decode_quality
from storage.model_store import ModelStore, read_quality
from tests.unit.inference.models import write_model
from training.bootstrap import train_first_model
from training.quality import add_quality


def test_training_leaves_the_quality_of_the_held_out_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=(1_000, 3)).astype(np.float32)
    labels = features.sum(axis=1) + random.normal(size=1_000) > 1
    schema = FeatureSchema.of_floats(["a", "b", "c"])
    made = train_first_model(
        features, labels, schema, pipeline="p", seed=0, epochs=5, directory=tmp_path
    )
    stored = ModelStore(tmp_path / "store").path(ModelStore(tmp_path / "store").put(made))
    found = decode_quality(read_quality(stored))
    model = load_model(stored)
    assert found.n_rows == 200
    assert found.n_positive == int(labels[800:].sum())
    assert found.threshold == model.manifest.threshold
    flagged = model.score(features[800:]) >= model.manifest.threshold
    precision = labels[800:][flagged].mean()
    assert found.measures["precision"].value == pytest.approx(precision)
    auc = model.manifest.training["held_out_auc"]
    assert found.measures["roc_auc"].value == pytest.approx(auc, abs=1e-6)
    assert found.calibration is not None


def test_the_same_rows_and_seed_give_the_same_bytes_and_keep_the_rest(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(5_000, 3)).astype(np.float32)  # more than a batch of scores
    labels = (random.random(5_000) < 0.3).astype(np.int8)
    data = []
    for name in ("first", "again"):
        directory = write_model(tmp_path / name)
        before = read_manifest(directory)
        add_quality(directory, features, labels, seed=3)
        after = read_manifest(directory)
        assert (after.version, after.sha256) == (before.version, before.sha256)
        data.append((directory / QUALITY_FILE).read_bytes())
    assert data[0] == data[1]
