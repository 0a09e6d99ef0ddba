"""Scored rows of some windows with the labels that have come, read without reading the log.

The view `labelled_predictions` is the join itself; these queries ask it of some windows only, by
the indexes of migration 5, so that they cost what those windows hold and not what the log does.
Windows are [start, start + window_ms), starts are multiples of `window_ms` since 1970, UTC.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.client import Client

Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MAX_RANGES = 100
"""Windows that one query is asked for."""

_COUNTED = """
SELECT ms - positiveModulo(ms, {window:Int64}) AS start, count()
FROM
(
    SELECT toUnixTimestamp64Milli(event_time) AS ms
    FROM prediction_log
    WHERE pipeline = {pipeline:String} AND reason = '' AND ($within)
)
GROUP BY start
"""

# `labelled_predictions` of some windows, rows without a label too.
_WITH_LABELS = """
FROM
(
    SELECT toUnixTimestamp64Milli(event_time) AS ms, event_id, model_version, score, decision,
           source_topic_id, source_partition, source_offset,
           if(schema_hash = {schema:String}, features[{place:UInt32}], nan) AS amount,
           if(schema_hash = {cut_schema:String},
              arrayMap(at -> features[at], {cut_places:Array(UInt32)}), []) AS cut_by
    FROM prediction_log FINAL
    WHERE $rows
    SETTINGS do_not_merge_across_partitions_select_final = 1
) AS scored
LEFT JOIN
(
    SELECT event_id, label
    FROM label_log FINAL
    WHERE pipeline = {pipeline:String}
      AND event_id IN (SELECT event_id FROM prediction_log WHERE $rows)
) AS truth ON truth.event_id = scored.event_id
"""

_ROWS = """
pipeline = {pipeline:String} AND reason = '' AND score >= 0 AND score <= 1 AND ($within)
AND cityHash64(event_id) % {share:UInt64} = 0
"""

_SCORED_ROWS = f"""
SELECT toString(model_version) AS version, ms - positiveModulo(ms, {{window:Int64}}) AS start,
       ms AS event_time, score, decision, label, amount, cut_by
{_WITH_LABELS}
ORDER BY ms, source_topic_id, source_partition, source_offset
SETTINGS join_use_nulls = 1
"""

_TOTALS = f"""
SELECT toString(model_version) AS version, ms - positiveModulo(ms, {{window:Int64}}) AS start,
       count(), count(label)
{_WITH_LABELS}
GROUP BY version, start
ORDER BY start, version
SETTINGS join_use_nulls = 1
"""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Scored rows in order of event time (of one moment: of their source), each array [n].

    `labels` is NaN where the label has not come; `amounts` NaN where there is none. `cut_by`
    float64[n, k] are the features that segments are cut by, NaN where they are missing.
    """

    versions: npt.NDArray[np.object_]
    starts_ms: Longs
    event_times_ms: Longs
    scores: Floats
    flagged: Flags
    labels: Floats
    amounts: Floats
    cut_by: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, rows: Flags) -> "ScoredRows":
        """The rows where `rows` bool[n] is true."""
        return ScoredRows(
            self.versions[rows],
            self.starts_ms[rows],
            self.event_times_ms[rows],
            self.scores[rows],
            self.flagged[rows],
            self.labels[rows],
            self.amounts[rows],
            self.cut_by[rows],
        )


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """How many rows of a window were scored by a model version, and how many have their label."""

    model_version: str
    start_ms: int
    n_scored: int
    n_labelled: int


def count_rows(
    client: Client, pipeline: str, starts_ms: Sequence[int], *, window_ms: int
) -> dict[int, int]:
    """About how many rows were scored in each window; of a replay some may be counted twice."""
    found: dict[int, int] = {}
    for some in _chunks(starts_ms):
        rows = client.query(
            _COUNTED.replace("$within", _within(some, window_ms)),
            {"pipeline": pipeline, "window": window_ms},
        )
        found |= dict(rows)
    return {start: found.get(start, 0) for start in starts_ms}


