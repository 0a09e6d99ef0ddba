"""ADWIN (Bifet and Gavalda 2007, river's) on block sums, with delta from a stated ARL0."""

import base64
import math
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from drift.result import Result
from drift.stream.baseline import Baseline
from drift.stream.contract import Alarm, Blocks, FloatArray, State, check_same
from drift.stream.history import History

# river's bound has a constant term, 2/(3m) ln(2/delta'), made for values in 0..1: it drowns batch
# means, whose variance is small, and is nothing beside sums of 32 standardised rows. Blocks of any
# size are fed at the scale of those, so that one table of delta serves them all.
SCALE = math.sqrt(32)

# False alarms per million blocks of independent normal rows at each delta, over 1 to 143 million
FALSE_ALARMS = (
    (1e-4, 0.36),
    (3e-4, 1.76),
    (1e-3, 7.0),
    (3e-3, 31.5),
    (1e-2, 123.0),
    (3e-2, 489.0),
    (0.1, 2_384.0),
    (0.3, 10_701.0),
    (0.5, 25_330.0),
)


class Adwin:
    """Alarms when two stretches of the kept window have different means, whatever came before.

    It needs no level to compare with: the baseline scales the sums and takes their skewness out
    (Wilson and Hilferty's cube root), without which the rare errors of a good model raise 15 times
    the false alarms of normal sums. `arl0_rows` is the mean number of rows between false alarms;
    unless it is given, delta is read off the table of their rates in simulation, because the
    guarantee's own delta is no rate.

    At an alarm river still keeps hundreds of blocks from before the change, and then forgets
    all; so the change is placed by the likeliest split of the latest blocks. `n_reference` and
    `n_window` are the rows before and after it since the last alarm, `effect` the difference of
    their means in the column's unit (by way of the cube root: approximate where sums are skewed),
    `statistic` its size over ADWIN's bound for two stretches so long, 1 at least.
    """

    name = "adwin"

    def __init__(self, baseline: Baseline, *, arl0_rows: float, delta: float | None = None) -> None:
        self.baseline = baseline
        self.delta = adwin_delta(arl0_rows / baseline.block) if delta is None else delta
        self._blocks = Blocks(baseline.block)
        self._built = {
            "baseline": asdict(baseline),
            "arl0_rows": arl0_rows,
            "delta": delta,
            "river": version("river"),  # the window is kept in river's own form
        }
        self._start()

    def update(self, values: FloatArray) -> list[Alarm]:
        sums, first = self._blocks.add(values)
        steps = symmetric(self.baseline.standardised(sums), self.baseline.skewness) * SCALE
        alarms = []
        for i, step in enumerate(steps.tolist()):
            self._history.append(step)
            self._adwin.update(step)
            if self._adwin.drift_detected:
                alarms.append(Alarm(first + i * self._blocks.size, self._result()))
                self._start()
        return alarms

    def state_dict(self) -> State:
        window = base64.b64encode(self._adwin._helper.__getstate__()).decode()
        return {
            "detector": self.name,
            "built": self._built,
            "rest": self._blocks.rest,
            "window": window,
            "history": self._history.state_dict(),
        }

    def load(self, state: State) -> None:
        check_same(self, self._built, state)
        self._blocks.rest = state["rest"]
        self._start()
        self._adwin._helper.__setstate__(base64.b64decode(state["window"]))
        self._history.load(state["history"])

    def _start(self) -> None:
        from river.drift import ADWIN

        self._history = History()
        self._adwin: Any = ADWIN(
            delta=self.delta, clock=1, max_buckets=5, min_window_length=1, grace_period=4
        )

    def _result(self) -> Result:
        split = self._history.split()
        bound = adwin_bound(split.n_before, split.n_after, split.variance, self.delta)
        per_row = self.baseline.block_std / self.baseline.block
        return Result(
            detector=self.name,
            statistic=max(1.0, abs(split.difference) / bound),
            threshold=1.0,
            p_value=1.0,
            effect=split.difference / SCALE * per_row,
            n_reference=split.n_before * self.baseline.block,
            n_window=split.n_after * self.baseline.block,
        )


def adwin_delta(arl0: float) -> float:
    """The delta at which ADWIN, asked at every block, raises a false alarm every `arl0` blocks.

    By FALSE_ALARMS, straight between and beyond its points in logarithms. `arl0` is at least 50
    blocks: below, alarms come as quickly as a window that can be split.
    """
    if not arl0 >= 50:
        raise ValueError(f"no delta for an ARL0 of {arl0} blocks: it is 50 at least")
    delta, rate = np.log(np.array(FALSE_ALARMS)).T
    wanted = math.log(1e6 / arl0)
    if wanted < rate[0]:
        slope = (delta[1] - delta[0]) / (rate[1] - rate[0])
        return float(math.exp(delta[0] + slope * (wanted - rate[0])))
    return float(np.exp(np.interp(wanted, rate, delta)))


def adwin_bound(n_before: int, n_after: int, variance: float, delta: float) -> float:
    """eps_cut, the difference of means that ADWIN takes for a change: the paper's equation 3.1."""
    n = n_before + n_after
    confidence = math.log(2 * max(1.0, math.log(n)) / delta)
    inverse = 1 / n_before + 1 / n_after
    return math.sqrt(2 * inverse * variance * confidence) + 2 / 3 * inverse * confidence


def symmetric(z: FloatArray, skewness: float) -> FloatArray:
    """Standardised float64[n] of this skewness made nearly normal (Wilson and Hilferty 1931)."""
    if abs(skewness) < 0.01:
        return z
    root = np.cbrt(skewness / 2 * z + 1)
    return np.asarray(6 / skewness * (root - 1) + skewness / 6, dtype=np.float64)
