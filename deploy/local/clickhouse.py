"""The local ClickHouse as a supervisor sees it: how to start it, and whether it answers."""

import sys
import urllib.error
import urllib.request
from pathlib import Path

PING_TIMEOUT_S = 1.0


def command(path: Path, http_port: int, tcp_port: int, memory_mb: int) -> list[str]:
    """The command line that runs a ClickHouse server on loopback with its data in `path`."""
    return [
        sys.executable,
        "-m",
        "deploy.local.clickhouse_server",
        "--path",
        str(path),
        "--http-port",
        str(http_port),
        "--tcp-port",
        str(tcp_port),
        "--memory-mb",
        str(memory_mb),
    ]


def healthy(url: str) -> bool:
    """Whether a ClickHouse server answers at `url`; never raises for a server that does not."""
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=PING_TIMEOUT_S) as answer:  # noqa: S310
            return bool(answer.read(16) == b"Ok.\n")
    except (OSError, urllib.error.URLError, ValueError):
        return False
