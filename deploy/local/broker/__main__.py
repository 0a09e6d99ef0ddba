"""`python -m deploy.local.broker --data-dir DIR --port PORT`."""

import argparse
import sys
from pathlib import Path

from deploy.local.broker.main import StartError, run
from deploy.local.broker.node import NodeOptions


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; 2 when the broker cannot start."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.broker", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--partitions", type=int, default=1, help="of topics that do not say")
    parser.add_argument("--auto-create-topics", action="store_true")
    given = parser.parse_args(arguments)
    options = NodeOptions(
        data_dir=given.data_dir,
        default_partitions=given.partitions,
        auto_create_topics=given.auto_create_topics,
    )
    try:
        run(options, given.host, given.port)
    except StartError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
