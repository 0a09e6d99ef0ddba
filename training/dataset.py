"""Labelled rows, checked, and split into a part to learn from and a newest part held out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigurationError
from schemas.features import FeatureSchema

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]

MIN_ROWS = 50
MIN_ROWS_OF_A_CLASS = 5
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers int64[k] of the two parts; `held_out_is_newest` is false where it was drawn."""

    train: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    held_out_is_newest: bool


def check_rows(features: Floats, labels: npt.NDArray[np.generic], schema: FeatureSchema) -> Labels:
    """The labels as int8; raises ConfigurationError where these rows cannot train a model."""
    if features.ndim != 2 or features.shape[1] != len(schema) or features.dtype != np.float32:
        raise ConfigurationError(
            f"expected features float32[n, {len(schema)}] as the schema says, found"
            f" {features.dtype}{list(features.shape)}"
        )
    if labels.shape != (len(features),):
        raise ConfigurationError(
            f"expected one label a row, found {labels.shape} for {len(features)} rows"
        )
    if len(features) < MIN_ROWS:
        raise ConfigurationError(
            f"{len(features)} labelled rows are too few to train on; give at least {MIN_ROWS}"
        )
    _check_labels(labels)
    _check_values(features, schema)
    return labels.astype(np.int8)


def split(labels: Labels, seed: int) -> Split:
    """Hold out the newest fifth; where a part would lack a class, a random fifth of each class."""
    n_train = len(labels) - round(len(labels) * _HELD_OUT_SHARE)
    rows = np.arange(len(labels))
    newest = Split(rows[:n_train], rows[n_train:], held_out_is_newest=True)
    if _has_both(labels[newest.train]) and _has_both(labels[newest.held_out]):
        return newest
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=np.bool_)
    for value in (0, 1):
        own = generator.permutation(np.flatnonzero(labels == value))
        held_out[own[: max(1, round(len(own) * _HELD_OUT_SHARE))]] = True
    return Split(rows[~held_out], rows[held_out], held_out_is_newest=False)


def _check_labels(labels: npt.NDArray[np.generic]) -> None:
    values, counts = np.unique(labels, return_counts=True)
    if not np.isin(values, (0, 1)).all():
        shown = ", ".join(str(value) for value in values[:5])
        raise ConfigurationError(f"labels must be 0 or 1, found {shown}")
    if len(values) < 2:
        raise ConfigurationError(
            f"all {len(labels)} labels are {values[0]}; a model needs rows of both classes"
        )
    if counts.min() < MIN_ROWS_OF_A_CLASS:
        raise ConfigurationError(
            f"only {counts.min()} rows are labelled {values[counts.argmin()]}; give at least"
            f" {MIN_ROWS_OF_A_CLASS} of each class"
        )


def _check_values(features: Floats, schema: FeatureSchema) -> None:
    infinite: npt.NDArray[np.bool_] = np.any(np.isinf(features), axis=0)
    missing: npt.NDArray[np.bool_] = np.any(np.isnan(features), axis=0)
    for index, feature in enumerate(schema.features):
        if infinite[index]:
            raise ConfigurationError(
                f"feature {feature.name!r} is infinite as float32 in some row; clean or scale it"
            )
        if missing[index] and not feature.nullable:
            raise ConfigurationError(
                f"feature {feature.name!r} is missing in some row; fill it or make it nullable"
            )


def _has_both(labels: Labels) -> bool:
    ones = int(labels.sum())
    return min(ones, len(labels) - ones) >= MIN_ROWS_OF_A_CLASS
