"""When a batch cannot be scored: find the rows that are to blame, so that the others go on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inference.artifact import Floats
from schemas.errors import ModelError


@dataclass(frozen=True, slots=True)
class Unscorable:
    """A row that the model cannot score, and what it said."""

    row: int
    explanation: str


def score_apart(
    score: Callable[[Floats], Floats], features: Floats
) -> tuple[Floats, list[Unscorable]]:
    """Scores float32[n] of `features`, NaN in the rows that `score` raises ModelError for.

    Halves the batch until the rows to blame are alone: about 2 k log2(n) calls for k of them.
    """
    try:
        return score(features), []
    except ModelError as error:
        n = len(features)
        if n == 1:
            return np.full(1, np.nan, dtype=np.float32), [Unscorable(0, str(error))]
    left, left_bad = score_apart(score, features[: n // 2])
    right, right_bad = score_apart(score, features[n // 2 :])
    moved = [Unscorable(each.row + n // 2, each.explanation) for each in right_bad]
    return np.concatenate([left, right]), left_bad + moved
