"""How many rows each entity (customer, card) has: bounded, mergeable, equal to the whole.

A table keeps the `limit` entities with the smallest hashes (bottom-k sampling; Cohen and Kaldellis
2007): a random sample of entities, each with its exact count, and the same whatever way the rows
were cut. Hash functions of the same key agree on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.columns import Counts

Hashes = NDArray[np.uint64]

WINDOW_LIMIT = 2048
REFERENCE_LIMIT = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class EntityTable:
    """Counts of the entities with the smallest hashes: uint64[k] ascending, int64[k].

    `below`: every entity whose hash is lower is in the table; 2**64 while all of them are.
    """

    hashes: Hashes
    counts: Counts
    below: int
    limit: int

    @classmethod
    def of(cls, hashes: Hashes, limit: int) -> "EntityTable":
        """The table of rows whose entities have `hashes` (`hash_entities`)."""
        if limit < 1:
            raise ValueError(f"a table holds at least one entity, not {limit}")
        distinct, counts = np.unique(hashes, return_counts=True)
        return cls(distinct, counts.astype(np.int64), 2**64, limit)._cut()

    @classmethod
    def checked(
        cls, hashes: NDArray[Any] | None, counts: NDArray[Any] | None, below: str, limit: int
    ) -> "EntityTable":
        """A table of stored parts, `below` in digits; raises ValueError when they do not fit."""
        if hashes is None or counts is None or hashes.shape != counts.shape or hashes.ndim != 1:
            raise ValueError("its entities are incomplete")
        if hashes.dtype != np.uint64 or counts.dtype != np.int64 or len(hashes) > limit:
            raise ValueError("its entities are of another type or number")
        if len(below) > 20 or not below.isdecimal() or not 0 < int(below) <= 2**64 or limit < 1:
            raise ValueError(f"its entities are those with hashes below {below[:20]}")
        if (hashes[1:] <= hashes[:-1]).any() or (counts < 1).any():
            raise ValueError("its entities are in disorder")
        return cls(hashes, counts, int(below), limit)

    def merge(self, other: "EntityTable") -> "EntityTable":
        """The table of the rows of both."""
        if self.limit != other.limit:
            raise ValueError(f"tables of {self.limit} and of {other.limit} entities do not merge")
        hashes, inverse = np.unique(
            np.concatenate([self.hashes, other.hashes]), return_inverse=True
        )
        counts = np.zeros(len(hashes), dtype=np.int64)
        np.add.at(counts, inverse, np.concatenate([self.counts, other.counts]))
        below = min(self.below, other.below)
        return EntityTable(hashes, counts, 2**64, self.limit)._under(below)._cut()

    @property
    def is_complete(self) -> bool:
        return self.below == 2**64

    @property
    def is_empty(self) -> bool:
        return not len(self.hashes)

    def rows_per_row_of(self, other: "EntityTable") -> float:
        """How many rows here a random row of `other` finds of its entity: sum n_c n'_c / sum n'_c.

        Exact where both tables are complete; else the ratio over the entities that both would
        have, 0 where those have no row: a few percent off, unless few entities have most rows.
        """
        below = min(self.below, other.below)
        mine, theirs = self._under(below), other._under(below)
        total = int(theirs.counts.sum())
        _, left, right = np.intersect1d(
            mine.hashes, theirs.hashes, assume_unique=True, return_indices=True
        )
        shared = (mine.counts[left].astype(np.float64) * theirs.counts[right]).sum()
        return float(shared) / total if total else 0.0

    def _under(self, below: int) -> "EntityTable":
        if below == 2**64:
            return self
        end = int(np.searchsorted(self.hashes, np.uint64(below)))
        return EntityTable(self.hashes[:end], self.counts[:end], below, self.limit)

    def _cut(self) -> "EntityTable":
        if len(self.hashes) <= self.limit:
            return self
        return self._under(int(self.hashes[self.limit]))


def hash_entities(keys: Sequence[str] | Sequence[bytes] | NDArray[np.generic]) -> Hashes:
    """uint64[n]: a hash of each key; integers are hashed by value, texts by their UTF-8.

    Not cryptographic. Costs about 0.1 us a text.
    """
    array = keys if isinstance(keys, np.ndarray) else _array_of(keys)
    if array.dtype.kind in "iub":
        return mix(array.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    if array.dtype.kind in "UO":
        array = _array_of(array.tolist())
    if array.dtype.kind != "S":
        raise ValueError(f"entity keys are texts, bytes or integers, not {array.dtype}")
    width = max(8, -(-array.dtype.itemsize // 8) * 8)
    words = array.astype(f"S{width}").view("<u8").reshape(len(array), -1)
    hashes = np.zeros(len(array), dtype=np.uint64)
    for place in range(words.shape[1]):
        # A word of nothing but padding must not count: the width is the batch's, not the key's.
        salt = np.uint64((0xD1B54A32D192ED03 * (2 * place + 1)) % 2**64)
        mixed = mix(hashes ^ mix(words[:, place] + salt))
        hashes = np.where(words[:, place] != 0, mixed, hashes)
    return hashes


def _array_of(keys: Sequence[Any]) -> NDArray[Any]:
    if len(keys) and isinstance(keys[0], str):
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("entity keys are texts, bytes or integers, all of one sort")
        return np.array([key.encode() for key in keys], dtype="S")
    array = np.array(keys) if len(keys) else np.empty(0, dtype="S8")
    if array.dtype.kind == "O":
        raise ValueError("entity keys are texts, bytes or integers, all of one sort")
    return array


def mix(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a permutation without pattern."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed
