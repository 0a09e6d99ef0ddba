"""The multivariate test of windows: samples of each against samples of the reference."""

import hashlib
from collections.abc import Collection
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

    `reference` float64[n, f] are the rows of the features `columns` int64[f], `block` the run of
    rows that hang together.
    """

    reference: NDArray[np.float64]
    columns: NDArray[np.int64]
    block: int
    alpha: float

    @classmethod
    def fitting(
        cls,
        matrix: NDArray[np.float32],
        rows: Rows,
        options: ScanOptions,
        rate: StatedRate,
        *,
        without: Collection[int] = (),
    ) -> Self | None:
        """None where there is one feature, or windows are too short. `without`: columns that go by
        the clock, by which rows of another hour would be told from the reference's."""
        columns = _others(rows.matrix.shape[1], without)
        if len(columns) < 2:
            return None
        reference = matrix[: options.n_reference, columns].astype(np.float64)
        block = _block(reference)
        enough = min(options.n_reference, options.window_rows) >= max(MIN_ROWS, MIN_BLOCKS * block)
        if not enough or not _affordable(rate):
            return None
        return cls(reference, columns, block, rate.q_per_family)

    @classmethod
    def of_sample(
        cls, sample: NDArray[np.float32], rate: StatedRate, *, without: Collection[int] = ()
    ) -> Self | None:
        """Of rows drawn at random, float32[n, f], which do not hang together; None where there is
        one feature, or too few rows. `without` as in `fitting`.
        """
        columns = _others(sample.shape[1], without)
        if len(columns) < 2 or len(sample) < MIN_ROWS or not _affordable(rate):
            return None
        return cls(sample[:, columns].astype(np.float64), columns, 1, rate.q_per_family)

    def check(self, window: NDArray[np.float32], rng: np.random.Generator) -> Result | None:
        """The result where it is significant at the stated rate, else None."""
        current = window[:, self.columns].astype(np.float64)
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


def window_generator(seed: int, start_ms: int) -> np.random.Generator:
    """The same for a window on every replay."""
    digest = hashlib.sha256(f"{seed} {start_ms}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _others(n_features: int, without: Collection[int]) -> NDArray[np.int64]:
    return np.array([i for i in range(n_features) if i not in without], dtype=np.int64)


def _affordable(rate: StatedRate) -> bool:
    return 1 / rate.q_per_family <= MAX_PERMUTATIONS


def _block(reference: NDArray[np.float64]) -> int:
    """Six times what the most dependent column takes to forget; 1 where rows look independent."""
    with np.errstate(invalid="ignore"):
        finite = [column[np.isfinite(column)] for column in reference.T]
    times = [autocorrelation_time(column) for column in finite if len(column) > 8]
    longest = max(times, default=1.0)
    return int(np.ceil(6 * longest)) if longest > 1.5 else 1
