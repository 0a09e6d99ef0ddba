"""Latency: a constant rate in, and the time from produce to prediction readable by a consumer."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from tests.bench.cases import Case, Outcome
from tests.bench.cluster import RunTopics
from tests.bench.generator import Sent, send_now
from tests.bench.processes import Child, RunFailed
from tests.bench.waiting import wait_for_records
from tests.bench.workplace import Workplace

N_PROBES = 20
MAX_OBSERVED_PER_S = 25_000
_SETTLE_S = 15.0
_MIN_RATE_KEPT = 0.98


def measure_latency(place: Workplace, case: Case, warm_up_s: float, measured_s: float) -> Outcome:
    """p50 and p99 over `measured_s` after `warm_up_s` at the same rate; raises RunFailed."""
    with place.topics() as topics:
        out = place.directory / f"{topics.prefix}observed.npz"
        observer = _start_observer(place, case, topics, out)
        try:
            with place.contender(case, topics) as child:
                _wait_until_ready(place, case, topics, child)
                sent = _generate(place, case, topics, warm_up_s + measured_s)
                n_wanted = N_PROBES + sent.n
                n_done = _settle(place, topics, child, n_wanted)
                peak_rss_mib = child.peak_rss_mib()
        finally:
            place.children.stop(observer)
    if not out.exists():
        raise RunFailed(f"the observer left nothing: {observer.last_words()}")
    with np.load(out) as observed:
        stamps, seen = observed["stamp_ns"], observed["seen_ns"]
    out.unlink()
    inside = (stamps >= sent.first_ns + int(warm_up_s * 1e9)) & (stamps <= sent.last_ns)
    if not inside.any():
        raise RunFailed("no prediction of the measured time was seen")
    latency_ms = (seen[inside] - stamps[inside]) / 1e6
    p50, p99, worst = np.percentile(latency_ms, [50, 99, 100])
    figures = {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": float(worst),
        "sent_per_s": sent.events_per_s,
        "generator_worst_lag_ms": sent.worst_lag_ms,
        "n_observed": float(inside.sum()),
        "peak_rss_mib": peak_rss_mib,
    }
    return Outcome(case, figures, remark=_remark(case, sent, n_done, n_wanted))


def _start_observer(place: Workplace, case: Case, topics: RunTopics, out: Path) -> Child:
    cluster = place.cluster
    options = {
        "--bootstrap": cluster.bootstrap,
        "--topic": topics.names.predictions,
        "--partitions": str(cluster.n_partitions),
        "--stride": str(max(1, -(-case.rate // MAX_OBSERVED_PER_S))),
        "--out": str(out),
    }
    command = [sys.executable, "-m", "tests.bench.observer"]
    command += [word for pair in options.items() for word in pair]
    return place.children.start("observer", command, place.cores.broker)


def _wait_until_ready(place: Workplace, case: Case, topics: RunTopics, child: Child) -> None:
    """A few events through the whole way: the contender is up and has its partitions."""
    cluster = place.cluster
    send_now(
        cluster.bootstrap,
        topics.names.features,
        cluster.n_partitions,
        case.wire_format,
        first_sequence=0,
        n=N_PROBES,
    )
    wait_for_records(cluster, topics.names.predictions, N_PROBES, child)


def _generate(place: Workplace, case: Case, topics: RunTopics, seconds: float) -> Sent:
    cluster = place.cluster
    options = {
        "--bootstrap": cluster.bootstrap,
        "--topic": topics.names.features,
        "--partitions": str(cluster.n_partitions),
        "--format": case.wire_format,
        "--first-sequence": str(N_PROBES),
        "--rate": str(case.rate),
        "--seconds": str(seconds),
    }
    command = [sys.executable, "-m", "tests.bench.generator"]
    command += [word for pair in options.items() for word in pair]
    generator = place.children.start("generator", command, place.cores.broker)
    try:
        status = generator.wait(seconds * 3 + 30)
        if status:
            raise RunFailed(f"the generator exited with {status}: {generator.last_words()}")
    finally:
        place.children.stop(generator)
    return Sent(**json.loads(generator.last_words()))


def _settle(place: Workplace, topics: RunTopics, child: Child, n_wanted: int) -> int:
    """Wait for the last predictions, for a while; returns how many there are."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        child.check()
        n_done = place.cluster.end_offset(topics.names.predictions)
        if n_done >= n_wanted or time.monotonic() > deadline:
            time.sleep(0.3)  # the observer reads what has just been appended
            return n_done
        time.sleep(0.1)


def _remark(case: Case, sent: Sent, n_done: int, n_wanted: int) -> str:
    if n_done < n_wanted:
        return f"fell behind: {n_done:,} of {n_wanted:,} predicted {_SETTLE_S:.0f} s after the last"
    if sent.events_per_s < _MIN_RATE_KEPT * case.rate:
        return f"the generator only reached {sent.events_per_s:,.0f}/s"
    return ""
