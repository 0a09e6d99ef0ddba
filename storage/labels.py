"""What labels and predictions say together, window by window of event time.

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

COUNTED_MEASURE = "brier"
"""A measure that every window has: its rows in quality_log say what was scored and labelled."""
MAX_RANGES = 100
"""Stretches of event time that one query is asked for."""

_TOUCHED = """
SELECT start, max(latest)
FROM
(
    SELECT ms - positiveModulo(ms, {window:Int64}) AS start,
           maxIf(ms, ms <= appended_ms + {ahead:Int64}) AS latest
    FROM
    (
        SELECT toUnixTimestamp64Milli(event_time) AS ms,
               toUnixTimestamp64Milli(append_time) AS appended_ms
        FROM prediction_log
        WHERE pipeline = {pipeline:String} AND reason = ''
          AND logged_at >= fromUnixTimestamp64Milli({since:Int64})
    )
    GROUP BY start
    UNION ALL
    SELECT ms - positiveModulo(ms, {window:Int64}) AS start, toInt64(0) AS latest
    FROM
    (
        SELECT toUnixTimestamp64Milli(event_time) AS ms
        FROM prediction_events
        WHERE pipeline = {pipeline:String} AND event_id IN (
            SELECT event_id FROM label_arrivals
            WHERE pipeline = {pipeline:String}
              AND inserted_at >= fromUnixTimestamp64Milli({since:Int64}))
    )
    GROUP BY start
)
GROUP BY start
ORDER BY start
"""

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
           if(schema_hash = {schema:String}, features[{place:UInt32}], nan) AS amount
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
       ms AS event_time, score, decision, label, amount
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

_MEASURED = """
SELECT toString(model_version) AS version, toUnixTimestamp64Milli(window_start) AS start,
       n_scored, n_labelled
FROM quality_metrics
WHERE pipeline = {pipeline:String} AND measure = {measure:String} AND segment = ''
  AND toUnixTimestamp64Milli(window_end) = start + {window:Int64}
  AND start > if(has({versions:Array(String)}, version),
                 {after:Array(Int64)}[indexOf({versions:Array(String)}, version)],
                 {lowest:Int64})
ORDER BY start, version
"""

# By width, for there may be windows of another one, from before a change of settings.
_STRETCHES = """
SELECT stretch, max(n)
FROM
(
    SELECT start - positiveModulo(start, {step:Int64}) AS stretch, width, sum(n_labelled) AS n
    FROM
    (
        SELECT toUnixTimestamp64Milli(window_start) AS start,
               toUnixTimestamp64Milli(window_end) - start AS width, n_labelled
        FROM quality_metrics
        WHERE pipeline = {pipeline:String} AND measure = {measure:String} AND segment = ''
    )
    WHERE start >= {since:Int64} - positiveModulo({since:Int64}, {step:Int64})
    GROUP BY stretch, width
)
GROUP BY stretch
HAVING max(n) > 0
ORDER BY stretch
"""


@dataclass(frozen=True, slots=True)
class Touched:
    """What changed since some moment: windows with new predictions or labels, their starts
    ascending. `now_ms` is the server's clock before it looked; `reached_ms` the latest event time
    of the new predictions, None without any.
    """

    starts_ms: tuple[int, ...]
    now_ms: int
    reached_ms: int | None


@dataclass(frozen=True, slots=True, eq=False)
class ScoredRows:
    """Scored rows in order of event time (of one moment: of their source), each array [n].

    `labels` is NaN where the label has not come; `amounts` NaN where there is none.
    """

    versions: npt.NDArray[np.object_]
    starts_ms: Longs
    event_times_ms: Longs
    scores: Floats
    flagged: Flags
    labels: Floats
    amounts: Floats

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
        )


@dataclass(frozen=True, slots=True)
class WindowTotals:
    """How many rows of a window were scored by a model version, and how many have their label."""

    model_version: str
    start_ms: int
    n_scored: int
    n_labelled: int


def touched_windows(
    client: Client, pipeline: str, *, window_ms: int, since_ms: int, max_ahead_ms: int
) -> Touched:
    """The windows that predictions or labels inserted since `since_ms` (server's clock) fall into.

    An event time more than `max_ahead_ms` after its append time says nothing of `reached_ms`.
    What an insert under way at `now_ms` brings may carry an earlier time: ask again from before it.
    """
    ((now_ms,),) = client.query("SELECT toUnixTimestamp64Milli(now64(3))")
    rows = client.query(
        _TOUCHED,
        {
            "pipeline": pipeline,
            "window": window_ms,
            "since": max(0, since_ms),
            "ahead": max_ahead_ms,
        },
    )
    reached = max((latest for _, latest in rows), default=0)
    return Touched(tuple(start for start, _ in rows), now_ms, reached or None)


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
) -> ScoredRows:
    """The rows of at most MAX_RANGES windows with their labels, or one in `share` of them.

    Which, goes by their event ids: the same whenever it is asked. `amount` is a schema hash and the
    place, from 0, of the feature that is the money of a row of that schema.
    """
    assert len(starts_ms) <= MAX_RANGES
    schema_hash, place = amount or ("", 0)
    table = client.query_arrow(
        _of_windows(_SCORED_ROWS, starts_ms, window_ms),
        {
            "pipeline": pipeline,
            "window": window_ms,
            "share": share,
            "schema": schema_hash,
            "place": place + 1,
        },
    )
    return _rows(table)


def window_totals(
    client: Client, pipeline: str, starts_ms: Sequence[int], *, window_ms: int
) -> list[WindowTotals]:
    """Exact counts of at most MAX_RANGES windows, by model version."""
    assert len(starts_ms) <= MAX_RANGES
    rows = client.query(
        _of_windows(_TOTALS, starts_ms, window_ms),
        {"pipeline": pipeline, "window": window_ms, "share": 1, "schema": "", "place": 1},
    )
    return [WindowTotals(*row) for row in rows]


def measured_windows(
    client: Client, pipeline: str, *, window_ms: int, after_ms: dict[str, int]
) -> list[WindowTotals]:
    """Windows whose quality was measured, those after `after_ms` of their model version (all of a
    version that it does not name), in order of time."""
    rows = client.query(
        _MEASURED,
        {
            "pipeline": pipeline,
            "measure": COUNTED_MEASURE,
            "window": window_ms,
            "versions": list(after_ms),
            "after": list(after_ms.values()),
            "lowest": -(2**62),
        },
    )
    return [WindowTotals(*row) for row in rows]


def labelled_counts(
    client: Client, pipeline: str, since_ms: int, step_ms: int
) -> list[tuple[int, int]]:
    """Starts of stretches of event time of `step_ms`, ascending, and the labelled rows in each.

    From the stretch that holds `since_ms` on, those with any. As last measured, so a minute old,
    and by whole windows: a window counts for the stretch that it begins in.
    """
    rows = client.query(
        _STRETCHES,
        {"pipeline": pipeline, "measure": COUNTED_MEASURE, "since": since_ms, "step": step_ms},
    )
    return [(int(start), int(n)) for start, n in rows]


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


def _rows(table: pa.Table) -> ScoredRows:
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
    )
