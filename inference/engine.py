"""Models that serve: loaded only after every check, swapped atomically, one ONNX call per batch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.artifact import Artifact, Floats, read_artifact
from inference.isolate import Unscorable, score_apart
from inference.session import Provider, Session, check_scores
from schemas.errors import ModelError
from schemas.features import FeatureSchema
from schemas.model import ModelManifest

# From a lone event to a full batch, so that no event pays for an allocation or a first run.
_WARM_UP_ROWS = (1, 16, 256, 2048)


@dataclass(frozen=True, slots=True)
class Scored:
    """One batch's scores float32[n] in 0..1 and decisions bool[n], all of the version named."""

    scores: Floats
    decisions: npt.NDArray[np.bool_]
    model_version: str
    elapsed_us: int
    unscorable: Sequence[Unscorable] = ()
    """Rows without a score (NaN, decision false): the model failed on them and on nothing else."""


class LoadedModel:
    """A model that has passed every check; `load_model` makes it."""

    def __init__(self, artifact: Artifact, session: Session) -> None:
        self.manifest: ModelManifest = artifact.manifest
        self._artifact = artifact
        self._session = session

    @property
    def version(self) -> str:
        return self.manifest.version

    def score(self, features: Floats) -> Floats:
        """Scores float32[n] in 0..1 of float32[n, n_features], in one call; none for no rows.

        Raises ModelError when the model fails or a score is not finite or not in 0..1.
        """
        if not len(features):
            return np.empty(0, dtype=np.float32)
        scores = self._session.run(features)
        check_scores(scores)
        return scores

    def check_golden(self) -> None:
        """Raise ModelError unless the golden rows score as they did for the trainer, as a batch and
        one by one: a score must not depend on a row's company.
        """
        artifact, tolerance = self._artifact, self.manifest.golden_tolerance
        rows = artifact.golden_features
        alone = np.concatenate([self.score(rows[at : at + 1]) for at in range(len(rows))])
        for scores, how in ((self.score(rows), "as a batch"), (alone, "one by one")):
            difference = np.abs(scores - artifact.golden_scores)
            worst = int(difference.argmax())
            if not difference[worst] <= tolerance:
                raise ModelError(
                    f"golden row {worst} scored {how}: expected"
                    f" {artifact.golden_scores[worst]:.6f}, found {scores[worst]:.6f}, more than"
                    f" {tolerance:g} apart"
                )


class Engine:
    """Scores with the current champion; any number of threads may score while another swaps."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def model(self) -> LoadedModel:
        """The current champion."""
        return self._model

    def swap(self, model: LoadedModel) -> LoadedModel:
        """Make `model` the champion of every batch that starts from now on; returns the last."""
        before, self._model = self._model, model
        return before

    def score(self, features: Floats) -> Scored:
        """Score and decide one batch with one version.

        Rows that the model fails on are set aside. Raises ModelError when the model is to blame:
        it no longer scores its golden rows.
        """
        model = self._model  # read once: a swap meanwhile must not mix versions
        started = time.perf_counter_ns()
        unscorable: Sequence[Unscorable] = ()
        try:
            scores = model.score(features)
        except ModelError:
            model.check_golden()
            scores, unscorable = score_apart(model.score, features)
        return Scored(
            scores=scores,
            decisions=scores >= np.float32(model.manifest.threshold),
            model_version=model.version,
            elapsed_us=(time.perf_counter_ns() - started) // 1000,
            unscorable=unscorable,
        )


def load_model(
    directory: Path, *, provider: Provider = "cpu", expected_schema: FeatureSchema | None = None
) -> LoadedModel:
    """Load, verify, warm up and check a model directory.

    Raises ModelError, saying what was expected and what was found, on a missing or damaged file, a
    hash, schema or signature that differs, a provider that is not there, or golden rows that score
    otherwise than they did for the trainer.
    """
    artifact = read_artifact(directory, expected_schema=expected_schema)
    try:
        session = Session(artifact.onnx, artifact.manifest, provider=provider)
        model = LoadedModel(artifact, session)
        _warm_up(model, artifact.golden_features)
        model.check_golden()
    except ModelError as error:
        raise ModelError(f"{directory}: {error}") from error
    return model


def _warm_up(model: LoadedModel, golden: Floats) -> None:
    for n_rows in _WARM_UP_ROWS:
        model.score(np.resize(golden, (n_rows, golden.shape[1])))
