"""`thalweg broker`: the development broker by itself."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    app.command()(broker)


def broker(
    *,
    data_dir: Annotated[
        Path, typer.Option(help="Directory of its own: new, empty, or from last time.")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 9092,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than loopback are open to anybody.")
    ] = "127.0.0.1",
    auto_create_topics: Annotated[
        bool, typer.Option("--auto-create-topics", help="Create topics that clients ask for.")
    ] = False,
    partitions: Annotated[
        int, typer.Option(min=1, max=1000, help="Of topics created without a number of them.")
    ] = 1,
) -> None:
    """Run the development broker (Kafka protocol, one node) until Ctrl-C; needs no Java.

    For development and tests: no replication, no TLS, no passwords. docs/broker.md has its limits.
    """
    from deploy.local.embedded import make_directory
    from deploy.local.ports import refuse_taken

    make_directory(data_dir)
    refuse_taken(port, "the broker", "--port")
    from deploy.local.broker.main import StartError, run
    from deploy.local.broker.node import NodeOptions

    options = NodeOptions(
        data_dir=data_dir, default_partitions=partitions, auto_create_topics=auto_create_topics
    )
    try:
        run(options, host, port)
    except StartError as error:
        raise ConfigurationError(str(error)) from error
    typer.echo("stopped; the data is kept", err=True)
