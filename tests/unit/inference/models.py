"""Factories for tiny real ONNX models in model directories."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from onnx import TensorProto, helper

from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelManifest

SCHEMA = FeatureSchema.of_floats(["a", "b", "c"])
WEIGHTS = (1.0, -2.0, 0.5)


@dataclass(frozen=True)
class Parts:
    """What a tiny model is made of; change one to get a wrong model whose hashes are right."""

    weights: tuple[float, ...] = WEIGHTS
    activation: str = "Sigmoid"
    input_name: str = "features"
    output_name: str = "scores"
    rows: int | str = "n"
    element: int = TensorProto.FLOAT
    flat: bool = False
    mix_rows: bool = False


def onnx_bytes(parts: Parts) -> bytes:
    """activation(x . weights), `[n, 1]` or flat; `mix_rows` makes a score depend on the batch."""
    n = len(parts.weights)
    dtype = helper.tensor_dtype_to_np_dtype(parts.element)
    weights = helper.make_tensor(
        "w", parts.element, [n, 1], np.array(parts.weights, dtype=dtype).tobytes(), raw=True
    )
    nodes = [helper.make_node("MatMul", [parts.input_name, "w"], ["z0"])]
    last = "z0"
    if parts.mix_rows:
        nodes.append(helper.make_node("ReduceMean", [last], ["mean"], axes=[0]))
        nodes.append(helper.make_node("Sub", [last, "mean"], ["z1"]))
        last = "z1"
    shape: list[int | str] = [parts.rows, 1]
    initial = [weights]
    if parts.flat:
        initial.append(helper.make_tensor("axes", TensorProto.INT64, [1], [1]))
        nodes.append(helper.make_node("Squeeze", [last, "axes"], ["z2"]))
        last, shape = "z2", [parts.rows]
    nodes.append(helper.make_node(parts.activation, [last], [parts.output_name]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(parts.input_name, parts.element, [parts.rows, n])],
        [helper.make_tensor_value_info(parts.output_name, parts.element, shape)],
        initial,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def write_model(
    directory: Path, parts: Parts | None = None, *, golden_shift: float = 0.0, **manifest: object
) -> Path:
    """A model directory whose hashes fit its files; `manifest` overrides fields of the manifest."""
    parts = parts or Parts()
    directory.mkdir(parents=True, exist_ok=True)
    onnx = onnx_bytes(parts)
    (directory / MODEL_FILE).write_bytes(onnx)
    features = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    scores = expected_scores(features, parts.weights[:3]) + np.float32(golden_shift)
    np.savez(directory / GOLDEN_FILE, features=features, scores=scores)
    fields: dict[str, object] = {
        "version": "v1",
        "pipeline": "fraud",
        "sha256": hashlib.sha256(onnx).hexdigest(),
        "golden_sha256": hashlib.sha256((directory / GOLDEN_FILE).read_bytes()).hexdigest(),
        "schema": SCHEMA,
        "schema_hash": SCHEMA.hash,
        "input_name": "features",
        "output_name": "scores",
        "threshold": 0.5,
    }
    whole = ModelManifest(**(fields | manifest))  # type: ignore[arg-type]
    (directory / MANIFEST_FILE).write_bytes(msgspec.json.encode(whole))
    return directory


def expected_scores(features: np.ndarray, weights: tuple[float, ...] = WEIGHTS) -> np.ndarray:  # type: ignore[type-arg]
    logits = features @ np.array([*weights, 0, 0, 0][:3], dtype=np.float32)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
