"""What every stream detector promises, and the arithmetic of blocks that all of them share."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from drift.result import Result

FloatArray = npt.NDArray[np.float64]
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm raised by the row `row` of the batch given to `update`, counted from 0."""

    row: int
    result: Result


class StreamDetector(Protocol):
    """Watches one column of a stream; the same stream gives the same alarms however it is cut.

    A detector sums rows in blocks of a fixed number and decides at the end of each: the sums are
    what makes a hundred columns affordable, and blocks longer than the autocorrelation are what
    keeps the false-alarm rate of dependent rows (false alarms a million rows at AR(1) 0.9: 2,376
    row by row, 15 in blocks of 128). Rows that do not fill a block wait for the next batch.
    """

    name: str

    def update(self, values: FloatArray) -> list[Alarm]:
        """Take float64[n] in stream order; the alarms they raise, oldest first.

        After an alarm the detector starts anew at the next block. Raises ValueError, and takes
        nothing, where a value is not finite: leave missing ones out before.
        """
        ...

    def state_dict(self) -> State:
        """All that `load` needs to go on from here, in types that JSON has."""
        ...

    def load(self, state: State) -> None:
        """Go on from a `state_dict`; ValueError where it is of a detector built otherwise."""
        ...


class Blocks:
    """Cuts a stream into blocks of `size` rows and sums each; what is left over waits.

    Each block is summed by itself, over the same rows in the same order, so that the sums are
    bit-equal however the stream came in batches.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a block has at least 1 row, not {size}")
        self.size = size
        self._rest: FloatArray = np.empty(0)

    def add(self, values: FloatArray) -> tuple[FloatArray, int]:
        """Sums float64[k] of the blocks that `values` fill, and the row that ended the first.

        Block i ended at row `first + i * size` of `values`.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(f"values have one dimension, not {values.ndim}")
        if not np.isfinite(values).all():
            raise ValueError("values are not all finite; leave missing ones out before")
        first = self.size - len(self._rest) - 1
        rows = np.concatenate([self._rest, values])
        n_blocks = len(rows) // self.size
        self._rest = rows[n_blocks * self.size :].copy()
        whole = rows[: n_blocks * self.size].reshape(n_blocks, self.size)
        return whole.sum(axis=1), first

    @property
    def rest(self) -> list[float]:
        return [float(value) for value in self._rest]

    @rest.setter
    def rest(self, values: list[float]) -> None:
        if len(values) >= self.size:
            raise ValueError(f"{len(values)} rows wait for a block of {self.size}")
        self._rest = np.array(values, dtype=np.float64)


def check_same(detector: StreamDetector, built: State, state: State) -> None:
    """Raise ValueError unless `state` was written by a detector built with the options `built`."""
    if state.get("detector") != detector.name:
        raise ValueError(f"state of {state.get('detector')!r}, not of {detector.name!r}")
    if json.dumps(state.get("built"), sort_keys=True) != json.dumps(built, sort_keys=True):
        raise ValueError(f"state of a detector built with {state.get('built')}, not {built}")
