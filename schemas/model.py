"""What travels beside an ONNX file: the manifest, and the file names of a model directory."""

from pathlib import Path

import msgspec

from schemas.errors import ConfigurationError, ModelError
from schemas.features import FeatureSchema

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.npz"
"""Golden rows: `features` float32[k, n_features], `scores` float32[k] as the trainer got them."""
REFERENCE_FILE = "reference.bin"
"""Drift reference: what the rows and scores of training looked like (`drift.reference_bytes`)."""
QUALITY_FILE = "quality.json"
"""How good the model was on the rows that training held out (`schemas.quality`)."""


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Identity and contract of one model.

    Its input is `float32[n, n_features]`, its output `float32[n]` or `float32[n, 1]` in 0..1.
    `sha256` is of the ONNX file; `golden_tolerance` bounds |score - golden score|.
    `reference_sha256` is of the file, `reference_version` of what it holds; both are empty for a
    model without a drift reference, which serves but cannot be watched for drift. `quality_sha256`
    is of its quality at release, empty for a model without one, which serves but has no estimate of
    its live quality and nothing to hold it against.
    """

    version: str
    pipeline: str
    sha256: str
    golden_sha256: str
    schema: FeatureSchema
    schema_hash: str
    input_name: str
    output_name: str
    threshold: float
    golden_tolerance: float = 1e-4
    created_at: str = ""
    training: dict[str, str | float | int] = {}
    reference_sha256: str = ""
    reference_version: str = ""
    quality_sha256: str = ""


def read_manifest(directory: Path) -> ModelManifest:
    """The manifest in a model directory; raises ModelError that says what is wrong with it."""
    path = directory / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=ModelManifest)
    except FileNotFoundError as error:
        raise ModelError(f"no {MANIFEST_FILE} in {directory}; is it a model directory?") from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ConfigurationError) as error:
        raise ModelError(f"{path} is not a model manifest: {error}") from error
    if manifest.schema.hash != manifest.schema_hash:
        raise ModelError(
            f"{path}: schema_hash says {manifest.schema_hash[:12]}, its schema hashes to"
            f" {manifest.schema.hash[:12]}; the manifest was edited or torn"
        )
    return manifest
