"""What the exact log costs: inserts, bytes, and reading each row once against reading the table.

    python -m tests.bench.log_cost --rows 2000000

Starts a ClickHouse of its own in a temporary directory; one event in twenty is inserted twice.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from schemas.frames import Frame
from storage.client import Client, connect
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from tests.fixtures.clickhouse import ClickHouseServer
from tests.fixtures.frames import make_frame

BLOCK_ROWS = 20_000
FRAME_ROWS = 500
N_FEATURES = 30
N_PARTITIONS = 4
DAY_MS = 86_400_000
HOUR = "append_time >= (SELECT max(append_time) FROM prediction_log) - toIntervalHour(1)"

READS = {
    "count of all": "SELECT count() FROM {source}",
    "all by minute": "SELECT toStartOfMinute(append_time) AS m, count(), countIf(decision), "
    "sum(score) FROM {source} GROUP BY m",
    "last hour by minute": "SELECT toStartOfMinute(append_time) AS m, count(), countIf(decision), "
    f"sum(score) FROM {{source}} WHERE {HOUR} GROUP BY m",
    "one entity's rows": "SELECT event_id, score FROM {source} WHERE entity = 'card-3' "
    f"AND {HOUR} ORDER BY append_time DESC LIMIT 20",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=0.05, help="days that the rows span")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ClickHouseServer(Path(folder), memory_mb=4096)
        server.start()
        try:
            with connect(server.settings) as client:
                migrate(client, server.settings)
                measure(client, options.rows, options.days)
        finally:
            server.stop()


def measure(client: Client, n_rows: int, n_days: float) -> None:
    console = Console()
    insert_s, n_inserted = _insert(client, n_rows, int(n_days * DAY_MS * N_PARTITIONS / n_rows))
    ((n_bytes, n_stored),) = client.query(
        "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts "
        "WHERE active AND table = 'prediction_log' AND database = currentDatabase()"
    )
    console.print(
        f"{n_inserted:,} rows inserted for {n_rows:,} events, {N_FEATURES} features, blocks of "
        f"{BLOCK_ROWS:,}: {n_inserted / insert_s:,.0f} rows/s; {n_bytes / n_stored:.0f} bytes a row"
    )
    table = Table("read", "table, ms", "exact, ms", "ratio")
    for name, sql in READS.items():
        plain = _best_ms(client, sql.format(source="prediction_log"))
        exact = _best_ms(client, sql.format(source="predictions"))
        table.add_row(name, f"{plain:.0f}", f"{exact:.0f}", f"{exact / plain:.1f}")
    for name, sql in (
        ("rollup view, all", "SELECT sum(n) FROM predictions_per_minute"),
        ("dead letters", "SELECT count() FROM dead_letters"),
    ):
        table.add_row(name, "", f"{_best_ms(client, sql):.0f}", "")
    console.print(table)


def _insert(client: Client, n_rows: int, step_ms: int) -> tuple[float, int]:
    """Insert blocks of frames from several partitions; every twentieth block comes twice."""
    log = PredictionLog(client)
    spent_s, n_inserted = 0.0, 0
    for number in range(n_rows // BLOCK_ROWS):
        frames = _block(number, step_ms)
        for _ in range(2 if number % 20 == 0 else 1):
            started = time.perf_counter()
            n_inserted += log.insert(frames)
            spent_s += time.perf_counter() - started
    return spent_s, n_inserted


def _block(number: int, step_ms: int) -> list[Frame]:
    per_partition = BLOCK_ROWS // N_PARTITIONS
    noise = np.random.default_rng(number)
    start = number * per_partition
    return [
        make_frame(
            range(first, first + FRAME_ROWS),
            partition=partition,
            n_features=N_FEATURES,
            append_step_ms=step_ms,
            noise=noise,
        )
        for partition in range(N_PARTITIONS)
        for first in range(start, start + per_partition, FRAME_ROWS)
    ]


def _best_ms(client: Client, sql: str, n_times: int = 3) -> float:
    best = float("inf")
    for _ in range(n_times):
        started = time.perf_counter()
        client.query(sql)
        best = min(best, time.perf_counter() - started)
    return best * 1000


if __name__ == "__main__":
    main()
