"""A pipeline out of labelled history: schema, a first model in the store, topics and tables."""

import re
import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.fraud import HISTORY_EVENTS
from deploy.local.state import ProcessState, read_state
from schemas.errors import ConfigurationError
from schemas.model import read_manifest
from schemas.pipeline import ColumnMapping, Pipeline, list_pipelines, read_pipeline, write_pipeline
from schemas.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from schemas.features import FeatureSchema

POLL_S = 0.1
SEED = 0


class Change(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What `bootstrap` did; `measures` are those of the model on rows it was not trained on."""

    pipeline: Pipeline
    change: Change
    model_version: str
    measures: dict[str, str | float | int]


def bootstrap_file(
    settings: Settings, path: Path, mapping: ColumnMapping, *, name: str | None, replace: bool
) -> Bootstrapped:
    """Make or renew the pipeline `name` (default: the file's name) from a labelled file.

    The same file again changes nothing. Raises ConfigurationError when a pipeline of that name has
    other features and `replace` is not given.
    """
    from producers.files import infer_schema, load_matrix

    name = name or pipeline_name(path)
    schema = infer_schema(path, mapping)
    if name in list_pipelines(settings.store) and not replace:
        _refuse_other_features(read_pipeline(settings.store, name), schema, path)
    features, labels = load_matrix(path, schema, mapping)
    if mapping.time is not None:
        oldest_first = _time_order(path, mapping)
        features, labels = features[oldest_first], labels[oldest_first]
    return _train(settings, name, schema, mapping=mapping, features=features, labels=labels)


def bootstrap_fraud(settings: Settings, name: str) -> Bootstrapped:
    """Make the pipeline `name` of synthetic fraud events; one that is there stays as it is."""
    from producers.fraud import FRAUD_SCHEMA, FraudStream, history

    if name in list_pipelines(settings.store):
        there = read_pipeline(settings.store, name)
        _refuse_other_features(there, FRAUD_SCHEMA, None)
        return _result(settings, there, Change.UNCHANGED)
    features, labels, _ = history(FraudStream(), HISTORY_EVENTS)
    mapping = ColumnMapping(label="label", entity="customer")
    return _train(settings, name, FRAUD_SCHEMA, mapping=mapping, features=features, labels=labels)


def make_live(settings: Settings, done: Bootstrapped, before: dict[str, int]) -> list[str]:
    """Create topics and tables, and wait for the stack's workers, if a stack runs.

    `before` is `worker_starts` from before the bootstrap: a changed pipeline is live when its
    workers were started anew. Returns the names of new topics.
    """
    from storage.client import connect
    from storage.migrate import migrate
    from stream_processors.topics import create_pipeline_topics

    topics = create_pipeline_topics(settings.kafka, done.pipeline.name)
    with connect(settings.clickhouse) as client:
        migrate(client, settings.clickhouse)
    state = read_state(settings.data_dir)
    if state is not None and state.running:
        changed = done.change is not Change.UNCHANGED
        _wait_for_workers(settings, done.pipeline.name, before if changed else {})
    return topics


def worker_starts(settings: Settings, pipeline: str) -> dict[str, int]:
    """When the stack's workers of a pipeline started, by process name."""
    state = read_state(settings.data_dir)
    if state is None or not state.running:
        return {}
    workers = [each for each in state.processes if each.name.endswith(f"-{pipeline}")]
    return {each.name: each.started for each in workers}


def pipeline_name(path: Path) -> str:
    """A pipeline name made from a file's name."""
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:63].rstrip("-")
    return name if name[:1].isalpha() else f"p-{name}"[:63].rstrip("-")


def _wait_for_workers(settings: Settings, pipeline: str, before: dict[str, int]) -> None:
    names = {f"{stage}-{pipeline}" for stage in ("score", "log")}
    deadline = time.monotonic() + settings.local.start_timeout_s + settings.local.stop_timeout_s
    while time.monotonic() < deadline:
        state = read_state(settings.data_dir)
        if state is None or not state.running:
            return
        workers = [each for each in state.processes if each.name in names]
        failed = [each for each in workers if each.state is ProcessState.FAILED]
        if failed:
            raise ConfigurationError(
                f"{failed[0].name} does not run: {failed[0].reason};"
                f" see {settings.data_dir / 'logs' / failed[0].name}.log"
            )
        ready = {
            each.name
            for each in workers
            if each.state is ProcessState.RUNNING and before.get(each.name) != each.started
        }
        if ready == names:
            return
        time.sleep(POLL_S)
    raise ConfigurationError(
        f"the workers of {pipeline} did not become ready; see {settings.data_dir / 'logs'}"
    )


def _train(
    settings: Settings,
    name: str,
    schema: "FeatureSchema",
    *,
    mapping: ColumnMapping,
    features: "npt.NDArray[np.float32]",
    labels: "npt.NDArray[np.int8]",
) -> Bootstrapped:
    from storage.model_store import ModelStore
    from training.bootstrap import train_first_model

    directory = train_first_model(features, labels, schema, pipeline=name, seed=SEED)
    try:
        model = ModelStore(settings.store).put(directory)
    finally:
        shutil.rmtree(directory)
    pipeline = Pipeline(name=name, schema=schema, model=model, mapping=mapping)
    change = Change.CREATED
    if name in list_pipelines(settings.store):
        same = read_pipeline(settings.store, name) == pipeline
        change = Change.UNCHANGED if same else Change.UPDATED
    if change is not Change.UNCHANGED:
        write_pipeline(settings.store, pipeline)
    return _result(settings, pipeline, change)


def _result(settings: Settings, pipeline: Pipeline, change: Change) -> Bootstrapped:
    from storage.model_store import ModelStore

    manifest = read_manifest(ModelStore(settings.store).path(pipeline.model))
    return Bootstrapped(pipeline, change, manifest.version, manifest.training)


def _refuse_other_features(there: Pipeline, schema: "FeatureSchema", path: Path | None) -> None:
    if there.schema.hash != schema.hash:
        what = f"the columns of {path}" if path else "the synthetic fraud stream"
        raise ConfigurationError(
            f"pipeline {there.name!r} exists with other features than {what}:"
            " choose another --name, or give --replace to change it (events already on its topics"
            " may then be dead-lettered)"
        )


def _time_order(path: Path, mapping: ColumnMapping) -> "npt.NDArray[np.int64]":
    """Row numbers by event time, oldest first; a row without a time keeps its place."""
    import numpy as np

    from producers.cells import event_time_ms
    from producers.files import read_columns

    assert mapping.time is not None
    times: list[float] = []
    for batch in read_columns(path, [mapping.time]):
        for cell in batch[mapping.time]:
            time_ms = event_time_ms(cell, mapping)
            last = times[-1] if times else 0.0
            times.append(float(time_ms) if isinstance(time_ms, int) else last)
    return np.argsort(np.array(times), kind="stable")
