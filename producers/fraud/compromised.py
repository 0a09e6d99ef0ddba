"""Which customers and terminals are compromised when: as many at a time as there are on average.

Drawn at random, a few dozen are compromised at a time, 42 customers give or take 6 for two weeks:
frauds were 0.9% of one month's payments and 1.2% of the next, which is no drift but looks like one.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_GOLDEN = (5**0.5 - 1) / 2
"""Steps of this share of a circle fall evenly on it, however many there have been."""


@dataclass(frozen=True, slots=True)
class Luck:
    """Of every entity on every day, in [0, 1): whoever has less than a rate on a day is compromised
    from then on for `n_days`.

    About `rate` of the entities each day, at equal steps in their order by `payments`, float64[n],
    that each is expected to have; the next day's lie a golden step on. So the payments of those
    that are compromised hardly change. `start`, in [0, 1), is all that differs by seed.
    """

    start: float
    rate: float
    n_days: int
    payments: Floats

    def lowest(self, day: int) -> Floats:
        """float64[n]: the lowest of the `n_days` up to this one."""
        n = len(self.payments)
        order = np.empty(n)
        order[np.argsort(self.payments, kind="stable")] = np.arange(n) / n
        n_anew = max(1, round(self.rate * n))
        latest = np.arange(day - self.n_days + 1, day + 1)
        luck = self.start + n_anew * order + _GOLDEN * latest[:, None]
        return cast("Floats", (luck - np.floor(luck)).min(axis=0))
