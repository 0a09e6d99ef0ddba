"""Compaction of a log in use: the long part runs in a thread, the swap on the event loop."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from deploy.local.broker.configs import TopicConfig
from deploy.local.broker.log.cleaner import CancelledPassError, Pass, Source, groups_of
from deploy.local.broker.log.compaction import Progress, due_sources, should_roll
from deploy.local.broker.log.producers import Producers
from deploy.local.broker.log.recovery import known_segment
from deploy.local.broker.log.segment import Segment, log_path
from deploy.local.broker.log.swap import commit_swap, discard

log = structlog.get_logger(__name__)


class Compactor:
    """Compacts the log of `directory`, whose `segments` and `producers` it shares with it."""

    def __init__(self, directory: Path, segments: list[Segment], producers: Producers) -> None:
        self._directory = directory
        self._segments = segments
        self._producers = producers
        self._progress = Progress.load(directory)
        self._pass: Pass | None = None
        # Index files may still name aborted transactions whose records and markers are gone.
        producers.forget_aborted(self._progress.upto)

    def should_roll(self, config: TopicConfig, now_ms: int, stable_offset: int) -> bool:
        """Whether the active segment is to be sealed so that `run` can compact it."""
        return self._pass is None and should_roll(
            self._segments, self._progress, config, now_ms, stable_offset
        )

    async def run(
        self, config: TopicConfig, now_ms: int, start_offset: int, stable_offset: int
    ) -> None:
        """Compact what is due; what goes wrong is logged, and leaves the log readable as it was."""
        if self._pass is not None:
            return
        sources = due_sources(self._segments, self._progress, config, now_ms, stable_offset)
        if not sources:
            return
        self._pass = Pass(
            dirty_from=max(self._progress.upto, start_offset),
            start_offset=start_offset,
            aborted=tuple(self._producers.aborted),
            now_ms=now_ms,
            delete_retention_ms=config.delete_retention_ms,
        )
        try:
            await self._compact(self._pass, sources, config.segment_bytes)
        except CancelledPassError:
            log.info("compaction_cancelled", directory=str(self._directory))
        except Exception as error:  # a codec's errors too: one bad batch must not end the caller
            log.error("compaction_failed", directory=str(self._directory), error=repr(error))
        finally:
            self._pass.cancelled.set()
            self._pass = None

    def cancel(self) -> None:
        """End a running pass soon; the log stays as it is."""
        if self._pass is not None:
            self._pass.cancelled.set()

    async def _compact(self, current: Pass, sources: Sequence[Source], segment_bytes: int) -> None:
        n_before = n_after = 0
        await asyncio.to_thread(current.read_keys, sources)
        for group in groups_of(sources, current.upto, segment_bytes):
            changed = await asyncio.to_thread(current.rewrite, group, self._directory)
            if current.cancelled.is_set():
                raise CancelledPassError
            n_before += sum(source.size for source in group)
            n_after += self._replace(group, changed)
        progress = Progress(current.upto, current.horizon)
        progress.save(self._directory)
        self._progress = progress
        self._producers.forget_aborted(current.upto)
        log.info(
            "log_compacted",
            directory=str(self._directory),
            upto=current.upto,
            bytes_before=n_before,
            bytes_after=n_after,
        )

    def _replace(self, group: Sequence[Source], changed: bool) -> int:
        """Put the segment written for `group` in the place of its segments; its size in bytes."""
        base, last = group[0].base_offset, group[-1].base_offset
        replaced = [s for s in self._segments if base <= s.base_offset <= last]
        if not changed:
            discard(self._directory, base)
            return group[0].size
        if [segment.base_offset for segment in replaced] != [s.base_offset for s in group]:
            discard(self._directory, base)
            raise CancelledPassError  # retention took some of them meanwhile
        for segment in replaced:
            segment.rest()
        commit_swap(self._directory, base, last + 1)
        cleaned = known_segment(log_path(self._directory, base))
        number = self._segments.index(replaced[0])
        self._segments[number : number + len(replaced)] = [cleaned]
        return cleaned.size
