"""Page-Hinkley: CUSUM against the stream's own running level, for where no reference is at hand."""

import math
from dataclasses import asdict

from drift.result import Result
from drift.stream.baseline import CLIP, Baseline
from drift.stream.contract import Alarm, Blocks, FloatArray, State, check_same
from drift.stream.cusum import two_sided_threshold
from drift.stream.excursion import Direction, Excursion, Peak

LEARNING_BLOCKS = 20


class PageHinkley:
    """Alarms when block sums stay above (or below) the mean of all blocks since the last alarm.

    Page (1954), Hinkley (1971), in Hawkins' self-starting form (1987, The Statistician 36): each
    block is held against the mean and deviation of the blocks before it, and that t-distributed
    ratio is made normal, so that independent normal blocks give a CUSUM of known steps from the
    first decision on, and `arl0_rows` is kept without a reference. Of `baseline` only the block
    size, the skewness and, as a floor of half of it, the deviation are used. The first
    LEARNING_BLOCKS after a start or an alarm are learnt, not judged. What it does not see soon it
    learns: a shift that is missed becomes the level.

    `effect` is the mean move per row in the column's unit, `n_window` the rows of the excursion,
    `n_reference` the rows that the level was learnt on before.
    """

    name = "page_hinkley"

    def __init__(
        self,
        baseline: Baseline,
        *,
        arl0_rows: float,
        shift: float = 0.15,
        direction: Direction = "up",
    ) -> None:
        allowance = shift * math.sqrt(baseline.block) / 2
        self.baseline = baseline
        self._excursion = Excursion(
            allowance=allowance,
            threshold=two_sided_threshold(arl0_rows, baseline, allowance, direction),
            direction=direction,
        )
        self._blocks = Blocks(baseline.block)
        self._built = {
            "baseline": asdict(baseline),
            "arl0_rows": arl0_rows,
            "shift": shift,
            "direction": direction,
        }
        self._forget()

    def update(self, values: FloatArray) -> list[Alarm]:
        sums, first = self._blocks.add(values)
        alarms = []
        for i, block_sum in enumerate(sums.tolist()):
            deviation = self._deviation()
            z = self._surprise(block_sum, deviation)
            self._learn(block_sum)
            if self._n <= LEARNING_BLOCKS:
                continue
            peak = self._excursion.add(z)
            if peak is not None:
                result = self._result(peak, deviation)
                alarms.append(Alarm(first + i * self._blocks.size, result))
                self._forget()
        return alarms

    def state_dict(self) -> State:
        return {
            "detector": self.name,
            "built": self._built,
            "rest": self._blocks.rest,
            "excursion": self._excursion.state_dict(),
            "level": [self._n, self._mean, self._squares],
        }

    def load(self, state: State) -> None:
        check_same(self, self._built, state)
        self._blocks.rest = state["rest"]
        self._excursion.load(state["excursion"])
        n, mean, squares = state["level"]
        self._n, self._mean, self._squares = int(n), float(mean), float(squares)

    def _forget(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0

    def _learn(self, block_sum: float) -> None:
        self._n += 1
        distance = block_sum - self._mean
        self._mean += distance / self._n
        self._squares += distance * (block_sum - self._mean)

    def _deviation(self) -> float:
        learnt = math.sqrt(self._squares / (self._n - 1)) if self._n > 1 else 0.0
        return max(learnt, self.baseline.block_std / 2)

    def _surprise(self, block_sum: float, deviation: float) -> float:
        """The block as a standard normal value, given the blocks before it; clipped to CLIP."""
        if self._n < LEARNING_BLOCKS:
            return 0.0
        df = self._n - 1
        t = (block_sum - self._mean) / (deviation * math.sqrt(1 + 1 / self._n))
        # Wallace (1959), Annals of Mathematical Statistics 30: t to normal, within 0.005 here
        squeeze = (8 * df + 1) / (8 * df + 3)
        z = math.copysign(squeeze * math.sqrt(df * math.log1p(t * t / df)), t)
        return max(-CLIP, min(CLIP, z))

    def _result(self, peak: Peak, deviation: float) -> Result:
        block = self.baseline.block
        return Result(
            detector=self.name,
            statistic=peak.height,
            threshold=self._excursion.threshold,
            p_value=1.0,
            effect=self._excursion.rise(peak) * deviation / block,
            n_reference=(self._n - peak.n_blocks) * block,
            n_window=peak.n_blocks * block,
        )
