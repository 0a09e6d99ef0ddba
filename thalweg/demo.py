"""`thalweg demo`: the whole way of an event, to look at."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.context import DataDir, find_settings, live_settings, own_settings, running_stack
from thalweg.stack import kafka_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from deploy.demo import Snapshot
    from schemas.settings import Settings

SCREEN_INTERVAL_S = 1.0
N_NEWS = 10


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Events per second.")] = 200.0,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="End by itself.", show_default="Ctrl-C")
    ] = None,
    drift_after: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds after which a feature breaks.", show_default="never"),
    ] = 60.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Start what does not run yet, stream card payments through it, and watch; Ctrl-C ends it."""
    for number in (
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # a closed terminal must not leave a stack behind
        signal.signal(number, signal.default_int_handler)
    with _stack(data_dir, keep=keep) as settings:
        _make_pipeline(settings)
        _stream_and_watch(settings, rate, seconds, drift_after)
        from deploy.demo import query_to_try

        typer.echo(
            "\nA query to try, while the stack runs (`thalweg up --detach` starts it again):"
        )
        typer.echo(f"  {query_to_try(settings)}")


@contextmanager
def _stack(data_dir: DataDir, *, keep: bool) -> Iterator["Settings"]:
    """The deployment to use; a stack that we started is stopped at the end, unless kept."""
    from deploy.demo import DEMO_ENVIRONMENT
    from deploy.local.detached import start_detached, stop_stack

    settings = own_settings(data_dir)
    if "bootstrap_servers" in settings.kafka.model_fields_set or running_stack(settings):
        yield live_settings(data_dir)
        return
    typer.echo(f"starting Kafka and ClickHouse on {settings.data_dir} ...")
    started = start_detached(settings, DEMO_ENVIRONMENT)
    typer.echo(kafka_line(started))
    try:
        yield find_settings(data_dir)
    finally:
        if not keep:
            typer.echo("draining and stopping ...")
            stop_stack(started, settings)
            typer.echo("stopped; the data is kept")


def _make_pipeline(settings: "Settings") -> None:
    from deploy.bootstrap import bootstrap_fraud, make_live, worker_starts
    from schemas.pipeline import list_pipelines

    if settings.pipeline not in list_pipelines(settings.store):
        typer.echo("training a first model on generated history ...")
    before = worker_starts(settings, settings.pipeline)
    done = bootstrap_fraud(settings, settings.pipeline)
    typer.echo(f"pipeline {done.pipeline.name} {done.change}: model {done.model_version}")
    make_live(settings, done, before)


def _stream_and_watch(
    settings: "Settings", rate: float, seconds: float | None, drift_after: float | None
) -> None:
    """Send in a thread and show the screen here, until time is up, Ctrl-C, or sending fails."""
    from deploy.demo import News, take_snapshot
    from storage.client import connect

    stop, failures, news = threading.Event(), list[BaseException](), News()
    with connect(settings.clickhouse) as client:
        # Go on after what is there: a second demo must not send the same events again.
        before = take_snapshot(settings, client)
        news.of(before)
        skip = before.n_features
        breaks_at = None if drift_after is None else skip + round(rate * drift_after)
        sender = threading.Thread(
            target=_send,
            args=(settings, rate, skip, breaks_at),
            kwargs={"stop": stop, "failures": failures},
            name="sender",
        )
        sender.start()
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            with _screen() as show:
                while sender.is_alive() and (deadline is None or time.monotonic() < deadline):
                    snapshot = take_snapshot(settings, client)
                    told = news.of(snapshot)
                    if breaks_at is not None and snapshot.n_features >= breaks_at:
                        told.insert(0, f"DRIFT INJECTED at event {breaks_at:,}: distance_km breaks")
                        breaks_at = None
                    show(snapshot, told)
                    time.sleep(SCREEN_INTERVAL_S)
        except KeyboardInterrupt:
            pass
        finally:
            stop.set()
            sender.join()
    if failures:
        raise failures[0]


def _send(
    settings: "Settings",
    rate: float,
    skip: int,
    breaks_at: int | None,
    *,
    stop: threading.Event,
    failures: list[BaseException],
) -> None:
    from deploy.demo import LABEL_DELAY, demo_drift
    from deploy.fraud import HISTORY_EVENTS, send_fraud
    from producers.fraud import FraudStream

    drifts = () if breaks_at is None else (demo_drift(HISTORY_EVENTS + breaks_at),)
    try:
        send_fraud(
            settings,
            FraudStream(drifts=drifts),
            rate=rate,
            skip=HISTORY_EVENTS + skip,
            label_delay=LABEL_DELAY,
            stopped=stop.is_set,
        )
    except Exception as error:  # carried to the main thread, which raises it
        failures.append(error)


@contextmanager
def _screen() -> Iterator[Callable[["Snapshot", list[str]], None]]:
    """A live screen on a terminal, a line a second elsewhere; with what is new of drift."""
    if not sys.stdout.isatty():

        def write(snapshot: "Snapshot", news: list[str]) -> None:
            for each in news:
                print(f"  >> {each}")
            print(_line(snapshot), flush=True)

        yield write
        return
    from rich.live import Live

    recent: list[str] = []
    with Live(auto_refresh=False) as live:

        def show(snapshot: "Snapshot", news: list[str]) -> None:
            now = time.strftime("%H:%M:%S")
            recent[:] = [*recent, *(f"{now}  {each}" for each in news)][-N_NEWS:]
            live.update(_table(snapshot, recent), refresh=True)

        yield show


def _line(snapshot: "Snapshot") -> str:
    latency = snapshot.latency
    times = f"p50 {latency.p50_ms:.0f} ms p99 {latency.p99_ms:.0f} ms" if latency else "no latency"
    last = snapshot.frauds[0] if snapshot.frauds else None
    fraud = f"last fraud {last.event_id} {last.entity} score {last.score:.3f}" if last else ""
    return (
        f"events {snapshot.n_features}  scored and logged {snapshot.n_logged}"
        f" ({snapshot.logged_per_s:.0f}/s)  dead letters {snapshot.n_dead_letters}"
        f"  append to score {times}  windows {len(snapshot.windows)}"
        f" open alerts {_n_open(snapshot)}  {fraud}"
    ).rstrip()


def _n_open(snapshot: "Snapshot") -> int:
    return sum(each.state != "resolved" for each in snapshot.alerts)


def _table(snapshot: "Snapshot", news: list[str]) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    latency = snapshot.latency
    facts = Table.grid(padding=(0, 3))
    facts.add_row("events in Kafka", f"{snapshot.n_features:,}")
    logged = f"{snapshot.n_logged:,}   {snapshot.logged_per_s:,.0f}/s"
    facts.add_row("scored and logged", logged)
    facts.add_row("dead letters", f"{snapshot.n_dead_letters:,}")
    behind = "   ".join(f"{stage} {lag}" for stage, lag in snapshot.lag.items())
    facts.add_row("behind", behind)
    if latency is not None:
        shown = f"p50 {latency.p50_ms:.0f} ms   p99 {latency.p99_ms:.0f} ms"
        facts.add_row("append to score", shown)
    frauds = Table(title="last frauds", title_justify="left")
    for column in ("event", "customer", "score", "appended"):
        frauds.add_column(column)
    for each in snapshot.frauds:
        appended = f"{each.append_time:%H:%M:%S}"
        frauds.add_row(each.event_id, each.entity, f"{each.score:.3f}", appended)
    last = snapshot.windows[-1] if snapshot.windows else None
    seen = f"last window of {last.n_rows:,} events   " if last else "no window has closed yet   "
    facts.add_row("drift", f"{seen}{_n_open(snapshot)} open notices and alerts")
    told = Text("\n".join(news) or "nothing has drifted")
    return Group(facts, frauds, told, Text("Ctrl-C ends the demo", style="dim"))
