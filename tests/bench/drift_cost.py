"""What drift costs beside scoring: processor time per event of every stage, in one run.

    python -m tests.bench.drift_cost --rates 1000,10000 --backlog 200000

Rates are as producers send; the backlog is sent while the scorer stands still, which then scores
as fast as it can, in batches as large as they get.

Starts a stack of its own in a temporary directory (KAFKA_HOME's broker, else the embedded one) and
sends it the synthetic fraud stream. What a stage uses while nothing is sent is taken off.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.fraud import HISTORY_EVENTS
from deploy.local.stages import DRIFT, SERVING
from tests.deployment import until
from tests.stack import Stack

PIPELINE = "fraud"
SETTLE_S = 8.0
"""Longer than what was sent before is gathered for."""
IDLE_S = 10.0
WARM_UP_EVENTS = 10_000
WINDOW_S = 31 * 86_400
"""The stream lives a day in 10,000 events. Windows of an hour would hold 400 of them, far fewer
than where cost matters: these hold 310,000."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="1000,10000", help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    parser.add_argument("--backlog", type=int, default=200_000, help="events")
    options = parser.parse_args()
    run([int(rate) for rate in options.rates.split(",")], options.seconds, options.backlog)


def run(rates: Sequence[int], seconds: float, backlog: int) -> None:
    """Start a stack, warm it up, and measure each rate, then a backlog."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data", THALWEG_DRIFT__WINDOW_S=str(WINDOW_S))
        stack.up()
        try:
            made = stack.run("bootstrap")
            assert made.returncode == 0, made.stderr
            _send(stack, 2000, WARM_UP_EVENTS, HISTORY_EVENTS)
            for rate in rates:
                measure(stack, int(rate * seconds), rate)
            measure(stack, backlog, None)
        finally:
            stack.run("down")


def measure(stack: Stack, n_events: int, rate: int | None) -> None:
    """Print microseconds of processor time per event, and each stage as a share of scoring. Without
    a rate the events are there before scoring begins.
    """
    time.sleep(SETTLE_S)
    before = _cpu_s(stack)
    time.sleep(IDLE_S)
    idle = {name: (after - before[name]) / IDLE_S for name, after in _cpu_s(stack).items()}
    n_before = stack.n_logged(PIPELINE)
    score = f"score-{PIPELINE}"
    skip, pid = (
        HISTORY_EVENTS + n_before,
        next(p.pid for p in stack.state.processes if p.name == score),
    )
    if rate is None:
        os.kill(pid, signal.SIGSTOP)
        _send(stack, 1_000_000, n_events, skip)
        os.kill(pid, signal.SIGCONT)
    started, before = time.monotonic(), _cpu_s(stack)
    if rate is not None:
        _send(stack, rate, n_events, skip)
    until(lambda: stack.n_logged(PIPELINE) >= n_before + n_events, 120)
    until(lambda: all(each["lag"] == 0 for each in stack.status()["lag"]), 120)
    took_s = time.monotonic() - started
    used = {name: after - before[name] for name, after in _cpu_s(stack).items()}
    per_event = {
        name: max(0.0, cpu_s - idle[name] * took_s) / n_events * 1e6 for name, cpu_s in used.items()
    }
    table = Table("stage", "us/event", "of scoring", "idle, % of a core")
    for stage in SERVING | DRIFT:
        name = f"{stage}-{PIPELINE}"
        share = f"{per_event[name] / per_event[score]:.1%}"
        table.add_row(stage, f"{per_event[name]:.2f}", share, f"{idle[name]:.1%}")
    console = Console(width=100)
    how = f"sent at {rate:,}/s" if rate is not None else "of a backlog"
    console.print(f"{n_events:,} events {how}, done in {took_s:.1f} s")
    console.print(table)


def _send(stack: Stack, rate: int, n_events: int, skip: int) -> None:
    command = [sys.executable, "-m", "thalweg.main", "produce", "--format", "packed"]
    command += [
        "--rate",
        str(rate),
        "--count",
        str(n_events),
        "--skip",
        str(skip),
        "--data-dir",
        str(stack.data_dir),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _cpu_s(stack: Stack) -> dict[str, float]:
    """Processor time that each of the stack's processes has used, user and system."""
    found = {}
    for process in stack.state.processes:
        text = Path(f"/proc/{process.pid}/stat").read_text()
        user, system = text.rpartition(")")[2].split()[11:13]
        found[process.name] = (int(user) + int(system)) / 100
    return found


if __name__ == "__main__":
    main()
