"""`python -m tests.bench`: measure, print a table of ratios, write JSON."""

import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from schemas.errors import ConfigurationError
from tests.bench import broker_cases, brokers, drift_cost
from tests.bench.cases import Case, Kind, Options, Outcome, events_of, plan, plan_memory
from tests.bench.cluster import Cluster
from tests.bench.command import chosen, console_for, interrupt, tidy
from tests.bench.events import FORMATS, Format
from tests.bench.latency import measure_latency
from tests.bench.memory import measure_memory
from tests.bench.model import write_store
from tests.bench.processes import Children, Cores, RunFailed
from tests.bench.quix_environment import quix_python
from tests.bench.report import Results, as_json, show
from tests.bench.roster import CONTENDERS, HAND, QUIX
from tests.bench.throughput import measure_throughput
from tests.bench.workplace import Workplace

QUICK = Options(
    rates=(20_000, 60_000),
    repeats=1,
    run_s=2.5,
    warm_up_s=2.0,
    latency_s=3.0,
    broker_warm_up_s=8.0,
)

LOG_WIDTH = 110
"""Where there is no terminal to ask."""

BROKERS = "brokers"
"""Not a kind of run but a bench of its own (tests/bench/brokers.py)."""

DRIFT = "drift"
"""Neither (tests/bench/drift_cost.py); it comes last."""

_KINDS = (Kind.THROUGHPUT.value, Kind.LATENCY.value)

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    contenders: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(CONTENDERS),
    formats: Annotated[str, typer.Option(help="Of throughput runs.")] = ",".join(FORMATS),
    latency_formats: Annotated[str, typer.Option(help="Of latency runs.")] = "packed",
    rates: Annotated[str, typer.Option(help="Events/s of latency runs.")] = "",
    kinds: Annotated[
        str, typer.Option(help="throughput, latency, brokers, drift; empty for a memory run alone.")
    ] = f"throughput,latency,{BROKERS},{DRIFT}",
    scored_batches: Annotated[str, typer.Option(help="no, yes or both.")] = "both",
    repeats: Annotated[int, typer.Option(min=0, help="0: the default.")] = 0,
    partitions: Annotated[int, typer.Option(min=1, max=64, help="Of every topic.")] = 1,
    events: Annotated[int, typer.Option(min=0, help="Per throughput run; 0: by speed.")] = 0,
    latency_seconds: Annotated[float, typer.Option(min=0, help="0: the default.")] = 0,
    memory_events: Annotated[
        int, typer.Option(min=0, help="Add a memory run of ours over so many events.")
    ] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="One round, about 3 minutes.")] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write everything here as well, of brokers in NAME-brokers.json."
        ),
    ] = None,
) -> None:
    """Compare ways of scoring a Kafka topic: ratios from one run, about 15 minutes on two cores."""
    base = QUICK if quick else Options()
    chosen_kinds = chosen(kinds, (*_KINDS, BROKERS, DRIFT), "kind")
    options = replace(
        base,
        contenders=chosen(contenders, CONTENDERS, "contender"),
        formats=_formats(formats),
        latency_formats=_formats(latency_formats),
        kinds=tuple(Kind(name) for name in chosen_kinds if name in _KINDS),
        rates=tuple(int(rate) for rate in rates.split(",")) if rates else base.rates,
        frames=_frames(scored_batches),
        repeats=repeats or base.repeats,
        partitions=partitions,
        events=events,
        latency_s=latency_seconds or base.latency_s,
        memory_events=memory_events,
    )
    console = console_for(LOG_WIDTH)
    statuses = []
    if options.kinds or options.memory_events:
        statuses.append(run(options, json_file, console))
    if BROKERS in chosen_kinds and 130 not in statuses:
        beside = json_file and json_file.with_stem(f"{json_file.stem}-brokers")
        statuses.append(
            brokers.run(broker_cases.QUICK if quick else broker_cases.Options(), beside, console)
        )
    if DRIFT in chosen_kinds and 130 not in statuses:
        drift_cost.run((8000,) if quick else (1000, 8000), 10.0 if quick else 20.0, 200_000)
    raise typer.Exit(max(statuses, default=0))


