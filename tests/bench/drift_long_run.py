"""The synthetic fraud stream for a long time: false notices of a stable one, and each drift seen.

    python -m tests.bench.drift_long_run --events 1000000 --window-hours 6

Prints the tables of docs/drift/long-run.md. Windows of event time, in pieces as workers cut them,
go straight through the live detector's `VersionWatch`: tests of windows with the reference's
customers, e-SR, ADWIN, the domain classifier, the book of alerts. The score is a stand-in, a
logistic function of six features.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from deploy.fraud import HISTORY_EVENTS
from drift.alert_book import Window
from drift.columns import specs_of
from drift.coverage import Coverage
from drift.entities import WINDOW_LIMIT, hash_entities
from drift.findings import Level
from drift.live import Answer, VersionWatch, WatchOptions
from drift.nulls import Nulls
from drift.reference import Reference, make_reference
from drift.row_sample import hash_places
from drift.rows import DEFAULT_ARL0
from drift.sketch import Sketch, SketchKey
from producers.fraud import FRAUD_SCHEMA, Drift, DriftKind, FraudBlock, FraudStream
from schemas.drift_events import AlertState

HOUR_MS = 3_600_000
PIECES = 6
"""Of a window."""
SAMPLE_ROWS = 200
SOURCE = ("features", 0)
DRIFT_AFTER, SEEN_WITHIN = 100_000, 300_000
"""Events behind the reference before a drift sets in, and those within which it is to be seen."""
DRIFTS = (
    (DriftKind.COVARIATE, 0.2),
    (DriftKind.COVARIATE, 0.5),
    (DriftKind.PRIOR, 1.0),
    (DriftKind.PRIOR, 3.0),
    (DriftKind.CONCEPT, 1.0),
    (DriftKind.BROKEN_FEATURE, 0.05),
    (DriftKind.BROKEN_FEATURE, 0.5),
)
WEIGHTS = {
    "log_amount": 0.4,
    "amount_to_customer_mean_30d": 0.6,
    "is_online": 1.5,
    "terminal_fraud_rate_7d": 8.0,
    "customer_fraud_reports_30d": 1.0,
    "is_new_terminal": 0.3,
}
INTERCEPT = -6.0

Matrix = NDArray[np.float32]


@dataclass(slots=True)
class Run:
    """What windows said: one entry of `noticed` a window, `opened` of the alert book."""

    noticed: list[tuple[Answer, ...]] = field(default_factory=list)
    opened: Counter[tuple[str, str]] = field(default_factory=Counter)
    n_alerts: int = 0
    n_events: int = 0

    @property
    def n_notices(self) -> int:
        """Episodes: what goes on is told once."""
        return self.opened.total()


@dataclass(frozen=True, slots=True)
class Seen:
    """A drift's first notice and first alert: windows from the change to their end, and columns."""

    notice: tuple[int, str] | None
    alert: tuple[int, str] | None


def rows_of(block: FraudBlock) -> Matrix:
    """float32[n, 31]: the features and the stand-in score."""
    features = block.features.astype(np.float32)
    at = [FRAUD_SCHEMA.names.index(name) for name in WEIGHTS]
    logit = INTERCEPT + features[:, at] @ np.array(list(WEIGHTS.values()))
    return np.column_stack([features, 1.0 / (1.0 + np.exp(-logit))]).astype(np.float32)


def read_reference(blocks: Iterator[FraudBlock], n_events: int) -> Reference:
    """The reference of the first whole days with `n_events` or more."""
    matrices, times, customers, n = [], [], [], 0
    for block in blocks:
        matrices.append(rows_of(block))
        times.append(block.event_time_ms)
        customers.append(block.customer)
        n += len(block)
        if n >= n_events:
            break
    return make_reference(
        np.concatenate(matrices),
        specs_of(FRAUD_SCHEMA),
        rng=np.random.default_rng(0),
        event_times=np.concatenate(times),
        entity_keys=np.concatenate(customers),
    )


def watch(
    stream: FraudStream, *, n_reference: int, n_events: int, window_hours: int, arl0: float
) -> Run:
    """Hold windows of the `n_events` events behind the reference against it, to whole days."""
    blocks = stream.blocks()
    reference = read_reference(blocks, n_reference)
    live = VersionWatch("fraud", "v1", reference, WatchOptions(arl0=arl0), nulls=Nulls(seed=0))
    run = Run()
    for block in blocks:
        matrix, hashes = rows_of(block), hash_entities(block.customer)
        for window, rows in _windows(block, window_hours * HOUR_MS):
            pieces = list(_pieces(reference, window, rows, matrix, hashes, block))
            for piece in pieces:
                live.feed(piece)
            checked = live.close(window, reduce(Sketch.merge, pieces))
            noticed = tuple(each for each in checked.answers if each.level is not None)
            run.noticed.append(noticed)
            run.n_alerts += sum(each.level is Level.ALERT for each in noticed)
            for event in checked.alerts:
                if event.state is AlertState.OPENED:
                    run.opened[event.detector, event.name] += 1
        run.n_events += len(block)
        if run.n_events >= n_events:
            break
    return run


