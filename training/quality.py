"""What a model's quality was at release, stored beside it for live quality to be held against."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from drift.quality.baseline import measure_baseline
from inference.engine import load_model
from schemas.model import MANIFEST_FILE, QUALITY_FILE
from schemas.quality import QualityBaseline, encode_quality
from training.dataset import Floats, Labels
from training.reference import score_rows


def add_quality(directory: Path, features: Floats, labels: Labels, *, seed: int) -> QualityBaseline:
    """Write the quality of the model in `directory` and name it in the manifest.

    `features` float32[n, n_features] and `labels` int8[n] are the held-out rows, oldest first; the
    scores are those that the exported model gives. The same rows, model and seed give the same
    bytes.
    """
    model = load_model(directory)
    baseline = measure_baseline(
        labels.astype(np.float64),
        score_rows(model, features).astype(np.float64),
        threshold=model.manifest.threshold,
        generator=np.random.default_rng(seed),
    )
    data = encode_quality(baseline)
    manifest = msgspec.structs.replace(
        model.manifest, quality_sha256=hashlib.sha256(data).hexdigest()
    )
    (directory / QUALITY_FILE).write_bytes(data)
    (directory / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return baseline
