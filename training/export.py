"""A trained network as a model directory: ONNX file, golden rows, manifest."""

import hashlib
import io
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
import torch

from inference.engine import load_model
from schemas.errors import ModelError
from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelManifest
from training.dataset import Floats
from training.network import ScoringNetwork

INPUT_NAME, OUTPUT_NAME = "features", "scores"
MAX_GOLDEN_ROWS = 64
MAX_DIFFERENCE = 1e-5
"""Parity: how far a score of the exported model may be from the network's own."""
_OPSET = 17


def write_model(
    directory: Path,
    network: ScoringNetwork,
    *,
    schema: FeatureSchema,
    pipeline: str,
    threshold: float,
    sample: Floats,
    training: dict[str, str | float | int],
    now: datetime,
    properties: Mapping[str, str] = MappingProxyType({}),
) -> ModelManifest:
    """Write the model directory, load it as a worker will, and compare scores on `sample`.

    `properties` (how its reference is cut) are part of the ONNX file and so of its name.

    Raises ModelError when the exported model does not load or does not score as the network does.
    """
    onnx = export_onnx(network)
    for name in sorted(properties):
        onnx = _with_property(onnx, name, properties[name])
    scores = network.score(sample)
    golden = _golden_rows(sample, scores)
    sha256 = hashlib.sha256(onnx).hexdigest()
    manifest = ModelManifest(
        version=f"{pipeline}-{now:%Y%m%d%H%M%S}-{sha256[:8]}",
        pipeline=pipeline,
        sha256=sha256,
        golden_sha256=hashlib.sha256(golden).hexdigest(),
        schema=schema,
        schema_hash=schema.hash,
        input_name=INPUT_NAME,
        output_name=OUTPUT_NAME,
        threshold=threshold,
        created_at=now.isoformat(timespec="seconds"),
        training=training,
    )
    (directory / MODEL_FILE).write_bytes(onnx)
    (directory / GOLDEN_FILE).write_bytes(golden)
    (directory / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _check_parity(directory, schema, sample, scores)
    return manifest


def export_onnx(network: ScoringNetwork) -> bytes:
    """The network as ONNX with a free batch dimension; needs nothing beyond torch and onnx."""
    buffer = io.BytesIO()
    example = torch.zeros(2, len(network.mean))
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and takes seconds; this one is deprecated and enough.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (example,),
            buffer,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: "n"}, OUTPUT_NAME: {0: "n"}},
        )
    return buffer.getvalue()


def _with_property(data: bytes, name: str, value: str) -> bytes:
    """An ONNX file with a metadata property more, which changes no score."""
    import onnx

    model = onnx.load_from_string(data)
    onnx.helper.set_model_props(model, {name: value})
    return bytes(model.SerializeToString(deterministic=True))


def _golden_rows(sample: Floats, scores: Floats) -> bytes:
    """Rows of `sample` from the lowest score to the highest, as a golden file."""
    n_rows = min(MAX_GOLDEN_ROWS, len(sample))
    chosen = np.argsort(scores, kind="stable")[np.linspace(0, len(sample) - 1, n_rows).astype(int)]
    buffer = io.BytesIO()
    np.savez(buffer, features=sample[chosen], scores=scores[chosen])
    return buffer.getvalue()


def _check_parity(directory: Path, schema: FeatureSchema, sample: Floats, scores: Floats) -> None:
    served = load_model(directory, expected_schema=schema).score(sample)
    worst = float(np.abs(served - scores).max())
    if not worst <= MAX_DIFFERENCE:
        raise ModelError(
            f"{directory}: the exported model scores up to {worst:.2g} away from the network,"
            f" expected at most {MAX_DIFFERENCE:g}"
        )
