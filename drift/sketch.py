"""A sketch: the summary of one window's rows that one worker saw, and the offsets it answers for.

Workers publish sketches of pieces of a window; the detector merges them (`drift.merging`). Any
number of workers and any cut give the same counts, minimum and maximum bit for bit.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns, Matrix
from drift.coverage import Coverage, Range, Source
from drift.entities import EntityTable, Hashes
from drift.packing import compress, pack_body, unpack
from drift.row_sample import RowSample
from drift.summary import SUMMARY_ARRAYS, Summary, summarise, summary_of_arrays

M = TypeVar("M", EntityTable, RowSample)

MAGIC = b"TDS\x01"
"""Thalweg drift sketch, version 1."""

MAX_BYTES = 64 * 2**20


class SketchKey(msgspec.Struct, frozen=True):
    """What the rows of a sketch have in common. The window is [start, end) in event time, ms.

    `columns` is the fingerprint of the reference's `Columns`; "" as segment means all rows.
    """

    pipeline: str
    model_version: str
    window_start_ms: int
    window_end_ms: int
    segment: str
    columns: str


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Immutable: `update` and `merge` return another one.

    `coverage`: the rows of this window and segment in these offsets, all of them, are in `summary`.
    `entities` is None where rows have no entity key, `sample` where none is asked for. `latest_ms`
    is the latest event time of its rows, as far as it was told: what moves the watermark.
    """

    key: SketchKey
    summary: Summary
    coverage: Coverage
    entities: EntityTable | None = None
    sample: RowSample | None = None
    latest_ms: int | None = None

    @classmethod
    def empty(
        cls, columns: Columns, key: SketchKey, *, entity_limit: int = 0, sample_limit: int = 0
    ) -> "Sketch":
        """A sketch of no rows that covers nothing; a limit of 0 counts no entities, keeps no rows.

        `drift.entities.WINDOW_LIMIT` is a good limit: 25 KB, and exact up to 2,048 entities.
        """
        if key.columns != columns.fingerprint:
            raise ValueError("the key names other columns than these")
        none = np.empty(0, dtype=np.uint64)
        entities = EntityTable.of(none, entity_limit) if entity_limit else None
        no_rows = np.empty((0, len(columns)), dtype=np.float32)
        sample = RowSample.of(none, no_rows, sample_limit) if sample_limit else None
        return cls(key, Summary.empty(columns), Coverage(), entities, sample)

    @property
    def n(self) -> int:
        return self.summary.n

    def update(
        self,
        columns: Columns,
        matrix: Matrix,
        covers: Coverage | None = None,
        entity_hashes: Hashes | None = None,
        place_hashes: Hashes | None = None,
        *,
        latest_ms: int | None = None,
    ) -> "Sketch":
        """This and the rows of `matrix`, float32[n, n_columns], which lie in `covers`.

        `entity_hashes` (`hash_entities`) and `place_hashes` (`hash_places`), uint64[n], are needed
        exactly when entities are counted and rows sampled. A call costs about 0.1 ms and 0.2 us a
        row, so gather some hundred rows. Raises ValueError when `covers` overlaps what is covered.
        """
        entities, sample = None, None
        if (entity_hashes is None) != (self.entities is None):
            raise ValueError("entity hashes are given exactly when the sketch counts entities")
        if (place_hashes is None) != (self.sample is None):
            raise ValueError("place hashes are given exactly when the sketch samples rows")
        if entity_hashes is not None and self.entities is not None:
            if len(entity_hashes) != len(matrix):
                raise ValueError(f"{len(entity_hashes)} entity hashes for {len(matrix)} rows")
            entities = EntityTable.of(entity_hashes, self.entities.limit)
        if place_hashes is not None and self.sample is not None:
            sample = RowSample.of(place_hashes, matrix, self.sample.limit)
        summary = summarise(columns, matrix)
        covers = covers or Coverage()
        return self.merge(Sketch(self.key, summary, covers, entities, sample, latest_ms))

    def merge(self, other: "Sketch") -> "Sketch":
        """Both together; raises ValueError for another key or coverage that overlaps."""
        if self.key != other.key:
            raise ValueError(f"sketches of different things do not merge: {self.key}, {other.key}")
        if self.coverage.overlaps(other.coverage):
            raise ValueError("the sketches cover the same offsets; `merge_once` sorts that out")
        return Sketch(
            self.key,
            self.summary.merge(other.summary),
            self.coverage.union(other.coverage),
            _merge_if_any(self.entities, other.entities),
            _merge_if_any(self.sample, other.sample),
            max((t for t in (self.latest_ms, other.latest_ms) if t is not None), default=None),
        )

    def covering(self, more: Coverage) -> "Sketch":
        """This sketch answering for `more` too, in which the window and segment have no rows."""
        return replace(self, coverage=self.coverage.union(more))

    def encode(self) -> bytes:
        """Bytes for `drift-sketches`: sampled rows and hashes, most of them, hardly compress."""
        return compress(MAGIC, self.body(), level=0)

    def body(self) -> bytes:
        """Everything in it; equal sketches give equal bytes."""
        summary = self.summary
        arrays = {name: getattr(summary, name) for name in SUMMARY_ARRAYS}
        if self.entities is not None:
            arrays |= {"entity_hashes": self.entities.hashes, "entity_counts": self.entities.counts}
        if self.sample is not None:
            arrays |= {"sample_hashes": self.sample.hashes, "sample_rows": self.sample.rows}
        header = _Header(
            key=self.key,
            n=summary.n,
            coverage=[(source, list(found)) for source, found in self.coverage.ranges.items()],
            entity_limit=self.entities.limit if self.entities else 0,
            entities_below=str(self.entities.below) if self.entities else "",
            sample_limit=self.sample.limit if self.sample else 0,
            latest_ms=self.latest_ms,
        )
        return pack_body(header, arrays)


