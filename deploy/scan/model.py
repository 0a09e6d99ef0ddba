"""Scores of a scanned file by a model of ours."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from deploy.scan.table import Floats, ScanTable
from schemas.errors import ConfigurationError
from schemas.features import Dtype, Feature

BATCH_ROWS = 4096


def score_table(model: Path, table: ScanTable) -> tuple[ScanTable, float]:
    """The table reduced to the model's features, with its scores; and the model's threshold.

    A row whose value the model has never been taught (a gap where none may be) has the score NaN.
    Raises ConfigurationError for columns that the model needs and the file lacks, ModelError for a
    directory that holds no model.
    """
    from inference.artifact import read_artifact
    from inference.session import Session

    artifact = read_artifact(model, expected_schema=None)
    schema = artifact.manifest.schema
    by_name = {spec.name: i for i, spec in enumerate(table.specs)}
    missing = [name for name in schema.names if name not in by_name]
    if missing:
        raise ConfigurationError(
            f"model {artifact.manifest.version} needs columns that the file lacks, or that cannot"
            f" be used: {', '.join(missing)}"
        )
    places = [by_name[name] for name in schema.names]
    features = np.column_stack(
        [_as_trained(feature, table, i) for feature, i in zip(schema.features, places, strict=True)]
    )
    session = Session(artifact.onnx, artifact.manifest, provider="cpu")
    scores = np.concatenate(
        [
            session.run(features[begin : begin + BATCH_ROWS])
            for begin in range(0, len(features), BATCH_ROWS)
        ]
    )
    nullable = np.array([feature.nullable for feature in schema.features])
    unscorable = (np.isnan(features) & ~nullable).any(axis=1)
    scores = np.where(unscorable, np.float32("nan"), scores).astype(np.float32)
    watched = replace(
        table,
        specs=tuple(table.specs[i] for i in places),
        matrix=table.matrix[:, places],
        scores=scores,
    )
    return watched, artifact.manifest.threshold


def _as_trained(feature: Feature, table: ScanTable, place: int) -> Floats:
    """The column as the model knows it: categories by its own codes, -1 for ones it has not."""
    column, categories = table.matrix[:, place], table.specs[place].categories
    if feature.dtype is not Dtype.CATEGORY:
        if categories:
            raise ConfigurationError(f"the model takes numbers in {feature.name!r}, the file text")
        return column
    if not categories:
        raise ConfigurationError(f"the model takes text in {feature.name!r}, the file numbers")
    known = {name: code for code, name in enumerate(feature.categories)}
    codes = np.array([known.get(name, -1) for name in categories], dtype=np.float32)
    missing = np.isnan(column)
    found = codes[np.where(missing, 0, column).astype(np.int64)]
    return np.where(missing, np.float32("nan"), found).astype(np.float32)
