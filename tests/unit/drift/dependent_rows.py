"""Streams whose rows depend on each other, and how often a test alarms on them without drift.

Long form: `DRIFT_LONG=1 python -m tests.unit.drift.dependent_rows` prints the table of
docs/drift/dependent-rows.md.
"""

import os
import sys
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from drift.binning import bin_columns
from drift.columns import ColumnSpec, Matrix
from drift.customers import customer_moments
from drift.dependence import Customers, Plan, dependent_test, plan_dependence
from drift.entities import REFERENCE_LIMIT, WINDOW_LIMIT, EntityTable, hash_entities

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
N_BINS = 10
N_BLOCKS = 500
LIMITS = {"sampled": (200, 100)}
"""Entities in the tables of the reference and of a window, where that is fewer than usual."""


@dataclass(frozen=True)
class Cell:
    kind: str
    n: int
    m: int


def stream(kind: str, n: int, rng: np.random.Generator) -> Floats:
    """A stationary stretch of n values, normal but for `kind` "days"."""
    if kind == "iid":
        return rng.standard_normal(n)
    if kind.startswith("ar"):
        from scipy.signal import lfilter

        rho = float(kind[2:])
        noise = rng.standard_normal(n) * np.sqrt(1 - rho * rho)
        noise[0] /= np.sqrt(1 - rho * rho)
        return np.asarray(lfilter([1.0], [1.0, -rho], noise))
    if kind == "runs":
        phase = int(rng.integers(20))
        return np.repeat(rng.standard_normal(n // 20 + 2), 20)[phase : phase + n]
    if kind == "days":  # every 500 rows a mood of 0.3 sigma
        return rng.standard_normal(n) + np.repeat(0.3 * rng.standard_normal(n // 500 + 1), 500)[:n]
    raise ValueError(kind)


def p_values(
    cell: Cell, n_windows: int, rng: np.random.Generator, corrected: bool
) -> tuple[Floats, Counter[str]]:
    """p-values of `n_windows` windows against one reference, none of them drifted."""
    if cell.kind in ("customers", "sampled", "unknown", "turnover"):
        return _customers(cell, n_windows, rng, corrected)
    reference = stream(cell.kind, cell.n, rng)
    edges = np.sort(reference)[[round(k * cell.n / N_BINS) - 1 for k in range(1, N_BINS)]]
    blocks = block_counts(np.searchsorted(edges, reference))
    plan = _plan(blocks, cell, corrected)
    p = np.empty(n_windows)
    for i in range(n_windows):
        window = np.searchsorted(edges, stream(cell.kind, cell.m, rng))
        counts = np.bincount(window, minlength=N_BINS)
        p[i] = dependent_test(counts, plan, alpha=0.05).result.p_value
    return p, Counter({plan.detector: n_windows})


def _customers(
    cell: Cell, n_windows: int, rng: np.random.Generator, corrected: bool
) -> tuple[Floats, Counter[str]]:
    """Customers of uneven activity, half of the variance between them, in random order.

    Kind "customers": the same 500 all the time. Kind "sampled": so too, in tables that hold a part
    of them; "unknown": so too, in windows without a table. Kind "turnover": of 2,000, another 200
    are active in every window's worth of rows.
    """
    n_customers = 2_000 if cell.kind == "turnover" else 500
    level = rng.standard_normal(n_customers)
    activity = rng.gamma(2.0, size=n_customers)

    def stretch(n: int) -> Counts:
        active = activity
        if cell.kind == "turnover":
            active = activity * (rng.permutation(n_customers) < 200)
        return rng.choice(n_customers, size=n, p=active / active.sum())

    def rows(n: int) -> tuple[Counts, Matrix]:
        codes = np.concatenate([stretch(cell.m) for _ in range(n // cell.m)])
        values = np.sqrt(0.5) * (level[codes] + rng.standard_normal(n))
        return codes, values.astype(np.float32)[:, None]

    reference_limit, window_limit = LIMITS.get(cell.kind, (REFERENCE_LIMIT, WINDOW_LIMIT))
    codes, values = rows(cell.n)
    names = hash_entities(np.arange(n_customers))
    columns = bin_columns(values, [ColumnSpec("x")])
    moments = customer_moments(columns, values, names[codes], reference_limit)
    customers = moments.of_column(columns, 0, columns.count(values))
    typical = EntityTable.of(names[codes[-cell.m :]], window_limit)
    plan = _plan(
        block_counts(columns.assign(values)[0], columns.n_bins),
        cell,
        corrected,
        customers,
        moments.repeats(typical, cell.m).excess,
    )
    p = np.empty(n_windows)
    for i in range(n_windows):
        codes, values = rows(cell.m)
        table = EntityTable.of(names[codes], window_limit)
        p[i] = dependent_test(
            columns.count(values),
            plan,
            alpha=0.05,
            customers=customers,
            repeats=None if cell.kind == "unknown" else moments.repeats(table, cell.m),
        ).result.p_value
    return p, Counter({plan.detector: n_windows})


def block_counts(bins: Counts, n_bins: int = N_BINS) -> Counts:
    size = max(1, len(bins) // N_BLOCKS)
    k = len(bins) // size
    codes = np.arange(k * size) // size * n_bins + bins[: k * size]
    return np.bincount(codes, minlength=k * n_bins).reshape(k, n_bins)


def _plan(
    blocks: Counts,
    cell: Cell,
    corrected: bool,
    customers: Customers | None = None,
    window_excess: float | None = None,
) -> Plan:
    plan = plan_dependence(blocks, cell.m, customers=customers, window_excess=window_excess)
    return plan if corrected else replace(plan, detector="chi_square")


def simulate(
    cell: Cell, n_references: int, n_windows: int, seed: int, *, corrected: bool = True
) -> tuple[Floats, str]:
    """All p-values, float[n_references, n_windows], and the detectors that were chosen."""
    rng = np.random.default_rng(seed)
    used: Counter[str] = Counter()
    p = np.empty((n_references, n_windows))
    for i in range(n_references):
        p[i], names = p_values(cell, n_windows, rng, corrected)
        used += names
    share = ", ".join(f"{name} {count / p.size:.0%}" for name, count in used.most_common())
    return p, share


def realised(p: Floats) -> dict[str, float]:
    """Realised over nominal: one feature, and 30 independent ones under Bonferroni."""
    rates = {}
    for alpha in (0.05, 0.01):
        rates[f"1 @ {alpha}"] = float((p <= alpha).mean()) / alpha
        any_of_30 = 1 - (1 - float((p <= alpha / 30).mean())) ** 30
        rates[f"30 @ {alpha}"] = any_of_30 / alpha
    return rates


CELLS = [
    Cell(kind, n, m)
    for kind in (
        "iid",
        "ar0.5",
        "ar0.9",
        "runs",
        "customers",
        "sampled",
        "unknown",
        "turnover",
        "days",
    )
    for n, m in ((10_000, 200), (10_000, 1_000), (20_000, 1_000))
]


def main() -> None:
    n_references = int(
        os.environ.get("REFERENCES", "10000" if os.environ.get("DRIFT_LONG") else "500")
    )
    print("| rows | n | m | 1 @ .05 | 1 @ .01 | 30 @ .05 | 30 @ .01 | detectors |")
    print("|---|---|---|---|---|---|---|---|")
    for cell in CELLS:
        if len(sys.argv) > 1 and cell.kind not in sys.argv[1:]:
            continue
        p, used = simulate(cell, n_references, 5, seed=5)
        r = realised(p)
        print(
            f"| {cell.kind} | {cell.n:,} | {cell.m:,} | {r['1 @ 0.05']:.2f} | {r['1 @ 0.01']:.2f} "
            f"| {r['30 @ 0.05']:.2f} | {r['30 @ 0.01']:.2f} | {used} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
