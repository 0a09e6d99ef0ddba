"""Rows of frames as arrays, by the model version that scored them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drift.columns import Matrix
from drift.coverage import Source
from drift.entities import Hashes, hash_entities
from drift.row_sample import hash_places
from schemas.frames import Frame

Longs = NDArray[np.int64]


USED = (
    "source_offset",
    "entity",
    "event_time",
    "append_time",
    "features",
    "score",
    "model_version",
)
"""Columns of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class VersionRows:
    """Rows of one model version, ascending by `offsets`, int64[n].

    `event_times_ms` and `append_times_ms` int64[n], `matrix` float32[n, n_features + 1] with the
    score last, `entities` n texts ("" for none).
    """

    offsets: Longs
    event_times_ms: Longs
    append_times_ms: Longs
    matrix: Matrix
    entities: pa.Array

    def __len__(self) -> int:
        return len(self.offsets)

    def at(self, places: Longs) -> "VersionRows":
        """The rows at `places`, int64[k]."""
        return VersionRows(
            self.offsets[places],
            self.event_times_ms[places],
            self.append_times_ms[places],
            self.matrix[places],
            self.entities.take(pa.array(places)),
        )


def split_by_version(
    frames: Sequence[tuple[Frame, int]],
) -> Iterator[tuple[str, list[VersionRows]]]:
    """Each version and its rows, part by part in the order of `frames`, which are each taken from
    an offset on. Parts of one version differ in width when it was scored under two schemas.
    """
    found: dict[str, list[VersionRows]] = {}
    for run in _of_one_schema(frames):
        rows = pa.Table.from_batches(run).select(USED).unify_dictionaries().combine_chunks()
        versions = rows.column("model_version").chunk(0)
        names = versions.dictionary.to_pylist()
        codes = versions.indices.fill_null(-1).to_numpy()
        for code in np.unique(codes).tolist():
            chosen = rows if (codes == code).all() else rows.filter(pa.array(codes == code))
            name = names[code] if code >= 0 else ""
            found.setdefault(name or "", []).append(_of(chosen.combine_chunks()))
    yield from found.items()


def _of_one_schema(frames: Sequence[tuple[Frame, int]]) -> Iterator[list[pa.RecordBatch]]:
    """The rows of frames as runs that fit one table: what is done once a run is most of the work
    where frames are small."""
    run: list[pa.RecordBatch] = []
    for frame, first in frames:
        rows = frame.rows
        if frame.header.covers_from < first:
            offsets = rows.column("source_offset").to_numpy()
            rows = rows.slice(int(np.searchsorted(offsets, first)))
        if not rows.num_rows:
            continue
        if run and rows.schema != run[-1].schema:
            yield run
            run = []
        run.append(rows)
    if run:
        yield run


def join(parts: Sequence[VersionRows]) -> VersionRows:
    """All rows of `parts`, which are of one width."""
    if len(parts) == 1:
        return parts[0]
    return VersionRows(
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.event_times_ms for part in parts]),
        np.concatenate([part.append_times_ms for part in parts]),
        np.concatenate([part.matrix for part in parts]),
        pa.concat_arrays([part.entities for part in parts]),
    )


def hash_row_entities(rows: VersionRows, source: Source) -> Hashes:
    """uint64[n]: the hash of each row's entity; a row without one is an entity of its own."""
    encoded = rows.entities.fill_null("").dictionary_encode()
    keys, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    hashes: Hashes = hash_entities(keys)[codes]
    if "" in keys:
        none = codes == keys.index("")
        hashes[none] = hash_places(source, rows.offsets[none])
    return hashes


def _of(rows: pa.Table) -> VersionRows:
    """Of a table in one chunk."""

    def column(name: str) -> pa.Array:
        return rows.column(name).chunk(0)

    features = column("features")
    n, width = len(features), features.type.list_size
    matrix = np.empty((n, width + 1), dtype=np.float32)
    matrix[:, :width] = features.flatten().to_numpy(zero_copy_only=False).reshape(n, width)
    matrix[:, width] = column("score").to_numpy(zero_copy_only=False)
    return VersionRows(
        column("source_offset").to_numpy(),
        column("event_time").view(pa.int64()).to_numpy(),
        column("append_time").view(pa.int64()).to_numpy(),
        matrix,
        column("entity"),
    )
