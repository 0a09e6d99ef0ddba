"""Rounds of pieces, and the sums of parts of their rows, drawn given the sum of the whole."""

from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import numpy.typing as npt

from drift.coverage import Range, Source

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

MIN_SKEWNESS = 0.01
"""Of a row: less is drawn as this much, which no test tells from none."""


RoundState = tuple[Source, Range, int, list[int], list[float], list[Source]]


@dataclass(slots=True)
class Round:
    """Pieces of different sources that came together, one of each.

    By watched column, int64[W] values and float64[W] their distance from the mean; `offsets` of
    `source` and the window are those of its first piece.
    """

    source: Source
    offsets: Range
    window_start_ms: int
    n: Longs
    sums: Floats
    sources: set[Source] = field(default_factory=set)

    @classmethod
    def begin(
        cls, place: tuple[Source, Range], window_start_ms: int, n: Longs, sums: Floats
    ) -> "Round":
        source, offsets = place
        return cls(source, offsets, window_start_ms, n, sums, {source})

    def add(self, source: Source, n: Longs, sums: Floats) -> None:
        self.sources.add(source)
        self.n = self.n + n
        self.sums = self.sums + sums

    def state(self) -> RoundState:
        """In types that MessagePack has."""
        n, sums, sources = self.n.tolist(), self.sums.tolist(), sorted(self.sources)
        return self.source, self.offsets, self.window_start_ms, n, sums, sources

    @classmethod
    def of_state(cls, state: RoundState) -> "Round":
        source, offsets, start, n, sums, sources = state
        counts, distances = np.array(n, dtype=np.int64), np.array(sums, dtype=np.float64)
        return cls(source, offsets, start, counts, distances, set(sources))


def generator_of(source: Source, window_start_ms: int, offsets: Range) -> np.random.Generator:
    """What is drawn for rows depends on their place alone: who reads them again draws it again."""
    topic_id, partition = source
    return np.random.default_rng(
        (crc32(topic_id.encode()), partition, window_start_ms % 2**63, *offsets)
    )


def item_parts(n: int, had: int, item_rows: int) -> Longs:
    """How many of `n` rows end the item that has `had`, fill each item after it, begin the next."""
    n_items, rest = divmod(had + n, item_rows)
    return np.array([item_rows - had, *[item_rows] * (n_items - 1), rest], dtype=np.int64)


def share_out(total: float, parts: Longs, skewness: float, rng: np.random.Generator) -> Floats:
    """`total`, the sum of `parts.sum()` independent rows, as sums over `parts` of them.

    Rows have mean 0, variance 1 and this skewness: Pearson's type III, that is a gamma of shape
    4 / skewness^2 and scale skewness / 2, less its mean. Shares of a sum of gammas are Dirichlet
    and independent of the sum, so that parts are drawn as though the rows were known; a total that
    is off by a shift of the mean gives parts that are off by the same shift.
    """
    sign = 1.0 if skewness >= 0 else -1.0
    skewness = max(MIN_SKEWNESS, abs(skewness))
    weights = rng.standard_gamma(parts * (4 / skewness**2))
    whole = float(weights.sum())
    share = weights / whole if whole > 0 else parts / parts.sum()  # shapes near 0 underflow
    mean = 2 / skewness
    shares: Floats = sign * ((sign * total + parts.sum() * mean) * share - parts * mean)
    return shares
