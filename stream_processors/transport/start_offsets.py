"""Where to start reading a partition, given what was committed and what the topic holds now."""

from dataclasses import dataclass
from enum import StrEnum


class StartReason(StrEnum):
    FIRST_START = "first_start"
    RESUMED = "resumed"
    TOPIC_RECREATED = "topic_recreated"
    OFFSETS_EXPIRED = "offsets_expired"
    TOPIC_TRUNCATED = "topic_truncated"


@dataclass(frozen=True, slots=True)
class Start:
    """`offset` to read from, why, and how many committed-to offsets are out of reach (`n_lost`)."""

    offset: int
    reason: StartReason
    n_lost: int = 0

    @property
    def is_clean(self) -> bool:
        """Nothing was lost and nothing was replaced under us."""
        return self.reason in (StartReason.FIRST_START, StartReason.RESUMED)


def resolve_start(
    *, committed: int | None, committed_topic_id: str, topic_id: str, low: int, high: int
) -> Start:
    """Decide from the committed offset (None: never), the topic id kept with it ("" if unknown),
    the topic's id, and its first and end offsets. Everything but a first start or a resumption is
    to be said and counted by the caller: events were lost, or the topic is another one.
    """
    if committed is None:
        return Start(low, StartReason.FIRST_START)
    if committed_topic_id and committed_topic_id != topic_id:
        return Start(low, StartReason.TOPIC_RECREATED)
    if committed < low:
        return Start(low, StartReason.OFFSETS_EXPIRED, n_lost=low - committed)
    if committed > high:
        return Start(high, StartReason.TOPIC_TRUNCATED, n_lost=committed - high)
    return Start(committed, StartReason.RESUMED)
