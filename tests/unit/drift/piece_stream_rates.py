"""Pieces of stationary and of drifting streams, and what ADWIN says of their means.

Long form: `DRIFT_LONG=1 python -m tests.unit.drift.piece_stream_rates` prints the tables of
docs/drift/piece-streams.md.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from drift.columns import ColumnSpec
from drift.coverage import Coverage
from drift.families import StatedRate
from drift.monitor import WindowMonitor
from drift.nulls import Nulls
from drift.piece_streams import PieceStreams
from drift.reference import Reference, make_reference
from drift.sketch import Sketch, SketchKey
from drift.summary import Summary

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
N_PARTITIONS = 3
WINDOW_MS = 60_000


def stream(kind: str, n: int, n_columns: int, rng: np.random.Generator) -> Floats:
    """A stationary stretch of rows float64[n, n_columns]."""
    if kind == "normal":
        return rng.standard_normal((n, n_columns))
    if kind == "ar0.9":
        from scipy.signal import lfilter

        noise = rng.standard_normal((n, n_columns)) * np.sqrt(0.19)
        noise[0] /= np.sqrt(0.19)
        return np.asarray(lfilter([1.0], [1.0, -0.9], noise, axis=0))
    if kind == "customers":  # each stays for 20 rows on average and has a level of its own
        code = np.cumsum(rng.random(n) < 0.05)
        level = rng.standard_normal((int(code[-1]) + 1, n_columns))
        return np.asarray(np.sqrt(0.5) * (level[code] + rng.standard_normal((n, n_columns))))
    if kind == "amounts":
        return np.asarray(np.exp(rng.standard_normal((n, n_columns))))
    if kind == "heavy amounts":
        return np.asarray(np.exp(1.5 * rng.standard_normal((n, n_columns))))
    if kind == "flags":
        return (rng.random((n, n_columns)) < 0.005).astype(np.float64)
    if kind == "missing":
        values = rng.standard_normal((n, n_columns))
        values[rng.random((n, n_columns)) < 0.7] = np.nan
        return values
    raise ValueError(kind)


@dataclass
class Pieces:
    """Cuts rows into pieces as workers do: flushes of unequal size, each of some partitions.

    Traffic changes eightfold every 20 windows: flushes of 30 to 600 rows, then of 240 to 4,800.
    """

    reference: Reference
    window_rows: int
    rng: np.random.Generator
    window: int = 0
    offsets: list[int] = field(default_factory=lambda: [0] * N_PARTITIONS)

    def of_window(self, matrix: Floats) -> Iterator[tuple[int, Sketch]]:
        """Pieces of one window's rows; each with the number of rows up to its flush's end."""
        begin = 0
        while begin < len(matrix):
            busy = 8 if self.window // 20 % 2 else 1
            end = begin + round(busy * 30 * 20 ** self.rng.random())
            rows = matrix[begin:end]
            n_partitions = int(self.rng.integers(1, N_PARTITIONS + 1))
            owner = self.rng.integers(n_partitions, size=len(rows))
            for partition in range(n_partitions):
                own = rows[owner == partition]
                if len(own):
                    yield min(end, len(matrix)), self._piece(own, partition)
            begin = end
        self.window += 1

    def _piece(self, rows: Floats, partition: int) -> Sketch:
        begin = self.offsets[partition]
        end = self.offsets[partition] = begin + len(rows)
        start = self.window * WINDOW_MS
        columns = self.reference.columns
        key = SketchKey("p", "1", start, start + WINDOW_MS, "", columns.fingerprint)
        covers = Coverage.of({("topic", partition): [(begin, end)]})
        return Sketch(key, moments(self.reference, rows), covers)


def moments(reference: Reference, rows: Floats) -> Summary:
    """The summary of rows without extremes: nobody looks at those."""
    empty = Summary.empty(reference.columns)
    finite = np.isfinite(rows)
    n_finite = finite.sum(axis=0)
    about = np.where(finite, rows - reference.columns.centres, 0.0)
    shift = about.sum(axis=0) / np.maximum(n_finite, 1)
    m2 = np.where(finite, about - shift, 0.0) ** 2
    return Summary(
        n=len(rows),
        counts=reference.columns.count(rows.astype(np.float32)),
        n_finite=n_finite.astype(np.int64),
        shift=shift,
        m2=m2.sum(axis=0),
        minimum=empty.minimum,
        maximum=empty.maximum,
        n_out_of_range=empty.n_out_of_range,
    )


def reference_of(rows: Floats, rng: np.random.Generator) -> Reference:
    specs = [ColumnSpec(f"x{i}") for i in range(rows.shape[1])]
    return make_reference(rows.astype(np.float32), specs, rng=rng)


@dataclass(frozen=True)
class Cell:
    kind: str
    n_columns: int = 30
    window_rows: int = 2_000
    reference_windows: int = 10
    arl0: float = 50.0
    n_references: int = 10
    n_windows: int = 500


@dataclass(frozen=True)
class Count:
    n_alarms: int
    stated: float
    watched: float

    @property
    def ratio(self) -> float:
        return self.n_alarms / self.stated


def count_alarms(cell: Cell, seed: int) -> Count:
    """Alarms of streams without drift, and how many the stated rate makes of them."""
    rng = np.random.default_rng(seed)
    n_alarms, n_watched = 0, 0
    for _ in range(cell.n_references):
        n_rows = cell.reference_windows * cell.window_rows
        reference = reference_of(stream(cell.kind, n_rows, cell.n_columns, rng), rng)
        streams = PieceStreams(reference, rate=StatedRate(cell.arl0), window_rows=cell.window_rows)
        n_watched += cell.n_columns - len(streams.restless)
        pieces = Pieces(reference, cell.window_rows, rng)
        for _ in range(cell.n_windows // 10):
            rows = stream(cell.kind, 10 * cell.window_rows, cell.n_columns, rng)
            for window in np.split(rows, 10):
                for _, piece in pieces.of_window(window):
                    n_alarms += len(streams.update(piece))
    stated = cell.n_references * cell.n_windows / cell.arl0
    return Count(n_alarms, stated, n_watched / cell.n_references / cell.n_columns)


@dataclass(frozen=True)
class Delay:
    """Rows from the change to the alarm of the column that moved, NaN where there was none in 20
    windows; the same for the windows' G test."""

    stream: Floats
    window: Floats


