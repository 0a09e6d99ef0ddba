"""A pipeline: one decision, its feature schema, its model, and how files map onto it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.features import Dtype, FeatureSchema
from schemas.retraining import parse_policy

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class ColumnMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which columns of a file are not features: entity, event id, event time, label.

    `time_origin_ms` is added to a numeric time column given in `time_unit` ("s", "ms" or "us").
    With `time_is_feature` the time column is both: the event time, and a feature as it stands.
    `season_hours` and `calendar` say which features follow the hours of the week
    (docs/drift.md, Seasons and calendars).
    """

    label: str | None = None
    entity: str | None = None
    event_id: str | None = None
    time: str | None = None
    time_origin_ms: int = 0
    time_unit: str = "s"
    time_is_feature: bool = False
    season_hours: int | None = None
    calendar: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.season_hours is not None and self.time is None:
            raise ConfigurationError("a season needs to know when rows were: --time COLUMN")
        if self.season_hours is not None and (self.season_hours < 1 or 168 % self.season_hours):
            raise ConfigurationError(
                f"slots of {self.season_hours} hours do not divide a week of 168"
            )
        if self.time_is_feature and self.time is None:
            raise ConfigurationError("name the time column that is to be a feature: --time COLUMN")


class Pipeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model` is the directory of the champion in the model store (its sha256).

    `retraining` are the rules (fields of RetrainingPolicy) in which the pipeline differs from the
    settings. `segments` are features, categories or booleans: the rows of each of their values are
    watched for drift by themselves too (`drift.segments`).
    """

    name: str
    schema: FeatureSchema
    model: str
    mapping: ColumnMapping = ColumnMapping()
    retraining: dict[str, Any] | None = None
    segments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parse_policy(self.retraining or {})
        check_segments(self.schema, self.segments)
        if not NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"pipeline name {self.name!r}: lower-case letters, digits and '-', a letter first,"
                " 63 at most"
            )


def check_segments(schema: FeatureSchema, segments: Sequence[str]) -> None:
    """Raise ConfigurationError for features that cannot be segmented by."""
    fitting = [
        feature.name
        for feature in schema.features
        if feature.dtype in (Dtype.CATEGORY, Dtype.BOOLEAN) and "=" not in feature.name
    ]
    for name in segments:
        if name not in fitting:
            problem = "is no feature" if name not in schema.names else "cannot be segmented by"
            raise ConfigurationError(
                f"segment column {name!r} {problem}: categories and booleans can (here:"
                f" {', '.join(fitting) or 'none'}), unless there is a '=' in their name"
            )
    if len(set(segments)) < len(segments):
        raise ConfigurationError(f"a segment column is given twice: {', '.join(segments)}")


def pipeline_path(store: Path, name: str) -> Path:
    """Where a pipeline's definition lies in a model store."""
    return store / "pipelines" / f"{name}.json"


def list_pipelines(store: Path) -> list[str]:
    """The names of all pipelines in a model store, sorted."""
    return sorted(path.stem for path in (store / "pipelines").glob("*.json"))


def read_pipeline(store: Path, name: str) -> Pipeline:
    """The definition of a pipeline; raises ConfigurationError that lists the ones that exist."""
    path = pipeline_path(store, name)
    try:
        pipeline = msgspec.json.decode(path.read_bytes(), type=Pipeline)
    except FileNotFoundError as error:
        known = ", ".join(list_pipelines(store)) or "none yet"
        raise ConfigurationError(
            f"no pipeline {name!r} in {store} (there: {known}); make one with `thalweg bootstrap`"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ConfigurationError) as error:
        raise ConfigurationError(f"{path} is not a pipeline definition: {error}") from error
    if pipeline.name != name:
        raise ConfigurationError(f"{path} names pipeline {pipeline.name!r}; its topics would mix")
    return pipeline


def write_pipeline(store: Path, pipeline: Pipeline) -> Path:
    """Write the definition so that a reader sees the old one or the new one, never a part."""
    path = pipeline_path(store, pipeline.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".json.{os.getpid()}")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(pipeline), indent=1))
    temporary.replace(path)
    return path
