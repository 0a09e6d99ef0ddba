"""A random sample of a window's rows that merges: the same rows however the window was cut.

Each row's place in its source partition is hashed, and the rows with the smallest hashes are kept
(bottom-k sampling; Cohen and Kaplan 2007): a uniform sample without replacement, for detectors that
need whole rows (multivariate ones, the exact Kolmogorov-Smirnov test).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.columns import Matrix
from drift.coverage import Source
from drift.entities import Hashes, hash_entities, mix


@dataclass(frozen=True, slots=True, eq=False)
class RowSample:
    """uint64[k] ascending, and the rows they belong to, float32[k, n_columns]; k <= limit."""

    hashes: Hashes
    rows: Matrix
    limit: int

    @classmethod
    def of(cls, hashes: Hashes, rows: Matrix, limit: int) -> "RowSample":
        """The sample of `rows`, whose places have `hashes` (`hash_places`)."""
        if limit < 1 or len(hashes) != len(rows):
            raise ValueError(f"{len(hashes)} hashes of {len(rows)} rows, a sample of {limit}")
        if len(hashes) > limit:
            first = np.argpartition(hashes, limit - 1)[:limit]
        else:
            first = np.arange(len(hashes))
        first = first[np.argsort(hashes[first], kind="stable")]
        return cls(hashes[first], rows[first], limit)

    @classmethod
    def checked(
        cls, hashes: NDArray[Any] | None, rows: NDArray[Any] | None, limit: int, n_columns: int
    ) -> "RowSample":
        """A sample of stored parts; raises ValueError when they do not fit."""
        if hashes is None or rows is None or hashes.dtype != np.uint64 or hashes.ndim != 1:
            raise ValueError("its sample is incomplete")
        if rows.dtype != np.float32 or rows.shape != (len(hashes), n_columns):
            raise ValueError("its sample is of another shape")
        if len(hashes) > limit or limit < 1 or (hashes[1:] < hashes[:-1]).any():
            raise ValueError("its sample is in disorder")
        return cls(hashes, rows, limit)

    def merge(self, other: "RowSample") -> "RowSample":
        """The sample of the rows of both."""
        if self.limit != other.limit:
            raise ValueError(f"samples of {self.limit} and of {other.limit} rows do not merge")
        hashes = np.concatenate([self.hashes, other.hashes])
        return RowSample.of(hashes, np.concatenate([self.rows, other.rows]), self.limit)


def hash_places(source: Source, offsets: NDArray[np.int64]) -> Hashes:
    """uint64[n]: a hash of each row's place; different places have different ones, nearly surely.

    Within one partition they always differ: the hash is a permutation of the offsets.
    """
    topic_id, partition = source
    salt = hash_entities([f"{partition} {topic_id}"])
    return mix(mix(offsets.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)) ^ salt)
