"""Counts and sums over sliding time windows per entity, for a whole block of events at once."""

import numpy as np
import numpy.typing as npt

from producers.fraud.world import DAY_MS

Ints = npt.NDArray[np.int64]

SPAN_MS = 128 * DAY_MS
"""Longest stretch of one timeline: 30 days of history, a block, and 60 days of late labels."""


class Timeline:
    """Facts sorted by entity and time, to ask what lies in `[t - window, t)` of an entity.

    Only what is strictly earlier than `t` counts, so later facts in the timeline change nothing.
    `entity` and `time_ms` are int64[m]; an entity times SPAN_MS must fit an int64.
    """

    def __init__(self, entity: Ints, time_ms: Ints) -> None:
        self._base_ms = int(time_ms.min()) if len(time_ms) else 0
        keys = self._keys(entity, time_ms)
        self.order = np.argsort(keys, kind="stable")
        self._sorted = keys[self.order]

    def window(self, entity: Ints, time_ms: Ints, window_ms: int) -> tuple[Ints, Ints]:
        """Positions `[first, end)`, int64[n] each, of the facts in the window before each time."""
        assert not len(self._sorted) or int(time_ms.max()) - self._base_ms < SPAN_MS
        first = np.searchsorted(self._sorted, self._keys(entity, time_ms - window_ms))
        return first, np.searchsorted(self._sorted, self._keys(entity, time_ms))

    def running(self, values: Ints) -> Ints:
        """int64[m + 1]: running sums in timeline order; `r[end] - r[first]` is the sum of a window.

        Integers, because sums of floats would depend on how the stream is cut into blocks.
        """
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(values[self.order])))

    def _keys(self, entity: Ints, time_ms: Ints) -> Ints:
        return entity * SPAN_MS + np.clip(time_ms - self._base_ms, 0, SPAN_MS - 1)
