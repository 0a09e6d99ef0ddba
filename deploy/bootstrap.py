"""A pipeline out of labelled history: schema, a first model in the store, topics and tables."""

import re
import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from deploy.fraud import HISTORY_EVENTS
from deploy.local.stages import stages_of
from deploy.local.state import ProcessState, read_state
from schemas.errors import ConfigurationError
from schemas.model import read_manifest
from schemas.pipeline import (
    ColumnMapping,
    Pipeline,
    check_segments,
    list_pipelines,
    read_pipeline,
    write_pipeline,
)
from schemas.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from deploy.reference import RowFacts
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


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Labelled rows, oldest first."""

    features: "npt.NDArray[np.float32]"
    labels: "npt.NDArray[np.int8]"
    facts: "RowFacts"


def bootstrap_file(
    settings: Settings,
    path: Path,
    mapping: ColumnMapping,
    *,
    name: str | None,
    replace: bool,
    segments: tuple[str, ...] = (),
) -> Bootstrapped:
    """Make or renew the pipeline `name` (default: the file's name) from a labelled file.

    The same file again changes nothing, but for a model without a drift reference or its quality at
    release, which gets them, and for other `segments`, or none any more, for which there is another
    model.
    Raises ConfigurationError when a pipeline of that name has other features and `replace` is not
    given.
    """
    import numpy as np

    from deploy.reference import read_facts
    from producers.files import infer_schema, load_matrix

    name = name or pipeline_name(path)
    schema = infer_schema(path, mapping)
    check_segments(schema, segments)
    if name in list_pipelines(settings.store) and not replace:
        _refuse_other_features(read_pipeline(settings.store, name), schema, path)
    _check_calendar(mapping, schema, path)
    features, labels = load_matrix(path, schema, mapping)
    facts = read_facts(path, mapping)
    if facts.event_times is not None:
        oldest_first = np.argsort(facts.event_times, kind="stable")
        features, labels = features[oldest_first], labels[oldest_first]
        facts = facts.taken(oldest_first)
    rows = _Rows(features, labels, facts)
    return _train(settings, name, schema, mapping=mapping, rows=rows, segments=segments)


def bootstrap_fraud(
    settings: Settings, name: str, segments: tuple[str, ...] | None = None
) -> Bootstrapped:
    """Make the pipeline `name` of synthetic fraud events; one that is there stays as it is.

    Except that one whose model has no drift reference, or no quality at release, is trained once
    more, which gives it both; and one of other `segments` (None: those that it has).
    """
    from producers.fraud import FRAUD_SCHEMA
    from storage.model_store import ModelStore

    if name in list_pipelines(settings.store):
        there = read_pipeline(settings.store, name)
        _refuse_other_features(there, FRAUD_SCHEMA, None)
        segments = there.segments if segments is None else segments
        manifest = read_manifest(ModelStore(settings.store).path(there.model))
        whole = manifest.reference_sha256 and manifest.quality_sha256
        if whole and segments == there.segments:
            return _result(settings, there, Change.UNCHANGED)
    segments = segments or ()
    check_segments(FRAUD_SCHEMA, segments)
    mapping = ColumnMapping(label="label", entity="customer")
    rows = _fraud_rows(HISTORY_EVENTS)
    return _train(settings, name, FRAUD_SCHEMA, mapping=mapping, rows=rows, segments=segments)


def make_live(settings: Settings, done: Bootstrapped, before: dict[str, int]) -> list[str]:
    """Create topics and tables, and wait for the stack's workers, if a stack runs.

    `before` is `worker_starts` from before the bootstrap: a changed pipeline is live when its
    workers were started anew. Returns the names of new topics.
    """
    from storage.client import connect
    from storage.migrate import migrate
    from stream_processors.topics import create_pipeline_topics, create_shared_topics

    kafka = settings.kafka
    topics = [*create_shared_topics(kafka), *create_pipeline_topics(kafka, done.pipeline.name)]
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
    names = {f"{stage}-{pipeline}" for stage in stages_of(settings)}
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
    rows: "_Rows",
    segments: tuple[str, ...],
) -> Bootstrapped:
    from storage.model_store import ModelStore
    from training.bootstrap import train_first_model

    directory = train_first_model(
        rows.features,
        rows.labels,
        schema,
        pipeline=name,
        seed=SEED,
        event_times=rows.facts.event_times,
        entity_keys=rows.facts.entities,
        segments=segments,
        season_hours=mapping.season_hours,
        calendar=mapping.calendar,
    )
    try:
        model = ModelStore(settings.store).put(directory)
    finally:
        shutil.rmtree(directory)
    pipeline = Pipeline(name=name, schema=schema, model=model, mapping=mapping, segments=segments)
    change = Change.CREATED
    if name in list_pipelines(settings.store):
        known = read_pipeline(settings.store, name)
        # A policy is somebody's decision, and no part of what bootstrap makes.
        pipeline = msgspec.structs.replace(pipeline, retraining=known.retraining)
        change = Change.UNCHANGED if known == pipeline else Change.UPDATED
    if change is not Change.UNCHANGED:
        write_pipeline(settings.store, pipeline)
    return _result(settings, pipeline, change)


def _result(settings: Settings, pipeline: Pipeline, change: Change) -> Bootstrapped:
    from storage.model_store import ModelStore

    manifest = read_manifest(ModelStore(settings.store).path(pipeline.model))
    return Bootstrapped(pipeline, change, manifest.version, manifest.training)


def _check_calendar(mapping: ColumnMapping, schema: "FeatureSchema", path: Path) -> None:
    unknown = [name for name in mapping.calendar if name not in schema.names]
    if unknown:
        raise ConfigurationError(
            f"{path} has no feature {unknown[0]!r} (--calendar); its features are"
            f" {', '.join(schema.names)}"
        )


def _refuse_other_features(there: Pipeline, schema: "FeatureSchema", path: Path | None) -> None:
    if there.schema.hash != schema.hash:
        what = f"the columns of {path}" if path else "the synthetic fraud stream"
        raise ConfigurationError(
            f"pipeline {there.name!r} exists with other features than {what}:"
            " choose another --name, or give --replace to change it (events already on its topics"
            " may then be dead-lettered)"
        )


def _fraud_rows(n: int) -> "_Rows":
    """The first `n` events of the synthetic stream."""
    import numpy as np

    from deploy.reference import RowFacts
    from producers.fraud import FraudStream

    blocks, n_rows = [], 0
    for block in FraudStream().blocks():
        blocks.append(block)
        n_rows += len(block)
        if n_rows >= n:
            break
    customers = np.concatenate([block.customer for block in blocks])[:n]
    return _Rows(
        np.concatenate([block.features for block in blocks])[:n].astype(np.float32),
        np.concatenate([block.label for block in blocks])[:n],
        RowFacts(
            np.concatenate([block.event_time_ms for block in blocks])[:n],
            [f"customer-{number}" for number in customers.tolist()],
        ),
    )