def run(options: Options, json_file: Path | None, console: Console) -> int:
    """Run everything; returns 0, or 1 when a case failed, 2 when it cannot start, 130 on Ctrl-C."""
    signal.signal(signal.SIGTERM, interrupt)
    directory = Path(tempfile.mkdtemp(prefix="thalweg-bench-"))
    children, results, status = Children(directory / "logs"), Results(), 3
    cores = os.sched_getaffinity(0)
    try:
        status = _run_all(options, directory, children, results, console)
    finally:
        children.stop_all()
        os.sched_setaffinity(0, cores)
        tidy(directory, keep_logs=status not in (0, 130), console=console)
    if results.outcomes:
        show(results, options, console)
        if json_file:
            report = msgspec.json.format(msgspec.json.encode(as_json(results, options)), indent=1)
            json_file.write_bytes(report)
    return status


def _run_all(
    options: Options, directory: Path, children: Children, results: Results, console: Console
) -> int:
    """Fill `results`; returns the exit status that `run` documents."""
    try:
        place = _set_up(options, directory, children, console)
        _warm_up_broker(place, options, console)
        _measure_all(place, options, results, console)
    except KeyboardInterrupt:
        console.print("Interrupted; what was measured so far:")
        return 130
    except (ConfigurationError, RunFailed) as error:
        console.print(f"The bench cannot start: {error}", style="red", markup=False)
        return 2
    return int(any(outcome.failure for outcome in results.outcomes))


def _set_up(options: Options, directory: Path, children: Children, console: Console) -> Workplace:
    if QUIX in options.contenders:
        with console.status("Quix Streams: its own environment"):
            try:
                quix_python()
            except RuntimeError as error:
                console.print(f"{error}: it will be shown as not run", style="yellow")
    cores = Cores.choose()
    # The bench itself polls and reads back: beside the broker, never beside a contender.
    os.sched_setaffinity(0, {cores.broker})
    store = directory / "models"
    cluster = Cluster(children, directory / "kafka", cores.broker, options.partitions)
    place = Workplace(directory, store, write_store(store), cores, children, cluster)
    cluster.start()
    console.print(
        f"{cluster.description} on core {cores.broker} with the generator and the observer,"
        f" contenders on core {cores.worker}, {options.partitions} partition(s)"
    )
    return place


def _warm_up_broker(place: Workplace, options: Options, console: Console) -> None:
    """A fresh JVM is slow: run the hand loop, unrecorded, until the time is over."""
    deadline = time.monotonic() + options.broker_warm_up_s
    case = Case(Kind.THROUGHPUT, HAND, "packed", False)
    sized = replace(options, events=options.events or 400_000)
    while time.monotonic() < deadline:
        if _measure(place, case, sized, "warming up the broker", console).failure:
            return


def _measure_all(place: Workplace, options: Options, results: Results, console: Console) -> None:
    cases = plan(options)
    for number in range(options.repeats):
        # Contenders take turns, and the order turns too: what a run leaves behind hits each.
        rotated = cases if number % 2 == 0 else cases[::-1]
        for index, case in enumerate(rotated, 1):
            label = f"round {number + 1}/{options.repeats}, {index}/{len(cases)}: {case}"
            results.add(_measure(place, case, options, label, console))
    for case in plan_memory(options):
        results.add(_measure(place, case, options, str(case), console))


def _measure(
    place: Workplace, case: Case, options: Options, label: str, console: Console
) -> Outcome:
    """One run; whatever goes wrong with it becomes its outcome, and the bench goes on."""
    try:
        with console.status(label):
            if case.kind is Kind.LATENCY:
                outcome = measure_latency(place, case, options.warm_up_s, options.latency_s)
            elif case.kind is Kind.MEMORY:
                outcome = Outcome(case, measure_memory(place, case, options.memory_events))
            else:
                n_events = events_of(case, options)
                outcome = Outcome(case, measure_throughput(place, case, n_events))
    except RunFailed as error:
        outcome = Outcome(case, failure=str(error))
    except Exception as error:
        outcome = Outcome(case, failure=f"{type(error).__name__}: {error}")
    shown = ", ".join(f"{name} {value:,.1f}" for name, value in outcome.figures.items())
    trouble = outcome.failure or outcome.remark
    console.print(f"{label}: {shown}", highlight=False, style="dim")
    if trouble:
        console.print(f"  {trouble}", style="yellow", markup=False)
    return outcome


def _formats(text: str) -> tuple[Format, ...]:
    names = chosen(text, FORMATS, "format")
    return tuple(each for each in FORMATS if each in names)


def _frames(text: str) -> tuple[bool, ...]:
    answers = {"no": (False,), "yes": (True,), "both": (False, True)}
    chosen(text, answers, "answer to --scored-batches")
    return answers[text]


if __name__ == "__main__":
    app()
