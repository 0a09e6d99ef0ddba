"""Columns of a model (its features, then its score), and the bins that their values fall in.

The bins of a column lie in this order: bins of values, then `other` (values that the reference does
not hold; only in discrete columns and categories), then `missing` (NaN), always last:

    numeric    (-inf, e1], (e1, e2], ... (ek, inf), missing     edges are order statistics
    mixed      the same, but tied values made the bins uneven, or fewer
    discrete   one for each distinct value, other, missing
    constant   below the one value, that value, above it, missing
    category   one for each category, (those too rare for their own), unseen, missing

Counts of all columns lie side by side in one int64 array, column after column.
"""

import hashlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.assign import BinAssigner
from schemas.features import Dtype, FeatureSchema

Matrix = NDArray[np.float32]
Counts = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)


class Kind(StrEnum):
    """How a column's bins were made, which decides the null that fits its counts.

    NUMERIC: reference counts are the spacings of order statistics (free of the distribution).
    MIXED: so many tied values at the edges that these are rather fixed points.
    """

    NUMERIC = "numeric"
    MIXED = "mixed"
    DISCRETE = "discrete"
    CONSTANT = "constant"
    CATEGORY = "category"


class ColumnSpec(msgspec.Struct, frozen=True):
    """What is known of a column before any row: `categories` non-empty for a category.

    `lowest` and `highest` are the allowed range, inclusive; infinite for none.
    """

    name: str
    categories: tuple[str, ...] = ()
    lowest: float = float("-inf")
    highest: float = float("inf")


def specs_of(schema: FeatureSchema, score: str | None = "score") -> tuple[ColumnSpec, ...]:
    """The features of `schema` in their order, then the score (in 0..1) unless it is None."""
    specs = [
        ColumnSpec(
            feature.name,
            feature.categories if feature.dtype is Dtype.CATEGORY else (),
            *((0.0, 1.0) if feature.dtype is Dtype.BOOLEAN else (feature.lowest, feature.highest)),
        )
        for feature in schema.features
    ]
    return (*specs, *([] if score is None else [ColumnSpec(score, (), 0.0, 1.0)]))


class Column(msgspec.Struct, frozen=True, dict=True):
    """One column's bins. Build it with `drift.binning.bin_columns`.

    `cuts` are float32 values as Python floats, ascending and distinct: the edges of a numeric or
    mixed column (a bin holds its right edge), the values of a discrete or constant one, the codes
    of a category that have bins of their own. `labels`: one for each bin, for people. `centre` is
    near the reference's mean; moments are taken about it so that they keep their digits.
    """

    name: str
    kind: Kind
    cuts: tuple[float, ...]
    labels: tuple[str, ...]
    lowest: float
    highest: float
    centre: float
    n_categories: int = 0

    @property
    def n_bins(self) -> int:
        return len(self.labels)

    @property
    def missing_bin(self) -> int:
        return len(self.labels) - 1

    @property
    def other_bin(self) -> int | None:
        """The bin of values that the reference does not hold (unseen categories), if it has one."""
        return self.n_bins - 2 if self.kind in (Kind.DISCRETE, Kind.CATEGORY) else None


class Columns:
    """All columns of a model in matrix order; gives rows their bins.

    A matrix is float32[n, n_columns]; counts are int64[n_bins] over the bins of all columns.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        if not columns:
            raise ValueError("there are no columns")
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        if len(set(self.names)) != len(self.names):
            raise ValueError("two columns have the same name")
        sizes = [column.n_bins for column in columns]
        self.offsets: Counts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        """int64[n_columns + 1]: where each column's bins begin, and the end."""

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __getitem__(self, index: int) -> Column:
        return self.columns[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Columns) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    @property
    def n_bins(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 hex, equal exactly when names, bins, ranges and centres are."""
        return hashlib.sha256(self.encode()).hexdigest()

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        return np.array([column.centre for column in self.columns], dtype=np.float64)

    @cached_property
    def ranges(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """float32[n_columns] twice: the lowest and highest allowed values, infinite for none."""
        with np.errstate(over="ignore"):  # beyond float32 is no bound for one
            return (
                np.array([column.lowest for column in self.columns], dtype=np.float32),
                np.array([column.highest for column in self.columns], dtype=np.float32),
            )

    @cached_property
    def missing_bins(self) -> Counts:
        """int64[n_columns]: where each column's missing bin lies in the counts."""
        return self.offsets[1:] - 1

    @cached_property
    def assigner(self) -> BinAssigner:
        return BinAssigner(
            [(column.kind.value, column.cuts, column.n_categories) for column in self.columns]
        )

    def assign(self, matrix: Matrix) -> Counts:
        """int64[n_columns, n]: where in the counts each value of `matrix` is counted."""
        return self.assigner.assign(np.ascontiguousarray(self.check(matrix).T))

    def count(self, matrix: Matrix) -> Counts:
        """int64[n_bins]: how many values of `matrix` fall in each bin of each column."""
        return np.bincount(self.assign(matrix).ravel(), minlength=self.n_bins)

    def of(self, counts: NDArray[T], column: int | str) -> NDArray[T]:
        """The part of `counts` (..., n_bins) that is one column's, by its place or name; a view."""
        index = self.names.index(column) if isinstance(column, str) else column
        return counts[..., self.offsets[index] : self.offsets[index + 1]]

    def check(self, matrix: Matrix) -> Matrix:
        """`matrix`; raises ValueError unless it is float32[n, n_columns]."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self.columns) or matrix.dtype != np.float32:
            raise ValueError(
                f"the rows are {matrix.dtype}{list(matrix.shape)}, not float32[n, {len(self)}]"
            )
        return matrix

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self.columns)

    @classmethod
    def decode(cls, data: bytes) -> "Columns":
        """Columns of `encode`; raises ValueError for anything else."""
        try:
            columns = cls(msgspec.msgpack.decode(data, type=tuple[Column, ...]))
            columns.assigner.check([column.n_bins for column in columns])
            if not all(np.all(np.diff(column.cuts) > 0) for column in columns):
                raise ValueError("cuts ascend")
        except (msgspec.DecodeError, OverflowError) as error:
            raise ValueError(f"not columns: {error}") from error
        return columns
