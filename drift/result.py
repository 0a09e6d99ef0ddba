"""What every detector answers with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One detector's answer for one column and one window, or one point of a stream.

    `p_value` is in 0..1, under the detector's null at the actual sample sizes. A sequential
    detector has none of its own; there it is the bound its guarantee gives (1 / statistic for an
    e-process), or 1.0 where only `statistic >= threshold` decides. `threshold` is what `statistic`
    is held against at the detector's stated rate. `effect` is a size in the detector's own unit
    (PSI, KS distance, difference of rates, sigma), corrected for what chance alone gives.
    """

    detector: str
    statistic: float
    threshold: float
    p_value: float
    effect: float
    n_reference: int
    n_window: int

    @property
    def exceeded(self) -> bool:
        return self.statistic >= self.threshold
