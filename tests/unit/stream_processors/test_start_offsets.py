"""Where reading starts, and when that is worth an error."""

import pytest

from stream_processors.transport.start_offsets import Start, StartReason, resolve_start


@pytest.mark.parametrize(
    ("committed", "committed_id", "low", "high", "expected"),
    [
        (None, "", 7, 90, Start(7, StartReason.FIRST_START)),
        (40, "a", 7, 90, Start(40, StartReason.RESUMED)),
        (40, "", 7, 90, Start(40, StartReason.RESUMED)),
        (90, "a", 7, 90, Start(90, StartReason.RESUMED)),
        (40, "old", 0, 90, Start(0, StartReason.TOPIC_RECREATED)),
        (3, "a", 7, 90, Start(7, StartReason.OFFSETS_EXPIRED, n_lost=4)),
        (95, "a", 7, 90, Start(90, StartReason.TOPIC_TRUNCATED, n_lost=5)),
    ],
)
def test_start(
    committed: int | None, committed_id: str, low: int, high: int, expected: Start
) -> None:
    found = resolve_start(
        committed=committed, committed_topic_id=committed_id, topic_id="a", low=low, high=high
    )
    assert found == expected
    assert found.is_clean == (expected.reason in (StartReason.FIRST_START, StartReason.RESUMED))
