"""Every minute: does the log answer for every source offset that the scorer committed?"""

import time
from collections.abc import Callable

import structlog

from schemas.errors import ThalwegError
from schemas.settings import Settings
from schemas.topics import TopicNames
from storage.client import Client, connect
from storage.reconcile import (
    Gap,
    SourcePartition,
    compact_coverage,
    find_gaps,
    read_coverage,
)
from stream_processors import metrics
from stream_processors.topics import committed_offsets, describe, end_offsets

log = structlog.get_logger()

COMPACT_EVERY_S = 3600.0


class Reconciler:
    """Compares committed with covered offsets; a gap is a metric and a logged error.

    A gap with nothing after it may only mean that the log is behind. It counts as one when it was
    there at the last check too and the log has read everything since.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._compacted_at = clock()
        self._names = TopicNames(settings.pipeline, settings.kafka.topic_prefix)
        self._pending: set[tuple[SourcePartition, int]] = set()

    def check(self) -> list[Gap]:
        """The gaps found now. Blocking; an outage is logged and found again at the next check."""
        try:
            committed = self._committed_source_offsets()
            caught_up = self._log_has_read_everything()
            with connect(self._settings.clickhouse) as client:
                covered = read_coverage(client, self._settings.pipeline)
                self._compact_now_and_then(client)
        except ThalwegError as error:
            log.warning("reconcile_failed", error=str(error)[:500])
            return []
        found = find_gaps(covered, committed)
        gaps = [gap for gap in found if not gap.pending or self._is_overdue(gap, caught_up)]
        self._pending = {(gap.source, gap.start) for gap in found if gap.pending}
        self._report(gaps)
        return gaps

    def _compact_now_and_then(self, client: Client) -> None:
        """Merge old coverage, which otherwise grows by a row for each micro-batch."""
        if self._clock() - self._compacted_at >= COMPACT_EVERY_S:
            compact_coverage(client, self._settings.pipeline)
            self._compacted_at = self._clock()

    def _is_overdue(self, gap: Gap, caught_up: bool) -> bool:
        return caught_up and (gap.source, gap.start) in self._pending

    def _report(self, gaps: list[Gap]) -> None:
        metrics.COVERAGE_GAP.set(sum(gap.n_offsets for gap in gaps))
        for gap in gaps:
            log.error(
                "coverage_gap",
                topic=gap.source.topic,
                topic_id=gap.source.topic_id,
                partition=gap.source.partition,
                first=gap.start,
                n_offsets=gap.n_offsets,
            )

    def _committed_source_offsets(self) -> dict[SourcePartition, int]:
        kafka, name = self._settings.kafka, self._names.features
        topic = describe(kafka, [name]).get(name)
        if topic is None:
            return {}
        committed = committed_offsets(kafka, self._names.group("score"), [topic])
        return {
            SourcePartition(name, topic.id, partition): offset
            for (_, partition), offset in committed.items()
        }

    def _log_has_read_everything(self) -> bool:
        kafka, name = self._settings.kafka, self._names.scored_batches
        topic = describe(kafka, [name]).get(name)
        if topic is None:
            return False
        committed = committed_offsets(kafka, self._names.group("log"), [topic])
        ends = end_offsets(kafka, [topic])
        return all(committed.get(key, 0) >= end for key, end in ends.items())
