"""The latest blocks of a window, and where they split best: the change point at an alarm."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from drift.stream.contract import State

N_KEPT = 256


@dataclass(frozen=True, slots=True)
class Split:
    """Blocks before and after the likeliest change, the move of the mean there, the variance."""

    n_before: int
    n_after: int
    difference: float
    variance: float


class History:
    """All blocks since the last reset: the last N_KEPT one by one, older ones as count and sums."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque()
        self._older = [0.0, 0.0, 0.0]

    def append(self, step: float) -> None:
        self._kept.append(step)
        if len(self._kept) > N_KEPT:
            oldest = self._kept.popleft()
            self._older[0] += 1
            self._older[1] += oldest
            self._older[2] += oldest * oldest

    def split(self) -> Split:
        """The split of largest likelihood for one change of the mean, among the blocks kept.

        Needs two blocks. A change older than they are is placed before the first of them.
        """
        kept = np.array(self._kept)
        n_older, total_older, squares_older = self._older
        n = n_older + len(kept)
        total = total_older + kept.sum()
        variance = (squares_older + (kept**2).sum()) / n - (total / n) ** 2
        before = n_older + np.arange(len(kept), dtype=np.float64)
        sums = total_older + np.cumsum(kept) - kept
        if n_older == 0:
            before, sums = before[1:], sums[1:]
        difference = (total - sums) / (n - before) - sums / before
        best = int(np.argmax(difference**2 * before * (n - before)))
        n_before = int(before[best])
        return Split(
            n_before, int(n) - n_before, float(difference[best]), max(0.0, float(variance))
        )

    def state_dict(self) -> State:
        return {"kept": list(self._kept), "older": list(self._older)}

    def load(self, state: State) -> None:
        self._kept = deque(float(step) for step in state["kept"])
        self._older = [float(value) for value in state["older"]]
