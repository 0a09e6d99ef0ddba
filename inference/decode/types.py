"""What goes into a decode and what comes out."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.errors import Reason

Matrix: TypeAlias = npt.NDArray[np.float32]
Longs: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """What one run of records of one partition holds, as parallel sequences of length n.

    `content_types` is None where no record of the batch carries the header: all are JSON then.
    """

    offsets: Longs
    append_times_ms: Longs
    keys: list[bytes | None]
    values: list[bytes | None]
    content_types: list[bytes | None] | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row of a batch that cannot be scored, and why."""

    row: int
    reason: Reason
    explanation: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The good rows of a batch and the rejected ones; every row is in exactly one of the two.

    `rows` int64[k] are indexes into the batch, increasing; the other sequences are parallel to it.
    `features` float32[k, n_features] is C-contiguous, NaN where missing. `event_times_ms` int64[k]
    is the append time where the event gives none. `rejections` are in order of row.
    """

    rows: Longs
    features: Matrix
    event_ids: list[str]
    entities: list[str]
    event_times_ms: Longs
    rejections: list[Rejected]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one format made of its rows, before values are checked; time 0 means none given."""

    rows: Longs
    features: Matrix
    event_ids: list[str]
    event_times_ms: Longs
    rejections: list[Rejected]

    def keep(self, good: npt.NDArray[np.bool_], rejections: list[Rejected]) -> "Parsed":
        """The rows where `good`, with `rejections` for the others."""
        kept = good.nonzero()[0]
        return Parsed(
            self.rows[kept],
            self.features[kept],
            [self.event_ids[at] for at in kept.tolist()],
            self.event_times_ms[kept],
            self.rejections + rejections,
        )
