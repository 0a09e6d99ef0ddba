"""How good a model was when it was released: `quality.json` beside it, measured on held-out rows.

It is what live quality is held against, and holds the calibration that estimates quality where
labels have not come yet. Fields are only ever added, last and with a default.
"""

import math
from itertools import pairwise
from typing import TypeAlias

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """One measure and its standard error; None where the rows had no answer (no flagged row)."""

    value: float | None
    standard_error: float | None


class ErrorLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How errors (decision is not label), or positives, ran: what a CUSUM is held against.

    `rate` is the mean per row, `block_std` and `skewness` are of the sums of `block` rows in order,
    measured on `n_rows` (`drift.stream.baseline.Baseline`).
    """

    rate: float
    block: int
    block_std: float
    skewness: float
    n_rows: int


class IdentityCalibration(msgspec.Struct, frozen=True, tag_field="kind", tag="identity"):
    """`drift.quality.calibration.Identity`: scores are probabilities already.

    `covariance` is 0 in files from before it was stored: their scores are taken for certain.
    """

    covariance: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class PlattCalibration(msgspec.Struct, frozen=True, tag_field="kind", tag="platt"):
    """`drift.quality.calibration.Platt`: p = sigmoid(slope * logit(score) + offset)."""

    slope: float
    offset: float
    covariance: tuple[float, float, float, float]


class IsotonicCalibration(msgspec.Struct, frozen=True, tag_field="kind", tag="isotonic"):
    """`drift.quality.calibration.Isotonic`: rising steps, three parallel sequences.

    Raises ValueError for sequences that are none.
    """

    starts: tuple[float, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        _check(
            len(self.starts) == len(self.values) == len(self.weights) > 0,
            "an isotonic calibration has as many starts as values and weights, and at least one",
        )
        _check(_rises(self.starts) and _rises(self.values), "isotonic steps do not rise")
        _check(all(0 < each < 1 for each in self.values), "an isotonic value is not in 0..1")
        _check(min(self.weights) > 0, "an isotonic step has no rows")


Calibration: TypeAlias = IdentityCalibration | PlattCalibration | IsotonicCalibration


class QualityBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """What a model did on the rows that training held out, decided at `threshold`.

    `errors` and `positives` tell how both ran through the rows: fraud comes in runs.
    `measures` are by the names of `drift.quality.metrics.METRICS`. `calibration` is None where the
    rows have too few of a class to calibrate on: then there is no estimate without labels. These
    rows also stopped the training, set the threshold and calibrated the network, so that the
    measures are a little flattering.

    Raises ValueError for counts that do not fit each other.
    """

    threshold: float
    n_rows: int
    n_positive: int
    errors: ErrorLevel
    measures: dict[str, Measured]
    calibration: Calibration | None = None
    n_flagged: int = 0
    positives: ErrorLevel | None = None

    def __post_init__(self) -> None:
        _check(0 <= self.n_positive <= self.n_rows, "n_positive is not in 0..n_rows")
        _check(self.n_rows >= 1, "a baseline has at least one row")
        _check(0 <= self.n_flagged <= self.n_rows, "n_flagged is not in 0..n_rows")
        for level in (self.errors, self.positives or self.errors):
            _check(0 < level.rate < 1, "a rate is not between 0 and 1")
            _check(level.block >= 1 and level.block_std > 0, "a block has no spread")

    @property
    def dispersion(self) -> float:
        """How many rows say as much about errors as one independent row would, at least 1."""
        return _dispersion(self.errors)

    @property
    def label_dispersion(self) -> float:
        """... about the rate of positives."""
        return 1.0 if self.positives is None else _dispersion(self.positives)

    @property
    def label_rate(self) -> float:
        """Share of positives, 0..1."""
        return self.n_positive / self.n_rows


def encode_quality(baseline: QualityBaseline) -> bytes:
    """The contents of `quality.json`; the same baseline gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(baseline, order="deterministic"))


def decode_quality(data: bytes) -> QualityBaseline:
    """Of `encode_quality`; raises ValueError that says what is wrong with anything else."""
    try:
        baseline: QualityBaseline = msgspec.json.decode(data, type=QualityBaseline)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not the quality of a model: {error}") from error
    return baseline


def _dispersion(level: ErrorLevel) -> float:
    return max(1.0, level.block_std**2 / (level.block * level.rate * (1 - level.rate)))


def _rises(values: tuple[float, ...]) -> bool:
    return all(map(math.isfinite, values)) and all(a <= b for a, b in pairwise(values))


def _check(holds: bool, explanation: str) -> None:
    if not holds:
        raise ValueError(explanation)
