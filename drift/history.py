"""Kept history of bounded size: all of time, recent windows one by one, older ones coarser."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Totals = npt.NDArray[np.int64 | np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class History:
    """Totals of consecutive windows, at most `max_entries` of them.

    When full, the two neighbours that are shortest for their age are merged, so an entry's length
    grows with its age and N entries span all of time with a relative grain of about log(W) / N:
    the change point of something old is known as well, in proportion, as that of something new.
    `totals` [E, k] are whatever adds up over windows (counts by bin; sums), `spans` int64[E] the
    windows merged in each entry, `starts` int64[E] where each began (first row, or event time in
    ms), both in order of time. Three arrays are the whole state.
    """

    max_entries: int
    totals: Totals = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    spans: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    starts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if self.max_entries < 4:
            raise ValueError("a history needs at least four entries")
        if not len(self.totals) == len(self.spans) == len(self.starts):
            raise ValueError("totals, spans and starts must be of the same length")

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def n_windows(self) -> int:
        return int(self.spans.sum())

    def append(self, totals: Totals, start: int) -> None:
        """Add a closed window that began at `start`, after every other; ValueError when before."""
        if len(self) and start < self.starts[-1]:
            raise ValueError("windows are appended in order of time")
        row = totals[None].copy()
        self.totals = np.concatenate([self.totals, row]) if len(self) else row
        self.spans = np.append(self.spans, 1)
        self.starts = np.append(self.starts, start)
        if len(self) > self.max_entries:
            self._merge()

    def restart(self, index: int) -> None:
        """Forget what lies before entry `index`, say a change point that has been dealt with."""
        self.totals, self.spans = self.totals[index:], self.spans[index:]
        self.starts = self.starts[index:]

    def _merge(self) -> None:
        """Merge the pair whose length over its age (to its newer end) is the least."""
        ends_ago = self.spans[::-1].cumsum()[::-1] - self.spans  # windows after each entry
        pairs = self.spans[:-1] + self.spans[1:]
        i = int((pairs / (ends_ago[1:] + 1)).argmin())
        self.totals[i] += self.totals[i + 1]
        self.spans[i] += self.spans[i + 1]
        self.totals = np.delete(self.totals, i + 1, axis=0)
        self.spans = np.delete(self.spans, i + 1)
        self.starts = np.delete(self.starts, i + 1)
