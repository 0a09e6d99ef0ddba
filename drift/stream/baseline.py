"""What a stream's blocks look like while nothing drifts: measured on the reference rows."""

import math
from dataclasses import dataclass

import numpy as np

from drift.stream.contract import FloatArray

BLOCK_SIZES = (32, 64, 128, 256, 512, 1024)
MIN_BLOCKS = 20
MAX_SKEWNESS = 1.5
CLIP = 10.0  # standard deviations: one absurd row is an alarm at most, and no more than one


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean per row, and standard deviation and skewness of the sums of `block` rows.

    `block_std` is measured on the sums themselves: where rows are dependent it is larger than
    sqrt(block) times the rows' own, and the sums are what the detectors decide on. `n_rows` is
    the rows it was measured on. A column that is constant in the reference has a `block_std` of
    next to nothing, so that any move of it is CLIP standard deviations.
    """

    block: int
    mean: float
    block_std: float
    skewness: float
    n_rows: int

    @classmethod
    def measure(cls, values: FloatArray, *, block: int | None = None) -> "Baseline":
        """Of reference rows float64[n] in stream order; `block` None is `choose_block`.

        Raises ValueError under two blocks or where a value is not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        size = choose_block(values) if block is None else block
        sums = _block_sums(values, size)
        if len(sums) < 2 or not np.isfinite(sums).all():
            raise ValueError(f"{len(values)} rows make no baseline of finite blocks of {size}")
        mean = float(values.mean())
        rounding = max(1e-9 * abs(mean) * size, 1e-300)
        std = float(sums.std(ddof=1))
        if std <= rounding:
            return cls(size, mean, rounding, 0.0, len(values))
        return cls(size, mean, std, _skewness(sums), len(values))

    @classmethod
    def of_rate(cls, rate: float, *, block: int, n_rows: int) -> "Baseline":
        """Of independent rows that are 1 at `rate` and else 0 (errors, labels), by the binomial."""
        if not 0 < rate < 1:
            raise ValueError(f"a rate lies between 0 and 1, not {rate}")
        variance = block * rate * (1 - rate)
        return cls(block, rate, math.sqrt(variance), (1 - 2 * rate) / math.sqrt(variance), n_rows)

    @property
    def row_std(self) -> float:
        """Standard deviation of a row that, independent, would give blocks of `block_std`."""
        return self.block_std / math.sqrt(self.block)

    def standardised(self, sums: FloatArray) -> FloatArray:
        """Block sums float64[k] in standard deviations from the mean, clipped to -CLIP..CLIP."""
        with np.errstate(over="ignore"):
            distance = (sums - self.block * self.mean) / self.block_std
        return np.clip(distance, -CLIP, CLIP)


def choose_block(values: FloatArray) -> int:
    """The smallest of BLOCK_SIZES that the dependence and skewness of float64[n] allow.

    6 times the autocorrelation time leaves neighbouring sums a correlation of about 0.05 (AR(1)
    0.9: time 19, blocks of 128, correlation 0.04). Sums of errors so rare that a block has 0.2 of
    them (skewness 2.5) raise 10 times ADWIN's stated false alarms, of 0.7 (1.2) the stated ones.
    A size that leaves under MIN_BLOCKS sums is not taken: a short reference of strongly dependent
    or rare rows gets blocks that are too short for them.
    """
    wanted = 6 * autocorrelation_time(values)
    affordable = [size for size in BLOCK_SIZES if len(values) >= MIN_BLOCKS * size]
    for size in affordable:
        if size >= wanted and abs(_skewness(_block_sums(values, size))) <= MAX_SKEWNESS:
            return size
    return affordable[-1] if affordable else BLOCK_SIZES[0]


def autocorrelation_time(values: FloatArray) -> float:
    """1 + 2 (r_1 + r_2 + ...) of float64[n], up to the first r_k that chance alone would give.

    The variance of a long block's sum over that of as many independent rows. At least 1.
    """
    centred = np.asarray(values, dtype=np.float64) - np.mean(values)
    total = float(centred @ centred)
    if total == 0:
        return 1.0
    time, noise = 1.0, 1.64 / math.sqrt(len(centred))
    for lag in range(1, min(len(centred) // 4, BLOCK_SIZES[-1])):
        correlation = float(centred[lag:] @ centred[:-lag]) / total
        if correlation < noise:
            break
        time += 2 * correlation
    return time


def _block_sums(values: FloatArray, size: int) -> FloatArray:
    n_blocks = len(values) // size
    sums: FloatArray = values[: n_blocks * size].reshape(n_blocks, size).sum(axis=1)
    return sums


def _skewness(sums: FloatArray) -> float:
    centred = sums - sums.mean()
    deviation = float(sums.std())
    return float((centred**3).mean()) / deviation**3 if deviation > 0 else 0.0
