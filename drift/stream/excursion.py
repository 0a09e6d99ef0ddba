"""The cumulative sum that CUSUM and Page-Hinkley have in common, up and, where wanted, down."""

from dataclasses import dataclass
from typing import Literal

from drift.stream.contract import State

Direction = Literal["up", "both"]


@dataclass(frozen=True, slots=True)
class Peak:
    """A sum that reached the threshold: the side (1 up, -1 down), its height, and since how long.

    `n_blocks` counts from the last time the sum was 0, which is CUSUM's estimate of the change.
    """

    side: int
    height: float
    n_blocks: int


class Excursion:
    """S = max(0, S + z - allowance) for each side watched, until one reaches `threshold`."""

    def __init__(self, *, allowance: float, threshold: float, direction: Direction) -> None:
        if direction not in ("up", "both"):
            raise ValueError(f"no direction {direction!r}: there are up, both")
        self.allowance = allowance
        self.threshold = threshold
        self.direction: Direction = direction
        self.reset()

    def reset(self) -> None:
        self._height = [0.0, 0.0]
        self._n_blocks = [0, 0]

    def add(self, z: float) -> Peak | None:
        """One step; the peak where a side reached the threshold, after which both start at 0."""
        for which, side in ((0, 1),) if self.direction == "up" else ((0, 1), (1, -1)):
            height = self._height[which] + side * z - self.allowance
            if height <= 0:
                self._height[which], self._n_blocks[which] = 0.0, 0
                continue
            self._height[which] = height
            self._n_blocks[which] += 1
            if height >= self.threshold:
                peak = Peak(side, height, self._n_blocks[which])
                self.reset()
                return peak
        return None

    def rise(self, peak: Peak) -> float:
        """Mean of z over the peak's blocks, signed: how far the level moved, in block deviations.

        Too large on average by what it takes to be noticed, as every estimate made at an alarm.
        """
        return peak.side * (peak.height / peak.n_blocks + self.allowance)

    def state_dict(self) -> State:
        return {"height": list(self._height), "n_blocks": list(self._n_blocks)}

    def load(self, state: State) -> None:
        self._height = [float(height) for height in state["height"]]
        self._n_blocks = [int(count) for count in state["n_blocks"]]
