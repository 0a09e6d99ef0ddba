"""What new labels and predictions touch, which windows are mature, and how many labels there are.

Windows are [start, start + window_ms) of event time; starts are multiples of `window_ms` since
1970, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from storage.client import Client
from storage.scored_rows import WindowTotals

COUNTED_MEASURE = "brier"
"""A measure that every window has: its rows in quality_log say what was scored and labelled."""

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

_MATURING = """
SELECT toString(model_version) AS version, toUnixTimestamp64Milli(window_start) AS start,
       n_scored, n_labelled,
       start + {window:Int64} + {lateness:Int64} <= {reached:Int64}
       AND n_labelled >= {rows:Int64} AND n_labelled >= {maturity:Float64} * n_scored AS mature
FROM quality_metrics
WHERE pipeline = {pipeline:String} AND measure = {measure:String} AND segment = ''
  AND toUnixTimestamp64Milli(window_end) = start + {window:Int64}
  AND n_scored >= {rows:Int64}
  AND start > if(has({versions:Array(String)}, version),
                 {after:Array(Int64)}[indexOf({versions:Array(String)}, version)],
                 {lowest:Int64})
"""

_FIRST_IMMATURE = """
SELECT version, min(start) FROM ($maturing) WHERE NOT mature GROUP BY version
""".replace("$maturing", _MATURING)

_MATURE = """
SELECT version, start, n_scored, n_labelled FROM ($maturing) WHERE mature
ORDER BY start LIMIT {limit:UInt32} BY version
""".replace("$maturing", _MATURING)

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


@dataclass(frozen=True, slots=True)
class Maturity:
    """When a window can be judged: events have reached its end and `lateness_ms` beyond, and of at
    least `min_rows` rows a `share` has its label, and at least `min_rows` have."""

    share: float
    min_rows: int
    lateness_ms: int
    reached_ms: int


@dataclass(frozen=True, slots=True)
class Maturing:
    """Mature windows of a version in order of time, and the start of the first that is not."""

    mature: tuple[WindowTotals, ...]
    first_immature_ms: int | None


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


def mature_windows(
    client: Client,
    pipeline: str,
    *,
    window_ms: int,
    maturity: Maturity,
    after_ms: Mapping[str, int],
    limit: int = 1000,
) -> dict[str, Maturing]:
    """By model version, the measured windows that can be judged: those after `after_ms` of their
    version (all of a version that it does not name)."""
    parameters = {
        "pipeline": pipeline,
        "measure": COUNTED_MEASURE,
        "window": window_ms,
        "lateness": maturity.lateness_ms,
        "reached": maturity.reached_ms,
        "rows": maturity.min_rows,
        "maturity": maturity.share,
        "versions": list(after_ms),
        "after": list(after_ms.values()),
        "lowest": -(2**62),
        "limit": limit,
    }
    first_immature = dict(client.query(_FIRST_IMMATURE, parameters))
    found: dict[str, list[WindowTotals]] = {}
    for row in client.query(_MATURE, parameters):
        window = WindowTotals(*row)
        found.setdefault(window.model_version, []).append(window)
    return {
        version: Maturing(tuple(windows), first_immature.get(version))
        for version, windows in found.items()
    }


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
