"""Unscorable rows become rejections; the rest keeps its order."""

import numpy as np

from inference.decode import Decoded, Rejected
from inference.engine import Scored
from inference.isolate import Unscorable
from schemas.errors import Reason
from stream_processors.score.settle import settle


def decoded() -> Decoded:
    return Decoded(
        rows=np.array([0, 2, 3, 5]),
        features=np.arange(8, dtype=np.float32).reshape(4, 2),
        event_ids=["a", "b", "c", "d"],
        entities=["1", "2", "3", "4"],
        event_times_ms=np.array([10, 20, 30, 40]),
        rejections=[Rejected(1, Reason.MALFORMED, "x"), Rejected(4, Reason.MALFORMED, "y")],
    )


def scored(*unscorable: Unscorable) -> Scored:
    scores = np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32)
    return Scored(scores, scores > 0.25, "m", 5, unscorable)


def test_without_unscorable_rows_nothing_changes() -> None:
    before = decoded(), scored()
    assert settle(*before) == before


def test_an_unscorable_row_leaves_the_batch_and_is_rejected_at_its_place() -> None:
    kept, scores = settle(decoded(), scored(Unscorable(2, "nan")))
    assert kept.event_ids == ["a", "b", "d"]
    assert kept.entities == ["1", "2", "4"]
    assert kept.rows.tolist() == [0, 2, 5]
    assert kept.features[:, 0].tolist() == [0.0, 2.0, 6.0]
    assert np.allclose(scores.scores, [0.1, 0.2, 0.4])
    assert scores.decisions.tolist() == [False, False, True]
    assert [(each.row, each.reason) for each in kept.rejections] == [
        (1, Reason.MALFORMED),
        (3, Reason.UNSCORABLE),
        (4, Reason.MALFORMED),
    ]
