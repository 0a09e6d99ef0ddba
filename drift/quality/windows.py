"""Quality of labelled windows by segment: every metric, and how much of the labels has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drift.quality.costs import Costs, cost_metrics
from drift.quality.estimate import Estimate
from drift.quality.metrics import decision_metrics, probability_metrics, ranking_metrics
from drift.quality.ranking import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Scored rows whose label has come: float64[n] of labels (0 or 1) and scores (0..1).

    `flagged` bool[n] is what was decided, `groups` int64[n] the window and segment of each row as a
    number from 0 (see `number_groups`), `amounts` float64[n] its money. One row an event: where a
    label was corrected, the latest. Raises ValueError where the arrays do not fit that.
    """

    labels: FloatArray
    scores: FloatArray
    flagged: npt.NDArray[np.bool_]
    groups: IntArray
    amounts: FloatArray | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.labels), len(self.scores), len(self.flagged), len(self.groups)}
        if self.amounts is not None:
            lengths.add(len(self.amounts))
        if len(lengths) > 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")
        if not np.isin(self.labels, (0, 1)).all():
            raise ValueError("labels are not all 0 or 1")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("scores are not all in 0..1")
        if len(self.groups) and int(self.groups.min()) < 0:
            raise ValueError("a group has a number below 0")


@dataclass(frozen=True, slots=True)
class Quality:
    """Metrics of one group by name, on the labels that have come so far.

    `maturity` is their share of the scored rows, 0..1: labels that come late are seldom a fair
    sample (fraud is reported, honesty is not), so a young window misleads.
    """

    n_scored: int
    n_labelled: int
    n_positive: int
    maturity: float
    metrics: Mapping[str, Estimate]


def measure_quality(
    rows: LabelledRows, *, n_scored: Sequence[int] | IntArray, costs: Costs | None = None
) -> list[Quality]:
    """Quality of each group; `n_scored[g]` rows of group g were scored, labelled or not.

    Raises ValueError where a row's group is beyond `n_scored` or a group has more labels than rows.
    """
    n_groups = len(n_scored)
    if len(rows.groups) and int(rows.groups.max()) >= n_groups:
        raise ValueError(f"a row is of group {int(rows.groups.max())}; there are {n_groups}")
    n_labelled = np.bincount(rows.groups, minlength=n_groups)
    if (n_labelled > np.asarray(n_scored)).any():
        raise ValueError("a group has more labelled than scored rows")
    labels = rows.labels.astype(np.float64)
    scores = rows.scores.astype(np.float64)
    flagged = rows.flagged.astype(np.float64)
    parts = [
        decision_metrics(labels, flagged, rows.groups, n_groups),
        ranking_metrics(labels, scores, rows.groups, n_groups),
        probability_metrics(labels, scores, rows.groups, n_groups),
    ]
    if costs is not None:
        amounts = rows.amounts
        parts.append(cost_metrics(costs, labels, flagged, rows.groups, n_groups, amounts=amounts))
    n_positive = np.bincount(rows.groups, weights=labels, minlength=n_groups)
    return [
        Quality(
            n_scored=int(n_scored[g]),
            n_labelled=int(n_labelled[g]),
            n_positive=int(n_positive[g]),
            maturity=int(n_labelled[g]) / int(n_scored[g]) if n_scored[g] else 0.0,
            metrics={name: value for part in parts for name, value in part[g].items()},
        )
        for g in range(n_groups)
    ]


def number_groups(*keys: npt.NDArray[np.generic]) -> tuple[list[tuple[object, ...]], IntArray]:
    """The distinct tuples of the keys' values, sorted, and the number of each row's, int64[n]."""
    if not keys:
        raise ValueError("no key to group by")
    codes = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        values, code = np.unique(key, return_inverse=True)
        codes = codes * len(values) + code
    _, first, groups = np.unique(codes, return_index=True, return_inverse=True)
    names = [tuple(key[i].item() for key in keys) for i in first]
    return names, groups.astype(np.int64)
