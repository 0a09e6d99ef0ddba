"""When a log is compacted, which of its segments are, and how far that has come."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.broker.configs import TopicConfig
from deploy.local.broker.log.cleaner import Source
from deploy.local.broker.log.index import replace_file
from deploy.local.broker.log.segment import Segment

_FILE = "compacted"
# Apache Kafka leaves the active segment alone until it is rolled by size or age. Development
# topics stay small: one that is dirty and of this size is rolled for compaction.
_ROLL_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """All below `upto` was compacted; from `horizon` (ms) on tombstones in there may go."""

    upto: int = 0
    horizon: int | None = None

    def save(self, directory: Path) -> None:
        """Raises OSError."""
        replace_file(directory / _FILE, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, directory: Path) -> "Progress":
        """What was saved; from the start where nothing was."""
        path = directory / _FILE
        return cls(**json.loads(path.read_bytes())) if path.exists() else cls()


def should_roll(
    segments: Sequence[Segment],
    progress: Progress,
    config: TopicConfig,
    now_ms: int,
    stable_offset: int,
) -> bool:
    """Whether the active segment, the last, is to be sealed so that it can be compacted."""
    active = segments[-1]
    if not active.size or not _may_clean(active, config, now_ms, stable_offset):
        return False
    if now_ms - active.first_append_ms >= config.max_compaction_lag_ms:
        return True
    return active.size >= _ROLL_BYTES and _is_dirty(segments, progress, config)


def due_sources(
    segments: Sequence[Segment],
    progress: Progress,
    config: TopicConfig,
    now_ms: int,
    stable_offset: int,
) -> list[Source]:
    """The sealed segments to compact now, all of them or none."""
    candidates: list[Segment] = []
    for segment in segments[:-1]:
        if not _may_clean(segment, config, now_ms, stable_offset):
            break
        candidates.append(segment)
    tombstones_due = progress.horizon is not None and progress.horizon <= now_ms
    overdue = any(
        segment.next_offset > progress.upto
        and now_ms - segment.first_append_ms >= config.max_compaction_lag_ms
        for segment in candidates
    )
    if not candidates or not (tombstones_due or overdue or _is_dirty(candidates, progress, config)):
        return []
    return [Source.of(segment) for segment in candidates]


def _may_clean(segment: Segment, config: TopicConfig, now_ms: int, stable_offset: int) -> bool:
    lag_ms = config.min_compaction_lag_ms
    settled = lag_ms == 0 or now_ms - segment.latest_ms() >= lag_ms
    return settled and segment.next_offset <= stable_offset


def _is_dirty(segments: Sequence[Segment], progress: Progress, config: TopicConfig) -> bool:
    dirty = sum(segment.size for segment in segments if segment.next_offset > progress.upto)
    total = sum(segment.size for segment in segments)
    return dirty > config.min_dirty_ratio * total
