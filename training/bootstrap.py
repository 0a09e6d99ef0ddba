"""The first model of a pipeline, from labelled rows."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigurationError
from schemas.features import FeatureSchema
from schemas.pipeline import NAME
from training.dataset import Floats, check_rows, split
from training.export import write_model
from training.fit import FitOptions, Progress, fit
from training.metrics import average_precision, best_f1_threshold, roc_auc
from training.quality import add_quality
from training.reference import add_reference


def train_first_model(
    features: Floats,
    labels: npt.NDArray[np.generic],
    schema: FeatureSchema,
    *,
    pipeline: str,
    seed: int,
    hidden: Sequence[int] = (64, 32),
    epochs: int = 60,
    progress: Progress | None = None,
    directory: Path | None = None,
    event_times: npt.NDArray[np.int64] | None = None,
    entity_keys: Sequence[str] | None = None,
    season_hours: int | None = None,
    calendar: Sequence[str] = (),
    segments: Sequence[str] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Path:
    """Train on float32[n, n_features] rows, oldest first, labelled 0 or 1; gives a model directory.

    The newest fifth is held out: it stops the training, calibrates the scores, and sets the
    threshold (highest F1). Its measures are in the manifest's `training`. The directory is a new
    temporary one unless given: store it, then delete it. The same seed and rows give the same
    ONNX file, quality at release (`training.quality`) and drift reference (`training.reference`),
    which `event_times` and `entity_keys`, one a row, `season_hours`, `calendar` and `segments`,
    features, are for. Other ones of the last three make another model: a stored one never gets
    another reference.

    Raises ConfigurationError for rows that cannot train a model, ModelError when the exported model
    fails a check.
    """
    if not NAME.fullmatch(pipeline):
        raise ConfigurationError(
            f"{pipeline!r} is no pipeline name: lower-case letters, digits, '-'"
        )
    known = check_rows(features, labels, schema)
    parts = split(known, seed)
    options = FitOptions(hidden=tuple(hidden), epochs=epochs)
    network = fit(features, known, parts, options, seed=seed, progress=progress)
    sample, truth = features[parts.held_out], known[parts.held_out]
    scores = network.score(sample)
    threshold, f1 = best_f1_threshold(truth, scores)
    training: dict[str, str | float | int] = {
        "n_rows": len(features),
        "n_positives": int(known.sum()),
        "n_held_out": len(sample),
        "held_out": "newest" if parts.held_out_is_newest else "random",
        "held_out_auc": round(roc_auc(truth, scores), 6),
        "held_out_average_precision": round(average_precision(truth, scores), 6),
        "held_out_f1": round(f1, 6),
        "seed": seed,
    }
    shape = {
        "segments": sorted(segments),
        "season_hours": season_hours,
        "calendar": sorted(calendar),
    }
    with _model_directory(directory) as made:
        write_model(
            made,
            network,
            schema=schema,
            pipeline=pipeline,
            threshold=threshold,
            sample=sample,
            training=training,
            now=now(),
            properties={name: json.dumps(value) for name, value in shape.items() if value},
        )
        add_quality(made, sample, truth, seed=seed)
        add_reference(
            made,
            features,
            seed=seed,
            event_times=event_times,
            entity_keys=entity_keys,
            season_hours=season_hours,
            calendar=calendar,
            segments=segments,
        )
    return made


@contextmanager
def _model_directory(given: Path | None) -> Iterator[Path]:
    """`given`, made where missing, or a new temporary directory that a failure removes again."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="thalweg-model-"))
    try:
        yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
