"""The multivariate test of windows: samples of each against samples of the reference."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drift.families import StatedRate
from drift.multivariate import MIN_ROWS, domain_classifier
from drift.result import Result
from drift.rows import Rows, ScanOptions
from drift.stream.baseline import autocorrelation_time

FIRST_PERMUTATIONS = 99
MAX_PERMUTATIONS = 50_000
MIN_BLOCKS = 40


@dataclass(frozen=True, slots=True, eq=False)
class SampleTest:
    """A domain classifier in two stages: few permutations show that nothing is to be seen, and
    only where all of them stay below the window are there enough for the stated rate.

    `reference` float64[n, f] are the rows, `block` the run of rows that hang together.
    """

    reference: NDArray[np.float64]
    block: int
    alpha: float

    @classmethod
    def fitting(
        cls, matrix: NDArray[np.float32], rows: Rows, options: ScanOptions, rate: StatedRate
    ) -> Self | None:
        """None where there is one feature, or windows are too short."""
        n_features = rows.matrix.shape[1]
        reference = matrix[: options.n_reference, :n_features].astype(np.float64)
        block = _block(reference)
        enough = min(options.n_reference, options.window_rows) >= max(MIN_ROWS, MIN_BLOCKS * block)
        if n_features < 2 or not enough or not _affordable(rate):
            return None
        return cls(reference, block, rate.q_per_family)

    @classmethod
    def of_sample(cls, sample: NDArray[np.float32], rate: StatedRate) -> Self | None:
        """Of rows drawn at random, float32[n, f], which do not hang together; None where there is
        one feature, or too few rows.
        """
        if sample.shape[1] < 2 or len(sample) < MIN_ROWS or not _affordable(rate):
            return None
        return cls(sample.astype(np.float64), 1, rate.q_per_family)

    def check(self, window: NDArray[np.float32], rng: np.random.Generator) -> Result | None:
        """The result where it is significant at the stated rate, else None."""
        current = window[:, : self.reference.shape[1]].astype(np.float64)
        first = self._classify(current, rng, 1 / (FIRST_PERMUTATIONS + 1), FIRST_PERMUTATIONS)
        if not first.exceeded:
            return None
        second = self._classify(current, rng, self.alpha, int(np.ceil(1 / self.alpha)))
        return second if second.exceeded else None

    def _classify(
        self, window: NDArray[np.float64], rng: np.random.Generator, alpha: float, n: int
    ) -> Result:
        return domain_classifier(
            self.reference, window, alpha=alpha, generator=rng, n_permutations=n, block=self.block
        )


def _affordable(rate: StatedRate) -> bool:
    return 1 / rate.q_per_family <= MAX_PERMUTATIONS


def _block(reference: NDArray[np.float64]) -> int:
    """Six times what the most dependent column takes to forget; 1 where rows look independent."""
    with np.errstate(invalid="ignore"):
        finite = [column[np.isfinite(column)] for column in reference.T]
    times = [autocorrelation_time(column) for column in finite if len(column) > 8]
    longest = max(times, default=1.0)
    return int(np.ceil(6 * longest)) if longest > 1.5 else 1
