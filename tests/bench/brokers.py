"""`python -m tests.bench.brokers`: the embedded broker beside Apache Kafka, as ratios.

By turns each broker has one core to itself, and its clients the other.
"""

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from schemas.errors import ConfigurationError
from tests.bench.broker_cases import APACHE, QUICK, TITLES, Kind, Options
from tests.bench.broker_nodes import BrokerNode, missing_apache
from tests.bench.broker_report import Results, as_json, show
from tests.bench.broker_rounds import Bench, measure_all, warm_up
from tests.bench.command import chosen, console_for, interrupt, tidy
from tests.bench.processes import Children, Cores, RunFailed

LOG_WIDTH = 130
"""Where there is no terminal to ask."""

app = typer.Typer(add_completion=False)


@app.command()
def brokers(
    only: Annotated[str, typer.Option(help=f"Of {', '.join(TITLES)}.")] = ",".join(TITLES),
    kinds: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(Kind),
    rates: Annotated[str, typer.Option(help="Messages/s of latency runs.")] = "",
    repeats: Annotated[int, typer.Option(min=0, help="0: the default.")] = 0,
    fill_mib: Annotated[int, typer.Option(min=0, help="Of restarts; 0: the default.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="One round, under a minute.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything here as well.")
    ] = None,
) -> None:
    """Measure the embedded broker beside Apache Kafka: about 10 minutes on two cores."""
    base = QUICK if quick else Options()
    options = replace(
        base,
        brokers=chosen(only, tuple(TITLES), "broker"),
        kinds=tuple(Kind(name) for name in chosen(kinds, tuple(Kind), "kind")),
        rates=tuple(int(rate) for rate in rates.split(",")) if rates else base.rates,
        repeats=repeats or base.repeats,
        fill_mib=fill_mib or base.fill_mib,
    )
    raise typer.Exit(run(options, json_file, console_for(LOG_WIDTH)))


def run(options: Options, json_file: Path | None, console: Console) -> int:
    """Run everything; returns 0, or 1 when a run failed, 2 when it cannot start, 130 on Ctrl-C."""
    signal.signal(signal.SIGTERM, interrupt)
    directory = Path(tempfile.mkdtemp(prefix="thalweg-brokers-"))
    children, results, status = Children(directory / "logs"), Results(), 3
    before = os.sched_getaffinity(0)
    try:
        options = _without_missing(options, console)
        bench = _set_up(options, directory, children, console)
        warm_up(bench)
        measure_all(bench, results)
        status = int(any(outcome.failure for outcome in results.outcomes))
    except KeyboardInterrupt:
        console.print("Interrupted; what was measured so far:")
        status = 130
    except (ConfigurationError, RunFailed) as error:
        console.print(f"The bench cannot start: {error}", style="red", markup=False)
        status = 2
    finally:
        children.stop_all()
        os.sched_setaffinity(0, before)
        tidy(directory, keep_logs=status not in (0, 130), console=console)
    if results.outcomes:
        show(results, options, console)
        if json_file:
            report = msgspec.json.format(msgspec.json.encode(as_json(results, options)), indent=1)
            json_file.write_bytes(report)
    return status


def _without_missing(options: Options, console: Console) -> Options:
    """The options without Apache Kafka where there is none, and a word on it."""
    reason = missing_apache() if APACHE in options.brokers else ""
    if not reason:
        return options
    if options.brokers == (APACHE,):
        raise ConfigurationError(reason)
    console.print(f"Without {TITLES[APACHE]}: {reason}.", style="yellow")
    return replace(options, brokers=tuple(each for each in options.brokers if each != APACHE))


def _set_up(options: Options, directory: Path, children: Children, console: Console) -> Bench:
    cores = Cores.choose()
    # The clients are this process, and the senders it starts.
    os.sched_setaffinity(0, {cores.worker})
    nodes = {
        name: BrokerNode(name, children, directory / name, cores.broker) for name in options.brokers
    }
    if set(options.kinds) != {Kind.RESTART}:
        for node in nodes.values():
            node.start()
    names = " and ".join(TITLES[name] for name in nodes)
    console.print(f"{names} on core {cores.broker}, by turns; clients on core {cores.worker}")
    return Bench(options, directory, children, cores, nodes, console)


if __name__ == "__main__":
    app()
