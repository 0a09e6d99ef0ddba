"""`thalweg up`, `down` and `status`: the local stack."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.context import DataDir, find_settings, own_settings, running_stack

if TYPE_CHECKING:
    from deploy.local.state import StackState
    from deploy.local.status import StackStatus
    from schemas.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    data_dir: DataDir = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once all is healthy.")] = False,
) -> None:
    """Start broker, ClickHouse and the workers of every pipeline; Ctrl-C drains and stops them."""
    settings = own_settings(data_dir)
    if detach:
        from deploy.local.detached import start_detached

        typer.echo(where(start_detached(settings), settings))
        return
    from deploy.local.stack import LocalStack
    from thalweg.logs import configure

    configure(settings.logging)
    LocalStack(settings, announce=lambda state, own: typer.echo(where(state, own))).run()
    typer.echo("stopped", err=True)


def down(data_dir: DataDir = None) -> None:
    """Drain and stop the stack of the data directory."""
    settings = own_settings(data_dir)
    stack = running_stack(settings)
    if stack is None:
        typer.echo(f"no stack runs on {settings.data_dir}")
        return
    from deploy.local.detached import stop_stack

    stop_stack(stack, settings)
    typer.echo(f"stopped the stack on {settings.data_dir}; its data is kept")


def status(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Where everything is, what runs, how far each stage is behind. Exit status 1: nothing runs."""
    from deploy.local.status import gather

    settings = find_settings(data_dir)
    found = gather(settings, running_stack(settings))
    if as_json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    else:
        typer.echo(_readable(found))
    if not found.reachable:
        raise typer.Exit(1)


def kafka_line(told: "StackState | StackStatus") -> str:
    """Where Kafka is, and what kind of broker: nobody shall take the development one for more."""
    kind = f"  ({told.broker})" if told.broker else ""
    return f"Kafka       {told.bootstrap_servers}{kind}"


def where(state: "StackState", settings: "Settings") -> str:
    """The addresses of a running stack, for people."""
    pipelines = sorted({each.name.split("-", 1)[1] for each in state.processes if "-" in each.name})
    lines = [
        kafka_line(state),
        f"ClickHouse  {state.clickhouse_url}",
        f"data        {settings.data_dir}",
        f"logs        {settings.data_dir / 'logs'}",
        f"pipelines   {', '.join(pipelines) or 'none yet: `thalweg bootstrap` makes one'}",
    ]
    return "\n".join(lines)


def _readable(found: "StackStatus") -> str:
    if not (found.running or found.reachable or found.problem):
        return f"no stack runs on {found.data_dir}"
    lines = [
        f"data        {found.data_dir}",
        kafka_line(found),
        f"ClickHouse  {found.clickhouse_url}",
    ]
    for process in found.processes:
        line = f"{process.name:<20} pid {process.pid:<8} {process.state:<12}"
        lines.append(f"{line} restarts {process.restarts}  {process.reason}".rstrip())
    lines += [
        f"{topic.name:<32} {topic.partitions} partitions  {topic.end_offset} records"
        for topic in found.topics
    ]
    lines += [f"{each.pipeline} {each.stage:<12} {each.lag} behind" for each in found.lag]
    if found.problem:
        lines.append(found.problem)
    return "\n".join(lines)