def _merge_if_any(one: M | None, other: M | None) -> M | None:
    if one is None and other is None:
        return None
    if one is None or other is None:
        raise ValueError("one sketch counts entities or samples rows and the other does not")
    return one.merge(other)


class _Header(msgspec.Struct, frozen=True):
    key: SketchKey
    n: int
    coverage: list[tuple[Source, list[Range]]]
    entity_limit: int
    entities_below: str  # up to 2**64, beyond MessagePack's integers
    sample_limit: int
    latest_ms: int | None = None


def decode_sketch(data: bytes, columns: Columns | None = None) -> Sketch:
    """The sketch in `data`; raises ValueError when it is none, or none over `columns`."""
    try:
        header, arrays = unpack(data, MAGIC, _Header, MAX_BYTES)
        entities, sample = _decode_tables(header, arrays)
        summary = summary_of_arrays(header.n, arrays)
        coverage = Coverage.of(dict(header.coverage))
        if columns is not None:
            _check_columns(header, len(summary.counts), columns)
    except ValueError as error:
        raise ValueError(f"not a drift sketch: {error}") from error
    return Sketch(header.key, summary, coverage, entities, sample, header.latest_ms)


def _check_columns(header: _Header, n_bins: int, columns: Columns) -> None:
    if header.key.columns != columns.fingerprint or n_bins != columns.n_bins:
        raise ValueError(
            f"it is over other columns ({header.key.columns[:12]}) than the reference's"
            f" ({columns.fingerprint[:12]})"
        )


def _decode_tables(
    header: _Header, arrays: dict[str, NDArray[Any]]
) -> tuple[EntityTable | None, RowSample | None]:
    """Entities and sample where there are any, taken out of `arrays`."""
    entities, sample = None, None
    if header.entity_limit:
        hashes, counts = arrays.pop("entity_hashes", None), arrays.pop("entity_counts", None)
        entities = EntityTable.checked(hashes, counts, header.entities_below, header.entity_limit)
    if header.sample_limit:
        hashes, rows = arrays.pop("sample_hashes", None), arrays.pop("sample_rows", None)
        n_columns = len(arrays.get("n_finite", ()))
        sample = RowSample.checked(hashes, rows, header.sample_limit, n_columns)
    return entities, sample
