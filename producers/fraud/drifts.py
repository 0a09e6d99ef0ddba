"""Drift that is switched on at a known event number, to see whether and when it is noticed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from producers.fraud.schema import FRAUD_SCHEMA
from schemas.errors import ConfigurationError


class DriftKind(StrEnum):
    """What changes, and what `strength` means for it.

    covariate: that share of the transactions is made by the top-spending fifth of the customers
    instead, so the inputs move while fraud stays what it was.
    prior: frauds become `1 + strength` times as frequent.
    concept: that share of the frauds is done by new tactics (small amounts, no multiplied ones).
    broken_feature: that share of the events carries 0 in one feature.
    """

    COVARIATE = "covariate"
    PRIOR = "prior"
    CONCEPT = "concept"
    BROKEN_FEATURE = "broken_feature"


@dataclass(frozen=True, slots=True)
class Drift:
    """`kind` of drift from event number `at_event` (the first is 0) on, for good."""

    kind: DriftKind
    at_event: int
    strength: float = 1.0
    feature: str = "distance_km"
    """Which feature breaks; only for broken_feature."""

    def __post_init__(self) -> None:
        if self.kind not in list(DriftKind):
            raise ConfigurationError(f"drift {self.kind!r}: choose one of {', '.join(DriftKind)}")
        highest = 100.0 if self.kind == DriftKind.PRIOR else 1.0
        if self.at_event < 0 or not 0 < self.strength <= highest:
            raise ConfigurationError(
                f"drift {self.kind}: at_event is 0 or more,"
                f" strength is above 0 and at most {highest:g}"
            )
        if self.feature not in FRAUD_SCHEMA.names:
            raise ConfigurationError(
                f"drift of feature {self.feature!r}: choose one of {', '.join(FRAUD_SCHEMA.names)}"
            )


def strength_of(
    drifts: Sequence[Drift], kind: DriftKind, index: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """float64[n]: how strong this kind of drift is at each event number; drifts add up."""
    total = np.zeros(len(index))
    for drift in drifts:
        if drift.kind == kind:
            total += np.where(index >= drift.at_event, drift.strength, 0.0)
    return total
