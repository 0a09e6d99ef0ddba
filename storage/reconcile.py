"""Whether the log answers for every source offset that the scorer committed.

Coverage is compared, not offsets: compaction and transactions leave offsets that no record has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from storage.client import Client

COMPACT_AFTER_S = 3600


@dataclass(frozen=True, slots=True, order=True)
class SourcePartition:
    """One partition of one incarnation of a source topic."""

    topic: str
    topic_id: str
    partition: int


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """Offsets from `start` up to, not including, `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Offsets that were committed and are not answered for in the log.

    `pending`: nothing later is answered for either, so the log may only be behind. It is a loss
    once the log has read all that was in `scored-batches` when the offset was committed.
    """

    source: SourcePartition
    start: int
    stop: int
    pending: bool

    @property
    def n_offsets(self) -> int:
        return self.stop - self.start


def find_gaps(
    covered: Mapping[SourcePartition, Sequence[Interval]],
    committed: Mapping[SourcePartition, int],
    starts: Mapping[SourcePartition, int] | None = None,
) -> list[Gap]:
    """The gaps below the committed offset of each partition, in order.

    Read `committed` before `covered`. `starts` is the first offset to answer for; by default the
    first one ever covered, because retention may have removed what was before it, and 0 where
    nothing is covered.
    """
    found = []
    for source, end in sorted(committed.items()):
        intervals = merge(covered.get(source, ()))
        first, last = (intervals[0].start, intervals[-1].stop) if intervals else (0, 0)
        position = (starts or {}).get(source, first)
        found += [
            Gap(source, missing.start, missing.stop, pending=missing.start >= last)
            for missing in _complement(intervals, Interval(position, end))
        ]
    return found


def _complement(intervals: Sequence[Interval], within: Interval) -> Iterator[Interval]:
    """What of `within` lies in none of the merged `intervals`."""
    position = within.start
    for interval in intervals:
        if interval.start >= within.stop:
            break
        if interval.start > position:
            yield Interval(position, interval.start)
        position = max(position, interval.stop)
    if position < within.stop:
        yield Interval(position, within.stop)


def merge(intervals: Sequence[Interval]) -> list[Interval]:
    """The same offsets as the fewest intervals, in order."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if interval.stop <= interval.start:
            continue
        if merged and interval.start <= merged[-1].stop:
            merged[-1] = Interval(merged[-1].start, max(merged[-1].stop, interval.stop))
        else:
            merged.append(interval)
    return merged


MERGED_COVERAGE = """
SELECT pipeline, source_topic, source_topic_id, source_partition,
       min(covers_from) AS first, max(covers_to) AS last
FROM (
    SELECT *, sum(starts_anew) OVER (
        PARTITION BY pipeline, source_topic, source_topic_id, source_partition
        ORDER BY covers_from, covers_to ROWS UNBOUNDED PRECEDING) AS island
    FROM (
        SELECT *, covers_from > max(covers_to) OVER (
            PARTITION BY pipeline, source_topic, source_topic_id, source_partition
            ORDER BY covers_from, covers_to
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS starts_anew
        FROM coverage_log
        WHERE pipeline = {pipeline:String}
    )
)
GROUP BY pipeline, source_topic, source_topic_id, source_partition, island
"""


def read_coverage(client: Client, pipeline: str) -> dict[SourcePartition, list[Interval]]:
    """What the log answers for, merged by the server: a row for each run without a gap."""
    covered: dict[SourcePartition, list[Interval]] = {}
    for _, topic, topic_id, partition, first, last in client.query(
        MERGED_COVERAGE, {"pipeline": pipeline}
    ):
        source = SourcePartition(topic, topic_id, partition)
        covered.setdefault(source, []).append(Interval(first, last))
    return {source: merge(intervals) for source, intervals in covered.items()}


def compact_coverage(client: Client, pipeline: str, older_than_s: int = COMPACT_AFTER_S) -> None:
    """Replace coverage older than `older_than_s` by its merged runs, which also renews its expiry.

    The runs are inserted before what they stand for is deleted, and an insert takes far less than
    `older_than_s` to be seen; so a crash in between, or two at once, leave the same union.
    """
    ((cutoff,),) = client.query(
        "SELECT toString(now64(3, 'UTC') - toIntervalSecond({age:UInt32}))", {"age": older_than_s}
    )
    client.command(
        "INSERT INTO coverage_log (pipeline, source_topic, source_topic_id, source_partition, "
        "covers_from, covers_to) " + MERGED_COVERAGE,
        {"pipeline": pipeline},
    )
    client.command(
        "DELETE FROM coverage_log "
        "WHERE pipeline = {pipeline:String} AND logged_at < {cutoff:DateTime64(3, 'UTC')}",
        {"pipeline": pipeline, "cutoff": cutoff},
    )
