"""A model directory read and verified: nothing is used before its hashes are the manifest's."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.errors import ModelError
from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MODEL_FILE, ModelManifest, read_manifest

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified model directory; golden features float32[k, n_features], scores float32[k]."""

    manifest: ModelManifest
    onnx: bytes
    golden_features: Floats
    golden_scores: Floats


def read_artifact(directory: Path, *, expected_schema: FeatureSchema | None) -> Artifact:
    """Read a model directory; raises ModelError that says what was expected and what was found."""
    if not directory.is_dir():
        raise ModelError(f"expected a model directory at {directory}, found none")
    manifest = read_manifest(directory)
    if expected_schema is not None and manifest.schema_hash != expected_schema.hash:
        raise ModelError(
            f"{directory}: expected a model of feature schema {expected_schema.hash[:12]}"
            f" ({len(expected_schema)} features), found one of {manifest.schema_hash[:12]}"
            f" ({len(manifest.schema)} features)"
        )
    if not 0.0 <= manifest.threshold <= 1.0:
        raise ModelError(f"{directory}: expected a threshold in 0..1, found {manifest.threshold}")
    onnx = _read_verified(directory / MODEL_FILE, manifest.sha256)
    golden = _read_verified(directory / GOLDEN_FILE, manifest.golden_sha256)
    features, scores = _read_golden(golden, directory / GOLDEN_FILE, len(manifest.schema))
    return Artifact(manifest, onnx, features, scores)


def _read_verified(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path.name} in {path.parent}: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path}: the manifest expects sha256 {sha256[:12]}, found {found[:12]} ({len(data)}"
            " bytes); the file is truncated or another one"
        )
    return data


def _read_golden(data: bytes, path: Path, n_features: int) -> tuple[Floats, Floats]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            features: Floats = arrays["features"]
            scores: Floats = arrays["scores"]
    except (ValueError, KeyError, OSError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: expected arrays `features` and `scores`, found {error}"
        ) from error
    rows = len(scores)
    shapes_fit = features.shape == (rows, n_features) and scores.shape == (rows,) and rows > 0
    if not shapes_fit or features.dtype != np.float32 or scores.dtype != np.float32:
        raise ModelError(
            f"{path}: expected features float32[k, {n_features}] and scores float32[k], found"
            f" {features.dtype}{list(features.shape)} and {scores.dtype}{list(scores.shape)}"
        )
    return features, scores
