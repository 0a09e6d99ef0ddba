"""Which segments time and size retention delete."""

from collections.abc import Sequence

from deploy.local.broker.configs import TopicConfig
from deploy.local.broker.log.segment import Segment


def count_expired(
    segments: Sequence[Segment], config: TopicConfig, now_ms: int, stable_offset: int
) -> int:
    """How many of the first segments may go, all of them included; none that a transaction needs.

    By time a segment goes when its newest record is older than retention.ms; by size the oldest
    go as long as what stays is not less than retention.bytes.
    """
    if not config.deletes:
        return 0
    surplus = sum(segment.size for segment in segments) - config.retention_bytes
    for number, segment in enumerate(segments):
        surplus -= segment.size
        aged = 0 <= config.retention_ms < now_ms - segment.latest_ms()
        # Only time deletes the last segment: appends go on in it.
        last = segment is segments[-1]
        spare = config.retention_bytes >= 0 and surplus >= 0 and not last
        if (
            not (aged or spare)
            or segment.next_offset > stable_offset
            or (last and not segment.size)
        ):
            return number
    return len(segments)
