"""Memory over a long run: how much, and does it grow with the number of events?"""

import numpy as np

from tests.bench.cases import Case
from tests.bench.generator import preload
from tests.bench.processes import RunFailed, on_core
from tests.bench.throughput import check_outputs
from tests.bench.waiting import wait_for_records
from tests.bench.workplace import Workplace

SETTLED = 0.2
"""The line is fitted to what comes after this fraction of the events."""


def measure_memory(place: Workplace, case: Case, n_events: int) -> dict[str, float]:
    """Resident memory sampled ten times a second over `n_events`, preloaded; raises RunFailed."""
    cluster, samples = place.cluster, list[tuple[int, float]]()
    with place.topics() as topics:
        with on_core(place.cores.worker):
            preload(
                cluster.bootstrap,
                topics.names.features,
                cluster.n_partitions,
                case.wire_format,
                n_events,
            )
        with place.contender(case, topics) as child:
            wait_for_records(
                cluster,
                topics.names.predictions,
                n_events,
                child,
                on_poll=lambda done: samples.append((done, child.rss_mib())),
            )
            peak_rss_mib = child.peak_rss_mib()
            figures = check_outputs(place, case, topics, n_events)
    return {
        **figures,
        "peak_rss_mib": peak_rss_mib,
        "n_events": float(n_events),
        **growth(samples, n_events),
    }


def growth(samples: list[tuple[int, float]], n_events: int) -> dict[str, float]:
    """First and last settled sample, and the slope of the line through all settled ones."""
    settled = [(done, rss) for done, rss in samples if SETTLED * n_events <= done <= n_events]
    if len(settled) < 3:
        raise RunFailed(f"{len(settled)} memory samples are too few: take more events")
    done, rss = np.array(settled).T
    slope = np.polyfit(done / 1e6, rss, 1)[0] if np.ptp(done) else 0.0
    return {
        "rss_start_mib": float(rss[0]),
        "rss_end_mib": float(rss[-1]),
        "mib_per_million_events": float(slope),
        "n_samples": float(len(settled)),
    }
