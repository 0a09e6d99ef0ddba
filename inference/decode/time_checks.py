"""Event times against the append times of the same records."""

import numpy as np

from inference.decode.types import Longs, Parsed, Rejected
from schemas.errors import Reason

_FAR_MS = 2**62  # append times beyond are nonsense; the sum below must not wrap


def settle_event_times(parsed: Parsed, append_times_ms: Longs, *, max_ahead_ms: int) -> Parsed:
    """`parsed` without absurd event times, and with the append time where an event gives none."""
    appended = append_times_ms[parsed.rows]
    given = parsed.event_times_ms
    latest = np.minimum(appended, _FAR_MS) + max_ahead_ms
    good = (given >= 0) & (given <= latest)
    settled = Parsed(
        parsed.rows,
        parsed.features,
        parsed.event_ids,
        np.where(given == 0, appended, given),
        parsed.rejections,
    )
    if good.all():
        return settled
    rejections = []
    for at in np.flatnonzero(~good).tolist():
        time = int(given[at])
        wrong = (
            "negative"
            if time < 0
            else f"{time - int(appended[at])} ms after its append time, {max_ahead_ms} are allowed"
        )
        explanation = f"event_time_ms is {time}, {wrong}"
        rejections.append(Rejected(int(parsed.rows[at]), Reason.BAD_EVENT_TIME, explanation))
    return settled.keep(good, rejections)
