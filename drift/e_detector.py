"""e-SR: small shifts that last, added up over windows; the time between false alarms is bounded."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from drift.result import Result

Floats = npt.NDArray[np.float64]

BETS = (0.1, 0.25, 0.5, 0.75)
"""The powers k of the calibrators k p^(k-1); each has mean 1 for a uniform p-value."""

MIN_P_VALUE = 1e-30
"""A p-value of 0 would never be forgotten."""

MIN_REFERENCE_WINDOWS = 10.0
"""With a reference of one window the sampling error of the reference, which every window meets
again, raised 42 false alarms in 1,000 windows."""


class ReferenceTooShortError(ValueError):
    """The reference holds too few windows for a detector that adds up evidence over windows."""


@dataclass(slots=True)
class EDetector:
    """Shiryaev-Roberts e-detector over the p-values of closed windows; restarts after an alarm.

    Every column and bet k keeps M = (M + 1) k p^(k-1); the detector is their mean, and alarms when
    it reaches `arl0`, so that the mean number of windows to a false alarm is at least `arl0`
    however the columns depend on each other, if each p-value is uniform or larger given the past
    (Shin, Ramdas, Rinaldo, "E-detectors", 2024, definition 2.2 and proposition 2.4; a mean of
    e-detectors is one). Keeping M per column, where a mean of the columns' e-values would do, lets
    one column of thirty be seen. The state is four numbers a column: `as_dict`, `from_dict`.
    """

    arl0: float
    n_columns: int
    reference_windows: float
    n_windows: int = 0
    """Windows seen since the start or the last alarm."""
    evidence: Floats = field(default_factory=lambda: np.zeros((0, len(BETS))))
    """M by column and bet, float64[n_columns, 4]."""

    def __post_init__(self) -> None:
        if not self.arl0 > 1:
            raise ValueError("arl0 must be more than one window")
        if self.n_columns < 1:
            raise ValueError("an e-detector needs at least one column")
        if self.reference_windows < MIN_REFERENCE_WINDOWS:
            raise ReferenceTooShortError(
                f"the reference holds {self.reference_windows:.3g} windows; evidence adds up over"
                f" windows only against {MIN_REFERENCE_WINDOWS:.0f} or more"
            )
        if not self.evidence.size:
            self.evidence = np.zeros((self.n_columns, len(BETS)))
        if self.evidence.shape != (self.n_columns, len(BETS)):
            raise ValueError("evidence must be float64[n_columns, 4]")

    def update(
        self, p_values: Floats, *, n_reference: int = 0, n_window: int = 0, effect: float = 0.0
    ) -> Result:
        """Take one closed window's p-values float64[n_columns]; NaN, no test, adds no evidence.

        The result's `statistic` is M and its `threshold` ARL0; it has no p-value of its own (1.0).
        `evidence` still holds an alarm's evidence when this returns, for `ranked`: the next update
        starts anew.
        """
        p = np.asarray(p_values, dtype=np.float64)
        if p.shape != (self.n_columns,):
            raise ValueError(f"{self.n_columns} p-values are expected, got shape {p.shape}")
        if self.statistic >= self.arl0:
            self.evidence = np.zeros_like(self.evidence)
            self.n_windows = 0
        k = np.array(BETS)
        e = k * np.clip(p, MIN_P_VALUE, 1.0)[:, None] ** (k - 1.0)
        self.evidence = (self.evidence + 1.0) * np.where(np.isnan(p)[:, None], 1.0, e)
        self.n_windows += 1
        return Result("e_sr", self.statistic, self.arl0, 1.0, effect, n_reference, n_window)

    @property
    def statistic(self) -> float:
        return float(self.evidence.mean())

    def ranked(self) -> npt.NDArray[np.int64]:
        """Columns by their share of the evidence, the most first, int64[n_columns]."""
        return np.argsort(-self.evidence.mean(axis=1), kind="stable")

    def as_dict(self) -> dict[str, Any]:
        """The whole state in plain numbers and lists, for a store."""
        return {
            "arl0": self.arl0,
            "n_columns": self.n_columns,
            "reference_windows": self.reference_windows,
            "n_windows": self.n_windows,
            "evidence": self.evidence.tolist(),
        }

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Self:
        """What `as_dict` gave; ValueError or TypeError when it is not that."""
        return cls(**{**state, "evidence": np.asarray(state["evidence"], dtype=np.float64)})


def start(arl0: float, n_columns: int, reference_windows: float) -> EDetector | None:
    """A new e-detector; None where the reference is too short for one."""
    try:
        return EDetector(arl0, n_columns, reference_windows)
    except ReferenceTooShortError:
        return None