def scored_rows(
    client: Client,
    pipeline: str,
    starts_ms: Sequence[int],
    *,
    window_ms: int,
    share: int = 1,
    amount: tuple[str, int] | None = None,
    cut_by: tuple[str, Sequence[int]] = ("", ()),
) -> ScoredRows:
    """The rows of at most MAX_RANGES windows with their labels, or one in `share` of them.

    Which, goes by their event ids: the same whenever it is asked. `amount` is a schema hash and the
    place, from 0, of the feature that is the money of a row of that schema; `cut_by` those of the
    features that its segments are cut by.
    """
    assert len(starts_ms) <= MAX_RANGES
    schema_hash, place = amount or ("", 0)
    cut_schema, cut_places = cut_by
    table = client.query_arrow(
        _of_windows(_SCORED_ROWS, starts_ms, window_ms),
        {
            "pipeline": pipeline,
            "window": window_ms,
            "share": share,
            "schema": schema_hash,
            "place": place + 1,
            "cut_schema": cut_schema,
            "cut_places": [each + 1 for each in cut_places],
        },
    )
    return _rows(table, len(cut_places))


def window_totals(
    client: Client, pipeline: str, starts_ms: Sequence[int], *, window_ms: int
) -> list[WindowTotals]:
    """Exact counts of at most MAX_RANGES windows, by model version."""
    assert len(starts_ms) <= MAX_RANGES
    rows = client.query(
        _of_windows(_TOTALS, starts_ms, window_ms),
        {
            "pipeline": pipeline,
            "window": window_ms,
            "share": 1,
            "schema": "",
            "place": 1,
            "cut_schema": "",
            "cut_places": [],
        },
    )
    return [WindowTotals(*row) for row in rows]


def _of_windows(sql: str, starts_ms: Sequence[int], window_ms: int) -> str:
    """The template's SQL; only numbers are put in, the rest the server binds."""
    return sql.replace("$rows", _ROWS).replace("$within", _within(starts_ms, window_ms))


def _within(starts_ms: Sequence[int], window_ms: int) -> str:
    """The condition that event_time lies in one of the windows; neighbours are one stretch."""
    stretches: list[list[int]] = []
    for start in sorted(starts_ms):
        if stretches and stretches[-1][1] == start:
            stretches[-1][1] = start + window_ms
        else:
            stretches.append([start, start + window_ms])
    return " OR ".join(
        f"(event_time >= fromUnixTimestamp64Milli({start}) AND"
        f" event_time < fromUnixTimestamp64Milli({end}))"
        for start, end in stretches
    )


def _chunks(starts_ms: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(starts_ms), MAX_RANGES):
        yield starts_ms[at : at + MAX_RANGES]


def _rows(table: pa.Table, n_cut_by: int) -> ScoredRows:
    def real(name: str) -> Floats:
        column = table.column(name).cast(pa.float64()).fill_null(float("nan"))
        return np.asarray(column.to_numpy(), dtype=np.float64)

    return ScoredRows(
        versions=np.array(table.column("version").to_pylist(), dtype=object),
        starts_ms=table.column("start").to_numpy(),
        event_times_ms=table.column("event_time").to_numpy(),
        scores=real("score"),
        flagged=np.asarray(table.column("decision").cast(pa.bool_()).to_numpy(), dtype=np.bool_),
        labels=real("label"),
        amounts=real("amount"),
        cut_by=_matrix(table.column("cut_by"), n_cut_by),
    )


def _matrix(lists: pa.ChunkedArray, width: int) -> Floats:
    """float64[n, width] of lists that have `width` values, or none: NaN there."""
    found = np.full((len(lists), width), np.nan)
    given = lists.combine_chunks().value_lengths().to_numpy(zero_copy_only=False) == width
    if width and given.any():
        values = lists.combine_chunks().flatten().cast(pa.float64())
        found[given] = values.to_numpy(zero_copy_only=False).reshape(-1, width)
    return found
