"""The rounds: every case on every broker by turns, each run an outcome."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import KafkaException
from rich.console import Console

from tests.bench.broker_cases import TITLES, Case, Kind, Options, Outcome, plan
from tests.bench.broker_commits import measure_commits, measure_transactions
from tests.bench.broker_latency import measure_latency
from tests.bench.broker_load import measure_throughput
from tests.bench.broker_nodes import BrokerNode
from tests.bench.broker_report import Results
from tests.bench.broker_restart import measure_restart
from tests.bench.processes import Children, Cores, RunFailed

_WARM_UP_RUN_S = 0.5


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement uses; built once."""

    options: Options
    directory: Path
    children: Children
    cores: Cores
    nodes: dict[str, BrokerNode]
    console: Console


def warm_up(bench: Bench) -> None:
    """A fresh JVM is slow: give each broker short runs of every load until the time is over."""
    cases = [case for case in plan(bench.options) if case.kind is not Kind.RESTART]
    short = replace(bench.options, run_s=_WARM_UP_RUN_S, latency_warm_up_s=0.0, latency_s=1.0)
    hurried = replace(bench, options=short)
    for name in bench.nodes:
        deadline = time.monotonic() + bench.options.warm_up_s
        while cases and time.monotonic() < deadline:
            for case in cases:
                _measure(hurried, name, case, 0, "warming up")
                if time.monotonic() > deadline:
                    break


def measure_all(bench: Bench, results: Results) -> None:
    """Every case on every broker, round by round, into `results`."""
    cases, names = plan(bench.options), list(bench.nodes)
    for number in range(bench.options.repeats):
        # By turns, and the order turns too: what a run leaves behind hits each.
        order = names if number % 2 == 0 else names[::-1]
        for index, case in enumerate(cases, 1):
            for name in order:
                label = f"round {number + 1}/{bench.options.repeats}, {index}/{len(cases)}"
                results.add(_measure(bench, name, case, number, label))


def _measure(bench: Bench, name: str, case: Case, number: int, label: str) -> Outcome:
    """One run; whatever goes wrong with it becomes its outcome, and the bench goes on."""
    what = f"{label}: {TITLES[name]}, {case.kind}, {case}"
    try:
        with bench.console.status(what):
            figures, remark = _figures(bench, name, case)
        outcome = Outcome(name, case, number, figures, remark=remark)
    except (RunFailed, KafkaException) as error:
        outcome = Outcome(name, case, number, failure=str(error))
    except Exception as error:
        outcome = Outcome(name, case, number, failure=f"{type(error).__name__}: {error}")
    shown = ", ".join(f"{key} {value:,.2f}" for key, value in outcome.figures.items())
    bench.console.print(f"{what}: {shown}", highlight=False, style="dim", markup=False)
    trouble = outcome.failure or outcome.remark
    if trouble:
        bench.console.print(f"  {trouble}", style="yellow", markup=False)
    return outcome


def _figures(bench: Bench, name: str, case: Case) -> tuple[dict[str, float], str]:
    node, options = bench.nodes[name], bench.options
    match case.kind:
        case Kind.THROUGHPUT:
            return measure_throughput(node, case, options.run_s), ""
        case Kind.LATENCY:
            return measure_latency(
                node,
                bench.children,
                bench.cores.worker,
                case,
                options.latency_warm_up_s,
                options.latency_s,
            )
        case Kind.COMMITS:
            return measure_commits(node, case, options.run_s), ""
        case Kind.TRANSACTIONS:
            return measure_transactions(node, case, options.run_s), ""
        case Kind.RESTART:
            return _restart(bench, name, case), ""


def _restart(bench: Bench, name: str, case: Case) -> dict[str, float]:
    directory = bench.directory / f"{name}-restarted"
    node = BrokerNode(name, bench.children, directory, bench.cores.broker)
    try:
        return measure_restart(node, case, bench.options.fill_mib)
    finally:
        node.discard()
        shutil.rmtree(directory, ignore_errors=True)
