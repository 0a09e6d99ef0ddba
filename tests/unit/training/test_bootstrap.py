"""A first model from labelled rows: it learns, a worker loads it, and bad rows are refused."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.engine import LoadedModel, load_model
from schemas.errors import ConfigurationError, ModelError
from schemas.features import Feature, FeatureSchema
from schemas.model import GOLDEN_FILE, MODEL_FILE, read_manifest
from training.bootstrap import train_first_model
from training.dataset import Floats, Labels, split
from training.export import write_model
from training.network import ScoringNetwork

SCHEMA = FeatureSchema(
    (
        Feature(name="a"),
        Feature(name="b"),
        Feature(name="constant"),
        Feature(name="gappy", nullable=True),
    )
)
NOON = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)


def rows(n: int = 600, seed: int = 0) -> tuple[Floats, Labels]:
    """Rows that a and b tell apart; `gappy` is missing half of the time, `constant` is 7."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n, 4)).astype(np.float32)
    features[:, 2] = 7
    features[generator.random(n) < 0.5, 3] = np.nan
    odds = 3 * features[:, 0] - 2 * features[:, 1] - 2 + generator.normal(size=n)
    return features, (odds > 0).astype(np.int8)


def train(directory: Path, *, n: int = 600, seed: int = 1, epochs: int = 15) -> Path:
    features, labels = rows(n)
    return train_first_model(
        features,
        labels,
        SCHEMA,
        pipeline="fraud",
        seed=seed,
        hidden=(16, 8),
        epochs=epochs,
        directory=directory,
        now=lambda: NOON,
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(directory: Path) -> LoadedModel:
    return load_model(directory, expected_schema=SCHEMA)


def test_the_model_ranks_rows_it_has_not_seen(model: LoadedModel) -> None:
    features, labels = rows(seed=99)
    scores = model.score(features)
    right = (scores >= model.manifest.threshold) == labels
    assert right.mean() > 0.88


def test_scores_are_calibrated_probabilities(model: LoadedModel) -> None:
    features, labels = rows(n=4000, seed=98)
    scores = model.score(features)
    assert abs(scores.mean() - labels.mean()) < 0.04
    sure = scores > 0.9
    assert labels[sure].mean() > 0.85


def test_the_manifest_names_the_model_and_how_it_was_made(directory: Path) -> None:
    manifest = read_manifest(directory)
    assert manifest.version == f"fraud-20261121120005-{manifest.sha256[:8]}"
    assert manifest.schema == SCHEMA
    assert 0 < manifest.threshold < 1
    assert float(np.float32(manifest.threshold)) == manifest.threshold
    assert manifest.training["n_rows"] == 600
    assert manifest.training["n_held_out"] == 120
    assert manifest.training["held_out"] == "newest"
    assert 0.9 < float(manifest.training["held_out_auc"]) <= 1
    assert 0.8 < float(manifest.training["held_out_average_precision"]) <= 1


def test_there_are_at_most_64_golden_rows_from_low_to_high(directory: Path) -> None:
    golden = np.load(directory / GOLDEN_FILE)
    assert golden["features"].shape == (64, 4)
    assert (np.diff(golden["scores"]) >= 0).all()
    assert np.isnan(golden["features"]).any()


def test_the_same_seed_gives_the_same_model(directory: Path, tmp_path: Path) -> None:
    again = train(tmp_path / "again")
    other = train(tmp_path / "other", seed=2)
    onnx = (directory / MODEL_FILE).read_bytes()
    assert (again / MODEL_FILE).read_bytes() == onnx
    assert (again / GOLDEN_FILE).read_bytes() == (directory / GOLDEN_FILE).read_bytes()
    assert (other / MODEL_FILE).read_bytes() != onnx


def test_training_leaves_the_generator_and_threads_of_the_process_alone(tmp_path: Path) -> None:
    state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    train(tmp_path, n=60, epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == n_threads


def test_a_missing_value_scores_as_the_training_mean(model: LoadedModel) -> None:
    features, _ = rows()
    n_train = 480
    mean = np.nanmean(features[:n_train, 3].astype(np.float64))
    missing = np.array([[0.3, -0.1, 7, np.nan]], dtype=np.float32)
    filled = np.array([[0.3, -0.1, 7, mean]], dtype=np.float32)
    assert model.score(missing)[0] == pytest.approx(model.score(filled)[0], abs=1e-6)


def test_what_was_constant_in_training_does_not_explode_later(model: LoadedModel) -> None:
    before = model.score(np.array([[0.3, -0.1, 7, 0]], dtype=np.float32))
    after = model.score(np.array([[0.3, -0.1, 7.01, 0]], dtype=np.float32))
    assert abs(after[0] - before[0]) < 0.01


def test_the_largest_float32_values_score_in_0_to_1(model: LoadedModel) -> None:
    extreme = np.full((2, 4), np.finfo(np.float32).max, dtype=np.float32)
    extreme[1] *= -1
    scores = model.score(extreme)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_progress_reports_every_epoch(tmp_path: Path) -> None:
    features, labels = rows(60)
    told: list[tuple[int, float]] = []
    train_first_model(
        features,
        labels,
        SCHEMA,
        pipeline="p",
        seed=0,
        hidden=(4,),
        epochs=3,
        directory=tmp_path,
        progress=lambda epoch, loss: told.append((epoch, loss)),
    )
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert all(np.isfinite(loss) for _, loss in told)


def test_without_a_directory_a_temporary_one_is_made() -> None:
    features, labels = rows(60)
    made = train_first_model(features, labels, SCHEMA, pipeline="p", seed=0, hidden=(4,), epochs=1)
    assert load_model(made).version.startswith("p-")
    for each in made.iterdir():
        each.unlink()
    made.rmdir()


def test_few_positives_among_many_still_train(tmp_path: Path) -> None:
    features, _ = rows(1000)
    labels = np.zeros(1000, dtype=np.int8)
    labels[::200] = 1
    features[::200, 0] += 6
    trained = train_first_model(
        features, labels, SCHEMA, pipeline="p", seed=0, epochs=8, directory=tmp_path
    )
    assert read_manifest(trained).training["held_out"] == "random"
    assert load_model(trained).score(features).mean() < 0.1


def test_the_newest_rows_are_held_out() -> None:
    parts = split(np.array([0, 1] * 50, dtype=np.int8), seed=0)
    assert parts.held_out_is_newest
    assert parts.held_out.tolist() == list(range(80, 100))
    assert parts.train.tolist() == list(range(80))


def test_rows_sorted_by_label_are_held_out_at_random_from_each_class() -> None:
    labels = np.array([0] * 90 + [1] * 10, dtype=np.int8)
    parts = split(labels, seed=0)
    assert not parts.held_out_is_newest
    assert labels[parts.held_out].sum() == 2
    assert len(parts.held_out) == 20
    assert sorted([*parts.train, *parts.held_out]) == list(range(100))


def bad(**changes: object) -> tuple[Floats, Labels]:
    features, labels = rows(100)
    for name, value in changes.items():
        features[3, SCHEMA.names.index(name)] = value
    return features, labels


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (rows(49)[0], rows(49)[1], "49 labelled rows are too few to train on; give at least 50"),
        (rows(100)[0], np.zeros(100, np.int8), "all 100 labels are 0"),
        (rows(100)[0], np.ones(100), "all 100 labels are 1"),
        (rows(100)[0], np.arange(100) % 3, "labels must be 0 or 1, found 0, 1, 2"),
        (rows(100)[0], np.full(100, np.nan), "labels must be 0 or 1, found nan"),
        (rows(100)[0], np.arange(100) < 4, "only 4 rows are labelled True"),
        (rows(100)[0], rows(99)[1], "one label a row"),
        (rows(100)[0][:, :3], rows(100)[1], r"float32\[n, 4\] as the schema says"),
        (rows(100)[0].astype(np.float64), rows(100)[1], "found float64"),
        (*bad(a=np.inf), "feature 'a' is infinite"),
        (*bad(b=np.nan), "feature 'b' is missing in some row; fill it or make it nullable"),
    ],
)
def test_rows_that_cannot_train_a_model_are_refused(
    features: Floats, labels: Labels, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train_first_model(features, labels, SCHEMA, pipeline="p", seed=0, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    features, labels = rows(100)
    with pytest.raises(ConfigurationError, match="no pipeline name"):
        train_first_model(features, labels, SCHEMA, pipeline="No Name", seed=0)


class _Liar(ScoringNetwork):
    def score(self, features: Floats) -> Floats:
        return super().score(features) * np.float32(0.999)


def test_an_export_that_scores_otherwise_than_its_network_is_refused(tmp_path: Path) -> None:
    features, _ = rows(100)
    with pytest.raises(ModelError, match="expected"):
        write_model(
            tmp_path,
            _Liar(4, (8,)),
            schema=SCHEMA,
            pipeline="p",
            threshold=0.5,
            sample=features,
            training={},
            now=NOON,
        )
