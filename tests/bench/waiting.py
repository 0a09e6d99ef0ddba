"""Waiting for a contender to get somewhere, and giving up with a reason when it does not."""

import time
from collections.abc import Callable

from tests.bench.cluster import Cluster
from tests.bench.processes import Child, RunFailed

START_TIMEOUT_S = 60.0
STALL_S = 20.0
POLL_S = 0.1


def wait_for_records(
    cluster: Cluster,
    topic: str,
    n: int,
    child: Child,
    *,
    on_poll: Callable[[int], None] = lambda _done: None,
) -> None:
    """Return once `topic` holds `n` records; raises RunFailed when the contender dies or stalls."""
    done, moved_at = 0, time.monotonic()
    while done < n:
        child.check()
        now_done = cluster.end_offset(topic)
        on_poll(now_done)
        if now_done > done:
            done, moved_at = now_done, time.monotonic()
        patience_s = STALL_S if done else START_TIMEOUT_S
        if time.monotonic() - moved_at > patience_s:
            raise RunFailed(
                f"stalled at {done:,} of {n:,} predictions for {patience_s:.0f} s:"
                f" {child.last_words()} (log: {child.log_file})"
            )
        if done < n:
            time.sleep(POLL_S)