def measure_delay(sigma: float, n_runs: int, seed: int) -> Delay:
    """One of 30 normal columns moves at a random row of a window of 20,000, after five without.

    ARL0 is 1,000 windows for two families: ADWIN and the G test.
    """
    rng = np.random.default_rng(seed)
    rate, window_rows, n_columns = StatedRate(1_000.0, 2), 20_000, 30
    found, tested = np.full(n_runs, np.nan), np.full(n_runs, np.nan)
    reference = reference_of(stream("normal", 10 * window_rows, n_columns, rng), rng)
    monitor = WindowMonitor(reference, window_rows, rate=rate, nulls=Nulls(seed=1))
    for run in range(n_runs):
        streams = PieceStreams(reference, rate=rate, window_rows=window_rows)
        pieces = Pieces(reference, window_rows, rng)
        change = 5 * window_rows + int(rng.integers(window_rows))
        for window in range(25):
            rows = stream("normal", window_rows, n_columns, rng)
            begin, end = window * window_rows, (window + 1) * window_rows
            rows[max(0, change - begin) :, 0] += sigma
            for reached, piece in pieces.of_window(rows):
                moved = any(alarm.column == 0 for alarm in streams.update(piece))
                if moved and begin + reached > change and np.isnan(found[run]):
                    found[run] = begin + reached - change
            if end > change and np.isnan(tested[run]):
                verdict = monitor.check(reference.columns.count(rows.astype(np.float32)))
                if any(each.column == 0 for each in verdict.noticed):
                    tested[run] = end - change
            if not np.isnan(found[run]) and not np.isnan(tested[run]):
                break
    return Delay(found, tested)


CELLS = [
    Cell("normal"),
    Cell("normal", n_columns=1, arl0=20.0),
    Cell("normal", window_rows=500, reference_windows=40, n_windows=2_000),
    Cell("ar0.9"),
    Cell("ar0.9", window_rows=10_000, n_windows=100),
    Cell("customers"),
    Cell("customers", window_rows=10_000, n_windows=100),
    Cell("amounts"),
    Cell("amounts", window_rows=20_000, n_windows=50),
    Cell("heavy amounts"),
    Cell("flags"),
    Cell("missing"),
    Cell("normal", arl0=500.0, n_windows=2_000),
]
SHIFTS = (0.1, 0.25, 0.5, 1.0)


def main() -> None:
    long = bool(os.environ.get("DRIFT_LONG"))
    print(
        "| rows | columns | window | watched | windows | ARL0 | stated | alarms | realised/stated |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for cell in CELLS:
        if len(sys.argv) > 1 and cell.kind not in sys.argv[1:]:
            continue
        n_references = 5 if long else 2
        count = count_alarms(replace(cell, n_references=n_references), seed=7)
        print(
            f"| {cell.kind} | {cell.n_columns} | {cell.window_rows:,} | {count.watched:.0%} |"
            f" {n_references * cell.n_windows:,} | {cell.arl0:.0f} |"
            f" {count.stated:.0f} | {count.n_alarms} | {count.ratio:.2f} |",
            flush=True,
        )
    if len(sys.argv) > 1:
        return
    print("\n| shift | ADWIN: median, 90% | missed | window's test: median, 90% | missed |")
    print("|---|---|---|---|---|")
    for sigma in SHIFTS:
        delay = measure_delay(sigma, 20 if long else 4, seed=11)
        cells = [
            f"{_delay(rows)} | {np.isnan(rows).mean():.0%}" for rows in (delay.stream, delay.window)
        ]
        print(f"| {sigma} sigma | {cells[0]} | {cells[1]} |", flush=True)


def _delay(rows: Floats) -> str:
    seen = rows[~np.isnan(rows)]
    if not len(seen):
        return "never"
    return f"{np.median(seen):,.0f}, {np.quantile(seen, 0.9):,.0f}"


if __name__ == "__main__":
    main()
