"""A ClickHouse server on loopback, out of the chdb-core wheel: no installation, no container.

    python -m deploy.local.clickhouse_server --path DIR --http-port P --tcp-port Q --memory-mb M

`chdb._chdb.query` enters clickhouse-local, whose `SYSTEM START LISTEN` opens the real HTTP and
native interfaces. A query that reads a FIFO holds that session open; closing the FIFO's write end
ends it, and the server shuts down cleanly. The entry point is private to chdb: hence its pin.

Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot start or dies, with the reason on stderr.
"""

import argparse
import contextlib
import fcntl
import importlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 20.0
POLL_S = 0.1
KEEP_ALIVE_S = 3
"""A stop waits for idle connections to end; longer than the second between the log's inserts."""

CONFIG = """<clickhouse>
  <listen_host>{host}</listen_host>
  <http_port>{http_port}</http_port>
  <tcp_port>{tcp_port}</tcp_port>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <mark_cache_size>{cache_bytes}</mark_cache_size>
  <keep_alive_timeout>{keep_alive_s}</keep_alive_timeout>
  <logger><level>none</level></logger>
</clickhouse>
"""

HOLD = "hold.fifo"
"""What the session reads for ever."""
SESSION = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
    "SELECT * FROM file('hold.fifo', 'LineAsString', 'line String') FORMAT Null;"
)


class CannotStartError(Exception):
    """The message says why, and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    options = _parse(argv)
    try:
        lock = _lock(options.path)
        for port in (options.http_port, options.tcp_port):
            _require_free(port)
        error = _serve(options)
    except CannotStartError as reason:
        print(f"clickhouse: {reason}", file=sys.stderr, flush=True)
        return 1
    lock.close()
    if error is not None:
        print(f"clickhouse: the server ended: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.clickhouse_server")
    parser.add_argument("--path", type=Path, required=True, help="data directory")
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--tcp-port", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, default=2048, help="memory limit of the server")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when orphaned")
    return parser.parse_args(argv)


def _lock(path: Path) -> TextIO:
    """Hold the data directory, which two servers would destroy; the lock ends with the process."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise CannotStartError(f"cannot use {path} as data directory: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        raise CannotStartError(
            f"{path} is in use by another ClickHouse (pid {owner}); "
            "stop it or choose another directory"
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server itself binds: a port in TIME_WAIT is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotStartError(
                f"port {port} of {HOST} is taken ({error.strerror}); stop what listens there, "
                "or set THALWEG_LOCAL__CLICKHOUSE_PORT"
            ) from error


def _serve(options: argparse.Namespace) -> str | None:
    """Run the server until a signal; returns why it ended by itself, None after a signal."""
    run = options.path.resolve() / "run"
    run.mkdir(exist_ok=True)
    _write_config(run, options)
    hold = run / HOLD
    hold.unlink(missing_ok=True)
    os.mkfifo(hold)
    query = _import_query()
    os.chdir(run)  # where the server looks for config.xml; importing chdb changes the directory
    write_end = os.open(hold, os.O_RDWR)
    ended: list[str] = []

    def session() -> None:
        result = query(SESSION, "TabSeparated", path=str(run.parent / "data"))
        ended.append(result.error_message() if result.has_error() else "its session closed")

    stop = _stop_event()
    parent = os.getppid()
    server = threading.Thread(target=session, name="clickhouse", daemon=True)
    server.start()
    while server.is_alive() and not stop.wait(POLL_S):
        if options.exit_with_parent and os.getppid() != parent:
            stop.set()
    os.close(write_end)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while server.is_alive() and time.monotonic() < deadline:
        _release(hold)
        server.join(POLL_S)
    if stop.is_set():
        return None
    return ended[0] if ended else "it failed without a message"


def _release(hold: Path) -> None:
    """End the query that reads `hold`, also where it only now comes to open it."""
    with contextlib.suppress(OSError):  # nobody reads
        os.close(os.open(hold, os.O_WRONLY | os.O_NONBLOCK))


def _write_config(run: Path, options: argparse.Namespace) -> None:
    memory_bytes = options.memory_mb * 2**20
    config = CONFIG.format(
        host=HOST,
        http_port=options.http_port,
        tcp_port=options.tcp_port,
        memory_bytes=memory_bytes,
        keep_alive_s=KEEP_ALIVE_S,
        cache_bytes=memory_bytes // 16,
    )
    (run / "config.xml").write_text(config, encoding="utf-8")


def _import_query() -> Callable[..., Any]:
    try:
        _chdb = importlib.import_module("chdb._chdb")
    except ImportError as error:
        raise CannotStartError(
            "the local ClickHouse needs chdb-core: pip install 'thalweg[local]', "
            "or use a server of your own with THALWEG_CLICKHOUSE__URL"
        ) from error
    # Its handlers would swallow the signal that is to stop us.
    _chdb.set_signal_handlers_enabled(0)
    query: Callable[..., Any] = _chdb.query
    return query


def _stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of the engine may outlive its session; the data is closed, so nothing is cut short.
    os._exit(status)
