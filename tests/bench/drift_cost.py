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
WATCHING = ["sketch", "detect"]
"""The stages that look for drift; `join` is for labels, `decide` for retraining."""
SETTLE_S = 10.0
"""Longer than what was sent before is gathered for, fetched and flushed."""
IDLE_S = 10.0
WARM_UP_EVENTS = 160_000
"""The first window ends within them: a detector's first verdict imports river (and with it
scikit-learn, a second of processor time), as a scorer's start imports ONNX Runtime."""
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
            _send(stack, 20_000, WARM_UP_EVENTS, HISTORY_EVENTS)
            until(lambda: _n_verdicts(stack) > 0, 120)
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
    n_before, verdicts_before = stack.n_logged(PIPELINE), _n_verdicts(stack)
    score = f"score-{PIPELINE}"
    skip = HISTORY_EVENTS + n_before
    pid = next(each.pid for each in stack.state.processes if each.name == score)
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
        name: (cpu_s - idle[name] * took_s) / n_events * 1e6 for name, cpu_s in used.items()
    }
    n_verdicts = _n_verdicts(stack) - verdicts_before
    table = Table("stage", "us/event", "of scoring", "idle, % of a core")
    rows = {stage: [stage] for stage in SERVING | DRIFT} | {"sketch and detect": WATCHING}
    for title, stages in rows.items():
        names = [f"{stage}-{PIPELINE}" for stage in stages]
        own = sum(per_event[name] for name in names)
        idle_share = f"{sum(idle[name] for name in names):.1%}"
        table.add_row(title, f"{own:.2f}", f"{own / per_event[score]:.1%}", idle_share)
    console = Console(width=100)
    how = f"sent at {rate:,}/s" if rate is not None else "of a backlog"
    console.print(f"{n_events:,} events {how}, done in {took_s:.1f} s; {n_verdicts} verdicts")
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


def _n_verdicts(stack: Stack) -> int:
    """Windows that were closed and told."""
    with stack.clickhouse() as client:
        ((n,),) = client.query("SELECT count() FROM drift_windows")
    return int(n)


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
