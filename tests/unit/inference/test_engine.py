"""The engine scores each batch with one version, whoever swaps meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inference.engine import Engine, load_model
from schemas.errors import ModelError
from tests.unit.inference.models import Parts, write_model

FEATURES = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)


def test_decisions_are_scores_at_or_above_the_threshold(tmp_path: Path) -> None:
    scored = Engine(load_model(write_model(tmp_path, threshold=0.4))).score(FEATURES)
    assert (scored.decisions == (scored.scores >= 0.4)).all()
    assert 0 < scored.decisions.sum() < 200
    assert scored.model_version == "v1"
    assert scored.elapsed_us >= 0
    exactly = Engine(load_model(write_model(tmp_path / "b", threshold=float(scored.scores[7]))))
    assert exactly.score(FEATURES).decisions[7]


def test_no_rows_are_no_call(tmp_path: Path) -> None:
    scored = Engine(load_model(write_model(tmp_path))).score(np.empty((0, 3), np.float32))
    assert scored.scores.shape == (0,)
    assert scored.decisions.dtype == np.bool_
    assert scored.model_version == "v1"


def test_features_that_cannot_be_written_to_are_scored(tmp_path: Path) -> None:
    frozen = np.frombuffer(FEATURES.tobytes(), np.float32).reshape(FEATURES.shape)
    assert len(Engine(load_model(write_model(tmp_path))).score(frozen).scores) == 200


def test_rows_that_the_model_cannot_score_are_set_aside_and_the_others_scored(
    tmp_path: Path,
) -> None:
    engine = Engine(load_model(write_model(tmp_path)))
    expected = engine.score(FEATURES).scores
    broken = FEATURES.copy()
    broken[[3, 77, 199], 1] = np.nan
    scored = engine.score(broken)
    assert [each.row for each in scored.unscorable] == [3, 77, 199]
    assert "expected scores in 0..1, found nan" in scored.unscorable[0].explanation
    others = np.delete(np.arange(200), [3, 77, 199])
    assert np.allclose(scored.scores[others], expected[others], atol=1e-6)
    assert np.isnan(scored.scores[[3, 77, 199]]).all()
    assert not scored.decisions[[3, 77, 199]].any()


def test_a_model_that_fails_its_golden_rows_is_to_blame_and_not_the_events(tmp_path: Path) -> None:
    class Broken:
        def run(self, features: np.ndarray) -> np.ndarray:
            return np.full(len(features), np.nan, dtype=np.float32)

    model = load_model(write_model(tmp_path))
    model._session = Broken()  # type: ignore[assignment]
    with pytest.raises(ModelError, match=r"expected scores in 0\.\.1, found nan"):
        Engine(model).score(FEATURES)


def test_a_swap_returns_the_model_before(tmp_path: Path) -> None:
    first = load_model(write_model(tmp_path / "a"))
    second = load_model(write_model(tmp_path / "b", version="v2"))
    engine = Engine(first)
    assert engine.swap(second) is first
    assert engine.model is second
    assert engine.score(FEATURES).model_version == "v2"


def test_no_batch_mixes_versions_while_models_are_swapped(tmp_path: Path) -> None:
    models = {
        "v1": load_model(write_model(tmp_path / "a")),
        "v2": load_model(write_model(tmp_path / "b", Parts(weights=(-1, 1, 1)), version="v2")),
    }
    expected = {version: model.score(FEATURES) for version, model in models.items()}
    engine = Engine(models["v1"])
    seen: set[str] = set()

    def score_often(_: int) -> None:
        for n in range(100_000):
            if n >= 200 and len(seen) == 2:
                return
            scored = engine.score(FEATURES)
            seen.add(scored.model_version)
            assert (scored.scores == expected[scored.model_version]).all()

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(score_often, each) for each in range(2)]
        while not all(each.done() for each in running):
            for model in models.values():
                engine.swap(model)
        for each in running:
            each.result()
    assert seen == {"v1", "v2"}
