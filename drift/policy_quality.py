"""Quality of closed windows against quality at release: how much worse, since when, how sure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from drift.policy_state import QualityReading

LOWER_IS_BETTER = frozenset({"brier", "log_loss", "calibration_error"})


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """A measure in the window [start, end) of event time, with its standard error."""

    start_ms: int
    end_ms: int
    value: float
    standard_error: float


def read_quality(
    measure: str,
    windows: Sequence[MeasuredWindow],
    baseline: float,
    baseline_error: float,
) -> "QualityLoss | None":
    """The loss over the last windows, as many of them as make a change most likely.

    Windows are in order of time, independent and each about normal, and were at `baseline` before
    the change: then the most likely moment k of one lasting change for the worse maximises
    S_k^2 / W_k, with S_k the sum of loss / error^2 and W_k that of 1 / error^2 over the windows
    from k on (generalised likelihood ratio; Siegmund and Venkatraman, Annals of Statistics 1995).
    The loss is S_k / W_k, its variance 1 / W_k and that of the baseline. Where nothing points to
    the worse, it is over all windows, and not above 0. None where no window has an error above 0.
    """
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    known = [each for each in windows if each.standard_error > 0 and math.isfinite(each.value)]
    best: QualityLoss | None = None
    best_ratio = -math.inf
    weighted, weights = 0.0, 0.0
    for each in reversed(known):
        weight = 1.0 / each.standard_error**2
        weighted += weight * sign * (baseline - each.value)
        weights += weight
        # One that points to the better has no ratio; of those the longest stands.
        ratio = weighted**2 / weights if weighted > 0 else 0.0
        if ratio > best_ratio or best_ratio == ratio == 0.0:
            error = math.sqrt(1.0 / weights + baseline_error**2)
            best = QualityLoss(measure, weighted / weights, error, each.start_ms, each.end_ms)
            best_ratio = ratio
    return best


@dataclass(frozen=True, slots=True)
class QualityLoss:
    """Positive is worse; begun in the window [start, end) of event time."""

    measure: str
    loss: float
    standard_error: float
    start_ms: int
    end_ms: int

    def reading(
        self, model_version: str, *, realised: bool, event_time_ms: int, now_ms: int
    ) -> QualityReading:
        """As the policy takes it. It has been so for as long as the stream has run since the first
        window that shows it closed: what the clock says of that is not kept, and a replay of the
        stream tells the same.
        """
        return QualityReading(
            measure=self.measure,
            model_version=model_version,
            loss=self.loss,
            standard_error=self.standard_error,
            realised=realised,
            since_ms=now_ms - max(0, event_time_ms - self.end_ms),
            change_point_ms=self.start_ms,
        )
