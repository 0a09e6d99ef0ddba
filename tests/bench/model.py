"""What every contender scores with: 30 features, an MLP 30-64-32-1 with seeded random weights.

The weights do not matter for speed and nobody looks at the scores, so nothing is trained here.
"""

import hashlib
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelManifest
from schemas.pipeline import Pipeline, write_pipeline

PIPELINE = "bench"
SCHEMA = FeatureSchema.of_floats([f"f{index:02d}" for index in range(30)])
LAYERS = (30, 64, 32, 1)
SEED = 20261121
OPSET = 17
IR_VERSION = 8


def write_store(store: Path) -> Path:
    """Write the model and the `bench` pipeline into a store; returns the model's directory."""
    onnx_bytes = mlp_onnx()
    sha256 = hashlib.sha256(onnx_bytes).hexdigest()
    directory = store / "models" / sha256
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL_FILE).write_bytes(onnx_bytes)
    rows = np.random.default_rng(SEED).standard_normal((16, LAYERS[0])).astype(np.float32)
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    scores = session.run(["score"], {"features": rows})[0].reshape(-1)
    np.savez(directory / GOLDEN_FILE, features=rows, scores=scores)
    manifest = ModelManifest(
        version=f"bench-{sha256[:12]}",
        pipeline=PIPELINE,
        sha256=sha256,
        golden_sha256=hashlib.sha256((directory / GOLDEN_FILE).read_bytes()).hexdigest(),
        schema=SCHEMA,
        schema_hash=SCHEMA.hash,
        input_name="features",
        output_name="score",
        threshold=0.5,
    )
    (directory / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    write_pipeline(store, Pipeline(name=PIPELINE, schema=SCHEMA, model=sha256))
    return directory


def mlp_onnx() -> bytes:
    """The network: three dense layers, ReLU between, sigmoid at the end; output float32[n, 1]."""
    rng = np.random.default_rng(SEED)
    nodes, weights, previous = [], [], "features"
    for index, (n_in, n_out) in enumerate(pairwise(LAYERS)):
        weight = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
        weights += [_tensor(f"w{index}", weight), _tensor(f"b{index}", np.zeros(n_out))]
        nodes.append(helper.make_node("Gemm", [previous, f"w{index}", f"b{index}"], [f"z{index}"]))
        last = n_out == LAYERS[-1]
        previous = "score" if last else f"a{index}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"z{index}"], [previous]))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", LAYERS[0]])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _tensor(name: str, values: NDArray[np.floating]) -> onnx.TensorProto:
    return numpy_helper.from_array(values.astype(np.float32), name)