def _pieces(
    reference: Reference,
    window: Window,
    rows: slice,
    matrix: Matrix,
    hashes: NDArray[np.uint64],
    block: FraudBlock,
) -> Iterator[Sketch]:
    """The sketches of a window's rows, in runs of offsets."""
    columns = reference.columns
    key = SketchKey("fraud", "v1", window.start_ms, window.end_ms, "", columns.fingerprint)
    empty = Sketch.empty(columns, key, entity_limit=WINDOW_LIMIT, sample_limit=SAMPLE_ROWS)
    for places in np.array_split(np.arange(rows.start, rows.stop), PIECES):
        if len(places):
            offsets = block.first_index + places
            yield empty.update(
                columns,
                matrix[places],
                Coverage.of({SOURCE: [(int(offsets[0]), int(offsets[-1]) + 1)]}),
                hashes[places],
                hash_places(SOURCE, offsets),
                latest_ms=int(block.event_time_ms[places[-1]]),
            )


def inject(
    kind: DriftKind, strength: float, *, seed: int, n_reference: int, window_hours: int, arl0: float
) -> Seen:
    """A drift `DRIFT_AFTER` events behind the reference, watched for `SEEN_WITHIN` events."""
    change = n_reference + DRIFT_AFTER
    run = watch(
        FraudStream(seed=seed, drifts=[Drift(kind, change, strength)]),
        n_reference=n_reference,
        n_events=DRIFT_AFTER + SEEN_WITHIN,
        window_hours=window_hours,
        arl0=arl0,
    )
    # Windows are of equal time, not of equal rows: which one holds the change is asked of the run
    # that has none, which is the same up to it.
    first = _window_of(seed, change, n_reference, window_hours)
    return Seen(
        _first(run.noticed[first:], (Level.NOTICE, Level.ALERT)),
        _first(run.noticed[first:], (Level.ALERT,)),
    )


def _first(
    windows: Sequence[tuple[Answer, ...]], levels: tuple[Level, ...]
) -> tuple[int, str] | None:
    for number, noticed in enumerate(windows, start=1):
        found = [each for each in noticed if each.level in levels]
        if found:
            ranked = sorted(found, key=lambda each: -abs(each.result.effect))
            names = list(dict.fromkeys(each.name for each in ranked))
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            return number, ", ".join(names[:2]) + more
    return None


def _window_of(seed: int, event: int, n_reference: int, window_hours: int) -> int:
    """The number, behind the reference, of the window that holds event number `event`."""
    number, in_reference = 0, True
    for block in FraudStream(seed=seed).blocks():
        if in_reference:
            in_reference = block.first_index + len(block) < n_reference
            continue
        for _, rows in _windows(block, window_hours * HOUR_MS):
            if block.first_index + rows.stop > event:
                return number
            number += 1
    raise AssertionError("the stream is endless")


def _windows(block: FraudBlock, window_ms: int) -> Iterator[tuple[Window, slice]]:
    """The windows of a day that have events; widths divide the day."""
    day_ms = int(block.event_time_ms[0]) // (24 * HOUR_MS) * 24 * HOUR_MS
    starts = np.arange(day_ms, day_ms + 24 * HOUR_MS, window_ms)
    edges = np.searchsorted(block.event_time_ms, [*starts, day_ms + 24 * HOUR_MS])
    for start, begin, end in zip(starts.tolist(), edges[:-1], edges[1:], strict=True):
        if begin < end:
            end_ms = start + window_ms
            yield Window(start, end_ms, end_ms), slice(int(begin), int(end))


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    sizes = {
        "n_reference": options.reference,
        "window_hours": options.window_hours,
        "arl0": options.arl0,
    }
    print("| seed | events | windows | stated | notices | by | alerts |\n" + "|---" * 7 + "|")
    n_windows, n_notices, n_alerts = 0, 0, 0
    for seed in options.seeds:
        run = watch(FraudStream(seed=seed), n_events=options.events, **sizes)
        by = ", ".join(f"{name} ({detector}) {n}" for (detector, name), n in run.opened.items())
        stated = len(run.noticed) / options.arl0
        print(
            f"| {seed} | {run.n_events:,} | {len(run.noticed):,} | {stated:.2f} | {run.n_notices} |"
            f" {by or '-'} | {run.n_alerts} |",
            flush=True,
        )
        n_windows += len(run.noticed)
        n_notices += run.n_notices
        n_alerts += run.n_alerts
    stated = n_windows / options.arl0
    print(
        f"\n{n_notices} notices in {n_windows:,} windows, {stated:.2f} stated: as many or more come"
        f" by chance in {poisson.sf(n_notices - 1, stated):.1%} of such runs; {n_alerts} alerts\n"
    )
    if options.drifts:
        print("| drift | strength | notice | column | alert | column |\n" + "|---" * 6 + "|")
        for kind, strength in DRIFTS:
            seen = inject(kind, strength, seed=options.seeds[0], **sizes)
            print(f"| {kind} | {strength:g} | {_cell(seen.notice)} | {_cell(seen.alert)} |")
    return 0


def _cell(seen: tuple[int, str] | None) -> str:
    return "- | -" if seen is None else f"{seen[0]} | {seen[1]}"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drift_long_run")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--window-hours", type=int, default=6, choices=(1, 2, 3, 4, 6, 8, 12, 24))
    parser.add_argument("--reference", type=int, default=HISTORY_EVENTS, help="events")
    parser.add_argument("--arl0", type=float, default=DEFAULT_ARL0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--drifts", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
