"""The reference as bytes, to be stored beside its model."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from drift.columns import Columns
from drift.customers import CustomerMoments
from drift.entities import EntityTable
from drift.packing import pack, pack_body, unpack, unpack_body
from drift.reference import Reference
from drift.season import WEEK_HOURS, Season
from drift.segments import Segment
from drift.summary import SUMMARY_ARRAYS, summary_of_arrays

MAGIC = b"TDR\x01"
"""Thalweg drift reference, version 1."""

MAX_BYTES = 1024 * 2**20

Arrays = dict[str, NDArray[Any]]


class _Customers(msgspec.Struct, frozen=True):
    n_rows: int
    n_entities: int
    sum_squares: int
    limit: int
    below: str  # up to 2**64, beyond MessagePack's integers


class _Season(msgspec.Struct, frozen=True):
    slot_hours: int
    span_ms: int


class _Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """`segments`: each with its body, packed as the whole's, but for the columns and segments.

    Left out where there are none: a reference without segments has the bytes, and the fingerprint,
    that it had before there were any.
    """

    columns: bytes
    n: int
    block_rows: int
    calendar: tuple[str, ...]
    customers: _Customers | None
    season: _Season | None
    segments: tuple[tuple[Segment, bytes], ...] = ()


def encode_reference(reference: Reference) -> bytes:
    """Bytes for `decode_reference`, about 1 MB for 30 features, and half of that each segment."""
    return pack(MAGIC, *_parts(reference))


def reference_body(reference: Reference) -> bytes:
    """The content as bytes that are the same on every machine; `fingerprint` is of these."""
    return MAGIC + pack_body(*_parts(reference))


def decode_reference(data: bytes) -> Reference:
    """The reference in `data`; raises ValueError when it is none, or contradicts itself."""
    try:
        header, arrays = unpack(data, MAGIC, _Header, MAX_BYTES)
        columns = Columns.decode(header.columns)
        whole = _decode_body(columns, header, arrays)
        segments = tuple(
            (segment, _decode_segment(columns, segment, body)) for segment, body in header.segments
        )
        if len({segment.name for segment, _ in segments} - {""}) < len(segments):
            raise ValueError("its segments have no names of their own")
    except ValueError as error:
        raise ValueError(f"not a drift reference: {error}") from error
    return replace(whole, segments=segments)


def _decode_segment(columns: Columns, segment: Segment, body: bytes) -> Reference:
    if not 0 <= segment.column < len(columns):
        raise ValueError(f"its segment {segment.name!r} is of a column that does not exist")
    return _decode_body(columns, *unpack_body(body, _Header))


def _decode_body(columns: Columns, header: _Header, arrays: Arrays) -> Reference:
    """All but the segments; raises ValueError for parts that contradict each other."""
    season = _decode_season(header.season, arrays, columns.n_bins)
    customers = _decode_customers(header.customers, arrays, columns)
    blocks = _take(arrays, "blocks", np.int64, (-1, columns.n_bins))
    sample = _take(arrays, "sample", np.float32, (-1, len(columns)))
    summary = summary_of_arrays(header.n, arrays)
    if summary.counts.shape != (columns.n_bins,) or len(summary.m2) != len(columns):
        raise ValueError("its counts are over other columns than its own")
    sums = blocks.sum(axis=1)
    if (sums != header.block_rows * len(columns)).any():
        raise ValueError("its blocks do not have the rows they say")
    if not set(header.calendar) <= set(columns.names):
        raise ValueError("its calendar names columns that do not exist")
    return Reference(
        columns, summary, header.block_rows, blocks, sample, customers, season, header.calendar
    )


def _parts(reference: Reference, *, is_segment: bool = False) -> tuple[_Header, Arrays]:
    arrays: Arrays = {name: getattr(reference.summary, name) for name in SUMMARY_ARRAYS}
    arrays |= {"blocks": reference.blocks, "sample": reference.sample}
    customers, season = reference.customers, reference.season
    if customers is not None:
        arrays["covariances"] = customers.covariances
        arrays["entity_hashes"] = customers.entities.hashes
        arrays["entity_counts"] = customers.entities.counts
    if season is not None:
        arrays |= {"season_counts": season.repeats, "season_rows": season.repeat_rows}
    header = _Header(
        columns=b"" if is_segment else reference.columns.encode(),
        n=reference.n,
        block_rows=reference.block_rows,
        calendar=reference.calendar,
        customers=None
        if customers is None
        else _Customers(
            customers.n_rows,
            customers.n_entities,
            customers.sum_squares,
            customers.entities.limit,
            str(customers.entities.below),
        ),
        season=None if season is None else _Season(season.slot_hours, season.span_ms),
        segments=tuple(
            (segment, pack_body(*_parts(own, is_segment=True)))
            for segment, own in reference.segments
        ),
    )
    return header, arrays


def _decode_season(season: _Season | None, arrays: Arrays, n_bins: int) -> Season | None:
    if season is None:
        return None
    if season.slot_hours < 1 or WEEK_HOURS % season.slot_hours:
        raise ValueError(f"slots of {season.slot_hours} hours")
    n_slots = WEEK_HOURS // season.slot_hours
    counts = _take(arrays, "season_counts", np.int64, (-1, n_slots, n_bins))
    rows = _take(arrays, "season_rows", np.int64, (len(counts), n_slots))
    return Season(season.slot_hours, counts, rows, season.span_ms)


def _decode_customers(
    found: _Customers | None, arrays: Arrays, columns: Columns
) -> CustomerMoments | None:
    if found is None:
        return None
    size = int((np.diff(columns.offsets) ** 2).sum())
    covariances = _take(arrays, "covariances", np.float64, (size,))
    entities = EntityTable.checked(
        arrays.pop("entity_hashes", None),
        arrays.pop("entity_counts", None),
        found.below,
        found.limit,
    )
    return CustomerMoments(found.n_rows, found.n_entities, found.sum_squares, covariances, entities)


def _take(arrays: Arrays, name: str, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array of that name, type and shape (-1 for any size), taken out of `arrays`."""
    array = arrays.pop(name, None)
    if array is None or array.dtype != dtype or array.ndim != len(shape):
        raise ValueError(f"its {name} are missing or of another type")
    if any(want not in (-1, size) for want, size in zip(shape, array.shape, strict=True)):
        raise ValueError(f"its {name} are {list(array.shape)}")
    return array
