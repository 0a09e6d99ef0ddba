"""The `thalweg` command. Commands import what they need when they run: `--help` is quick."""

import sys

import typer

from schemas.errors import ThalwegError
from thalweg import (
    bench,
    bootstrap,
    broker,
    dead_letters,
    demo,
    drift,
    events,
    reference,
    stack,
    topics,
    worker,
)

app = typer.Typer(
    name="thalweg",
    help="Event-driven streaming inference: Kafka through Faust and ONNX Runtime into ClickHouse.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich would double the time of --help
    pretty_exceptions_enable=False,
)
in_order = (
    stack,
    demo,
    bootstrap,
    events,
    worker,
    topics,
    dead_letters,
    drift,
    broker,
    bench,
    reference,
)
for group in in_order:
    group.register(app)


def main() -> None:
    """Run the command line; an error of ours is one message on stderr and exit status 2."""
    try:
        app()
    except ThalwegError as error:
        print(f"thalweg: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
