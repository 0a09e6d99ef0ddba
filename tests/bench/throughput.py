"""Throughput: a topic filled beforehand, and the pace at which predictions come out of it."""

import time

from tests.bench.cases import Case
from tests.bench.cluster import RunTopics
from tests.bench.generator import preload
from tests.bench.processes import RunFailed, on_core
from tests.bench.readback import count_framed, read_predictions
from tests.bench.waiting import wait_for_records
from tests.bench.workplace import Workplace

DISCARD = 0.2
"""The first fifth of the predictions is start-up and warm-up."""
_FRAMES_TIMEOUT_S = 10.0


def measure_throughput(place: Workplace, case: Case, n_events: int) -> dict[str, float]:
    """Events a second by the broker's append times, and peak memory; raises RunFailed."""
    cluster = place.cluster
    with place.topics() as topics:
        # The worker's core is idle now.
        with on_core(place.cores.worker):
            preload(
                cluster.bootstrap,
                topics.names.features,
                cluster.n_partitions,
                case.wire_format,
                n_events,
            )
        with place.contender(case, topics) as child:
            wait_for_records(cluster, topics.names.predictions, n_events, child)
            peak_rss_mib = child.peak_rss_mib()
            figures = check_outputs(place, case, topics, n_events)
    return {**figures, "peak_rss_mib": peak_rss_mib, "n_events": float(n_events)}


def check_outputs(
    place: Workplace, case: Case, topics: RunTopics, n_events: int
) -> dict[str, float]:
    """Read everything back: pace and duplicates; one missing prediction or frame row fails it."""
    cluster = place.cluster
    partitions = cluster.partitions(topics.names.predictions)
    with on_core(place.cores.broker):
        found = read_predictions(cluster.bootstrap, partitions, n_events)
    if found.n_distinct != n_events:
        raise RunFailed(f"only {found.n_distinct:,} of {n_events:,} events have a prediction")
    if case.frames:
        _check_frames(place, topics, n_events)
    n_duplicates = float(found.n_records - found.n_distinct)
    return {"events_per_s": found.events_per_s(DISCARD), "n_duplicates": n_duplicates}


def _check_frames(place: Workplace, topics: RunTopics, n_events: int) -> None:
    """The last frame may be acknowledged after the last prediction: give it a moment."""
    cluster = place.cluster
    partitions = cluster.partitions(topics.names.scored_batches)
    deadline = time.monotonic() + _FRAMES_TIMEOUT_S
    while (framed := count_framed(cluster.bootstrap, partitions)) < n_events:
        if time.monotonic() > deadline:
            raise RunFailed(f"only {framed:,} of {n_events:,} events are in scored-batches")
        time.sleep(0.5)
