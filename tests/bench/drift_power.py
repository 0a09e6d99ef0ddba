"""Who sees which drift, how late, and who alarms where there is none: all on the same rows.

    python -m tests.bench.drift_power [--quick] [--json FILE]

Prints the tables of docs/drift/power.md. `thalweg drift scan` with its defaults against river's
ADWIN and written-anew defaults of others (see tests/bench/drift_rivals.py).
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from drift.findings import Level
from drift.rows import DEFAULT_ARL0, Rows, ScanOptions
from drift.scan import scan
from tests.bench import drift_rivals as rivals
from tests.bench.drift_streams import DRIFTS, SPECS, Drift, Matrix, drifting, stable

N_REFERENCE, WINDOW = 10_000, 1_000
N_DRIFTING, CHANGE = 50_000, 25_400
"""The change comes within a window, as changes do."""
SEED = 5

OURS = ("ours: notice", "ours: alert")
ADWIN = "river ADWIN"
FITS = {
    "PSI > 0.2": rivals.fit_psi,
    "KS p < 0.05": rivals.fit_p_value,
    "distance 0.1": rivals.fit_distance,
    "JS mean + 3 std": rivals.fit_chunks,
}
DATASET = {"KS p < 0.05": "KS, half of columns", "distance 0.1": "distance, half of columns"}
"""Evidently's dataset drift: half of the columns or more drift in one window."""
CONTENDERS = (*OURS, ADWIN, *FITS, *DATASET.values())


@dataclass(frozen=True)
class Alarm:
    """`column` None: of the data set as a whole. Raised once `row` rows were seen."""

    row: int
    column: int | None


@dataclass(frozen=True)
class Sizes:
    """`n_runs` of each drift, `n_stable` of each stable stream of `stable_windows` windows."""

    n_runs: int
    n_stable: int
    stable_windows: int


FULL, QUICK = Sizes(40, 20, 250), Sizes(5, 4, 100)


def alarms(matrix: Matrix, columns: tuple[int, ...]) -> dict[str, list[Alarm]]:
    """Every contender's alarms in order; those of ADWIN on `columns` only, to save time."""
    told: dict[str, list[Alarm]] = dict(zip(OURS, _ours(matrix), strict=True))
    told[ADWIN] = sorted(
        (
            Alarm(row, column)
            for column in columns
            for row in rivals.adwin_rows(matrix[:, column].tolist(), N_REFERENCE)
        ),
        key=lambda alarm: alarm.row,
    )
    for name, fit in FITS.items():
        flags = rivals.flags(fit, matrix, N_REFERENCE, WINDOW)
        told[name] = [
            Alarm(_end(window), int(column))
            for window, column in zip(*flags.nonzero(), strict=True)
        ]
        if name in DATASET:
            half = flags.mean(axis=1) >= rivals.DATASET_SHARE
            told[DATASET[name]] = [Alarm(_end(window), None) for window in half.nonzero()[0]]
    return told


def _ours(matrix: Matrix) -> Iterator[list[Alarm]]:
    """Notices (an alert is one), then alerts; a change that goes on is told once."""
    report = scan(Rows(SPECS, matrix), ScanOptions(n_reference=N_REFERENCE, window_rows=WINDOW))
    places = {spec.name: i for i, spec in enumerate(SPECS)}
    for levels in (Level, (Level.ALERT,)):
        yield [
            Alarm(found.row, places.get(found.name))
            for found in report.findings
            if found.level in levels
        ]


def _end(window: int) -> int:
    return N_REFERENCE + (int(window) + 1) * WINDOW


def delay(told: list[Alarm], drift: Drift) -> int | None:
    """Rows from the change to the first alarm that names what drifted, or the data set; None for
    none."""
    rows = [
        alarm.row - CHANGE
        for alarm in told
        if alarm.row > CHANGE and (alarm.column is None or alarm.column in drift.columns)
    ]
    return min(rows, default=None)


def power(sizes: Sizes) -> dict[str, dict[str, list[int | None]]]:
    """The delays of every run, by drift and contender."""
    table: dict[str, dict[str, list[int | None]]] = {}
    for number, drift in enumerate(DRIFTS):
        row: dict[str, list[int | None]] = {name: [] for name in CONTENDERS}
        for run in range(sizes.n_runs):
            rng = np.random.default_rng([SEED, number, run])
            matrix = drifting(drift, N_DRIFTING, CHANGE, rng)
            for name, told in alarms(matrix, drift.columns).items():
                row[name].append(delay(told, drift))
        table[drift.name] = row
        print(f"{drift.name}: done", file=sys.stderr, flush=True)
    return table


def false_alarms(sizes: Sizes) -> dict[str, dict[str, int]]:
    """Windows with an alarm in streams that are stable, by stream and contender."""
    table = {}
    n = N_REFERENCE + sizes.stable_windows * WINDOW
    for number, (name, rho) in enumerate({"iid": 0.0, "AR(1) 0.9": 0.9}.items()):
        counts = dict.fromkeys(CONTENDERS, 0)
        for run in range(sizes.n_stable):
            matrix = stable(n, np.random.default_rng([SEED, 1_000 + number, run]), rho)
            for contender, told in alarms(matrix, tuple(range(len(SPECS)))).items():
                counts[contender] += len({(each.row - 1) // WINDOW for each in told})
        table[name] = counts
        print(f"{name}: done", file=sys.stderr, flush=True)
    return table


def power_table(table: dict[str, dict[str, list[int | None]]]) -> str:
    """Markdown: the median delay in rows of the runs that saw it, and the share of misses."""
    lines = _heading("drift")
    for drift, row in table.items():
        cells = [_cell(row[name]) for name in CONTENDERS]
        lines.append(f"| {drift} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(delays: list[int | None]) -> str:
    seen = [each for each in delays if each is not None]
    missed = 1 - len(seen) / len(delays)
    if not seen:
        return "never"
    return f"{median(seen):,.0f}" + (f" ({missed:.0%} missed)" if missed else "")


def false_alarm_table(table: dict[str, dict[str, int]], sizes: Sizes) -> str:
    """Markdown: windows with an alarm of a thousand."""
    n = sizes.n_stable * sizes.stable_windows
    lines = _heading("stable stream")
    for stream, counts in table.items():
        cells = [f"{1000 * counts[name] / n:,.1f}" for name in CONTENDERS]
        lines.append(f"| {stream}, {n:,} windows | {' | '.join(cells)} |")
    return "\n".join(lines)


def _heading(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(CONTENDERS)} |", "|---" * (len(CONTENDERS) + 1) + "|"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five runs of each instead of forty")
    parser.add_argument("--json", type=Path, help="write every delay and count here")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    started = time.monotonic()
    delays, counts = power(sizes), false_alarms(sizes)
    print(power_table(delays), false_alarm_table(counts, sizes), sep="\n\n")
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.json:
        report: dict[str, Any] = {
            "n_reference": N_REFERENCE,
            "window_rows": WINDOW,
            "change_row": CHANGE,
            "n_rows": N_DRIFTING,
            "arl0": DEFAULT_ARL0,
            "n_runs": sizes.n_runs,
            "stable_windows": sizes.n_stable * sizes.stable_windows,
            "delays": delays,
            "false_alarm_windows": counts,
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


if __name__ == "__main__":
    main()
