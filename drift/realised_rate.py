"""The stated rate of false notices against the realised one."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Calibration:
    """`n_noticed` of `n_windows` windows of a stable stretch had a notice; `low` and `high` bound
    the mean number of windows between them at 95%, `high` is infinite without any."""

    n_windows: int
    n_noticed: int
    stated: float
    low: float
    high: float
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the windows leave room for the stated rate."""
        return self.high >= self.stated

    @property
    def sentence(self) -> str:
        between = (
            f"{self.low:,.0f} windows or more"
            if self.high == math.inf
            else (f"{self.low:,.0f} to {self.high:,.0f} windows")
        )
        verdict = "which agrees" if self.kept else "which is more often than stated"
        return (
            f"{self.n_noticed} of {self.n_windows:,} windows had a notice; stated is one in"
            f" {self.stated:,.0f}, realised one in {between} (95%), {verdict}"
        )


def calibration(
    n_windows: int, n_noticed: int, stated: float, warnings: tuple[str, ...] = ()
) -> Calibration:
    """With the exact bounds of a Poisson count (Garwood, 1936)."""
    from scipy.stats import chi2

    most = float(chi2.ppf(0.975, 2 * n_noticed + 2)) / 2
    least = float(chi2.ppf(0.025, 2 * n_noticed)) / 2 if n_noticed else 0.0
    high = n_windows / least if least else math.inf
    return Calibration(n_windows, n_noticed, stated, n_windows / most, high, warnings)
