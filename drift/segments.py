"""Segments: the rows of a model version in which one feature has one value, `channel=web`."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.columns import Matrix
from schemas.features import Dtype, Feature, FeatureSchema

MAX_SEGMENTS = 20
"""Of a model version; each costs about as much as all rows, and a part of the stated rate."""

MAX_WATCHED_COLUMNS = 700
"""Of all rows and all segments together: what the detector remembers of a column is some 4 KB of
its one message."""

MIN_SEGMENT_ROWS = 500
"""Of the reference: fewer are 50 blocks of ten rows at best, and ten windows of hardly any."""

MAX_NAME = 200
"""Characters: longer values, and those that cannot be printed, are no names."""

Places = NDArray[np.intp]


class Segment(msgspec.Struct, frozen=True):
    """The rows whose column number `column` of the matrix holds `value`, a float32."""

    name: str
    column: int
    value: float

    def places(self, matrix: Matrix) -> Places:
        """The rows of float32[n, n_columns] that are in it, ascending."""
        return np.flatnonzero(matrix[:, self.column] == np.float32(self.value))


def choose_segments(
    schema: FeatureSchema, declared: Sequence[str], matrix: Matrix
) -> tuple[Segment, ...]:
    """The segments of the `declared` features (`schemas.pipeline` says which can be) that have
    MIN_SEGMENT_ROWS rows or more in `matrix`, the MAX_SEGMENTS largest of them (of wide rows fewer:
    MAX_WATCHED_COLUMNS), by name.

    Rows with other values, missing and unseen ones among them, are in all rows only.
    """
    found = []
    for name in declared:
        column = schema.names.index(name)
        for code, value in enumerate(_values(schema.features[column])):
            segment = Segment(f"{name}={value}", column, float(code))
            n_rows = len(segment.places(matrix))
            has_name = len(segment.name) <= MAX_NAME and segment.name.isprintable()
            if n_rows >= MIN_SEGMENT_ROWS and has_name:
                found.append((-n_rows, segment.name, segment))
    largest = [segment for _, _, segment in sorted(found, key=lambda each: each[:2])]
    most = min(MAX_SEGMENTS, max(0, MAX_WATCHED_COLUMNS // matrix.shape[1] - 1))
    return tuple(sorted(largest[:most], key=lambda segment: segment.name))


def _values(feature: Feature) -> tuple[str, ...]:
    """What the codes 0, 1, ... of a category or boolean stand for."""
    return ("false", "true") if feature.dtype is Dtype.BOOLEAN else feature.categories
