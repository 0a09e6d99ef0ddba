"""What wrong decisions cost: a missed fraud and a false alarm are seldom worth the same."""

from dataclasses import dataclass

import numpy as np

from drift.quality.estimate import Estimate
from drift.quality.metrics import mean_estimates
from drift.quality.ranking import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Costs:
    """In one unit of money: of a positive that was not flagged, and of a flag on a negative.

    A missed one costs `missed` plus `missed_share` of its amount where rows have amounts (1.0: the
    money is gone); a false alarm costs `false_alarm` (the review, the annoyed customer).
    """

    missed: float = 1.0
    false_alarm: float = 1.0
    missed_share: float = 0.0

    def __post_init__(self) -> None:
        if min(self.missed, self.false_alarm, self.missed_share) < 0:
            raise ValueError(f"a cost is not below 0: {self}")

    def of_rows(
        self, labels: FloatArray, flagged: FloatArray, amounts: FloatArray | None
    ) -> FloatArray:
        """Cost of each row, float64[n]. ValueError where amounts count and there are none."""
        if self.missed_share > 0 and amounts is None:
            raise ValueError("missed_share counts amounts, and the rows have none")
        missed = self.missed + self.missed_share * (0.0 if amounts is None else amounts)
        cost = labels * (1 - flagged) * missed + (1 - labels) * flagged * self.false_alarm
        return np.asarray(cost, dtype=np.float64)


def cost_metrics(
    costs: Costs,
    labels: FloatArray,
    flagged: FloatArray,
    groups: IntArray,
    n_groups: int,
    *,
    amounts: FloatArray | None = None,
) -> list[dict[str, Estimate]]:
    """Cost per row of each group as decided, and had nothing been flagged (what it saves)."""
    decided = costs.of_rows(labels, flagged, amounts)
    let_through = costs.of_rows(labels, np.zeros_like(flagged), amounts)
    per_row = mean_estimates(decided, groups, n_groups)
    without = mean_estimates(let_through, groups, n_groups)
    return [
        {"cost_per_row": per_row[g], "cost_per_row_unflagged": without[g]} for g in range(n_groups)
    ]
