"""A model is refused with what was expected and what was found, or it serves."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from inference.engine import load_model
from schemas.errors import ModelError
from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE
from tests.unit.inference.models import SCHEMA, Parts, expected_scores, write_model


@pytest.mark.parametrize("flat", [False, True])
def test_a_good_model_serves(tmp_path: Path, flat: bool) -> None:
    model = load_model(write_model(tmp_path, Parts(flat=flat)), expected_schema=SCHEMA)
    features = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    scores = model.score(features)
    assert scores.dtype == np.float32
    assert scores.shape == (5,)
    assert np.allclose(scores, expected_scores(features), atol=1e-6)
    assert model.version == "v1"


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a model directory at .*nowhere, found none"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (write_model(tmp_path) / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_model(tmp_path)


@pytest.mark.parametrize("name", [MODEL_FILE, GOLDEN_FILE])
def test_a_truncated_file_is_refused_by_its_hash(tmp_path: Path, name: str) -> None:
    path = write_model(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match=rf"{name}: the manifest expects sha256 \w+, found \w+"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not onnx", b"truncate"])
def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = write_model(tmp_path) / MODEL_FILE
    path.write_bytes(path.read_bytes()[:60] if content == b"truncate" else content)
    fix_manifest(tmp_path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="expected an ONNX model, found"):
        load_model(tmp_path)


def fix_manifest(directory: Path, **changes: object) -> None:
    path = directory / MANIFEST_FILE
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def test_a_model_of_another_schema_is_refused(tmp_path: Path) -> None:
    other = FeatureSchema.of_floats(["a", "b"])
    with pytest.raises(ModelError, match=f"schema {other.hash[:12]}.*found one of"):
        load_model(write_model(tmp_path), expected_schema=other)


def test_an_edited_schema_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path)
    fix_manifest(tmp_path, schema={"features": [{"name": "a"}]})
    with pytest.raises(ModelError, match="schema"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (Parts(weights=(1.0, 2.0)), r"expected input float\[N, 3\], found .*'n', 2"),
        (Parts(input_name="x"), "expected input 'features' and output 'scores', found input 'x'"),
        (Parts(output_name="y"), "expected input 'features' and output 'scores', found .*'y'"),
        (Parts(rows=4), r"expected input float\[N, 3\], found .*\[4, 3\]"),
        (Parts(element=TensorProto.DOUBLE), r"expected input float\[N, 3\], found .*double"),
        (Parts(activation="Relu"), "expected scores in 0..1, found"),
        (Parts(activation="Log"), "expected scores in 0..1, found"),
    ],
)
def test_a_wrong_model_is_refused(tmp_path: Path, parts: Parts, message: str) -> None:
    directory = write_model(tmp_path, parts)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(directory)
    assert str(tmp_path) in str(caught.value)


def test_golden_rows_that_score_otherwise_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"golden row \d+ scored as a batch: expected 0\.\d+, found"
    ):
        load_model(write_model(tmp_path, golden_shift=0.001))


def test_golden_rows_within_tolerance_are_fine(tmp_path: Path) -> None:
    model = load_model(write_model(tmp_path, golden_shift=0.001, golden_tolerance=0.01))
    assert model.version == "v1"


def test_a_model_whose_scores_depend_on_the_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="golden row"):
        load_model(write_model(tmp_path, Parts(mix_rows=True)))


@pytest.mark.parametrize(
    "arrays",
    [
        {"features": np.zeros((2, 3), np.float32)},
        {"features": np.zeros((2, 2), np.float32), "scores": np.zeros(2, np.float32)},
        {"features": np.zeros((0, 3), np.float32), "scores": np.zeros(0, np.float32)},
        {"features": np.zeros((2, 3)), "scores": np.zeros(2)},
    ],
)
def test_golden_rows_of_a_wrong_shape_are_refused(
    tmp_path: Path,
    arrays: dict[str, np.ndarray],  # type: ignore[type-arg]
) -> None:
    path = write_model(tmp_path) / GOLDEN_FILE
    np.savez(path, **arrays)  # type: ignore[arg-type]
    fix_manifest(tmp_path, golden_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match=rf"{GOLDEN_FILE}: expected"):
        load_model(tmp_path)


def test_golden_rows_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path) / GOLDEN_FILE
    path.write_bytes(b"PK\x03\x04 torn")
    fix_manifest(tmp_path, golden_sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match=rf"{GOLDEN_FILE}: expected"):
        load_model(tmp_path)


def test_a_threshold_outside_0_to_1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expected a threshold in 0\.\.1, found 1\.5"):
        load_model(write_model(tmp_path, threshold=1.5))


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this machine has CUDA"
)
def test_cuda_that_is_not_there_is_an_error_not_a_slow_cpu(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected CUDAExecutionProvider, this onnxruntime has"):
        load_model(write_model(tmp_path), provider="cuda")
