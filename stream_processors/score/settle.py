"""Rows that the model could not score become rejections like any other."""

from dataclasses import replace

import numpy as np

from inference.decode import Decoded, Rejected
from inference.engine import Scored
from schemas.errors import Reason


def settle(decoded: Decoded, scored: Scored) -> tuple[Decoded, Scored]:
    """`decoded` and `scored` without the unscorable rows, which join the rejections."""
    if not scored.unscorable:
        return decoded, scored
    bad = [each.row for each in scored.unscorable]
    rejections = [
        Rejected(int(decoded.rows[each.row]), Reason.UNSCORABLE, each.explanation)
        for each in scored.unscorable
    ]
    kept = np.delete(np.arange(len(decoded.rows)), bad)
    kept_decoded = Decoded(
        rows=decoded.rows[kept],
        features=decoded.features[kept],
        event_ids=[decoded.event_ids[at] for at in kept.tolist()],
        entities=[decoded.entities[at] for at in kept.tolist()],
        event_times_ms=decoded.event_times_ms[kept],
        rejections=sorted([*decoded.rejections, *rejections], key=lambda each: each.row),
    )
    kept_scored = replace(
        scored, scores=scored.scores[kept], decisions=scored.decisions[kept], unscorable=()
    )
    return kept_decoded, kept_scored
