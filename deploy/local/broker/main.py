"""Run the broker: open the data directory, listen, tick, and close cleanly on a signal."""

import asyncio
import fcntl
import gc
import ipaddress
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from deploy.local.broker.node import Node, NodeOptions
from deploy.local.broker.server import Connection

log = structlog.get_logger(__name__)

NOTICE = "development broker: single node, no replication, no TLS"
_TICK_S = 0.1
_TIDY_S = 1.0
_BACKLOG = 512


class StartError(Exception):
    """Why the broker cannot run here, and what to do about it."""


def run(options: NodeOptions, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; raises StartError when it cannot start."""
    _configure_logs()
    with _hold(options.data_dir):
        asyncio.run(_serve(options, host, port))


async def _serve(options: NodeOptions, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    node = Node(options)
    connections: set[Connection] = set()
    try:
        server = await loop.create_server(
            lambda: Connection(node, connections), host, port, backlog=_BACKLOG
        )
    except OSError as error:
        node.close()
        raise StartError(f"cannot listen at {host}:{port}: {error.strerror}") from error
    # Whatever was loaded so far stays: the collector need not look at it again.
    gc.freeze()
    bound = server.sockets[0].getsockname()
    _announce(options, bound[0], bound[1])
    chores = [
        loop.create_task(_every(_TICK_S, lambda: _tick(node, connections))),
        loop.create_task(_tidy(node)),
    ]
    await stopped.wait()
    for chore in chores:
        chore.cancel()
    await asyncio.gather(*chores, return_exceptions=True)
    server.close()
    for connection in list(connections):
        connection.close()
    await asyncio.sleep(0)
    node.close()
    log.info("broker_stopped")


def _announce(options: NodeOptions, host: str, port: int) -> None:
    print(f"Kafka protocol at {host}:{port} ({NOTICE})", flush=True)
    print(f"data in {options.data_dir}", flush=True)
    if not is_loopback(host):
        print(
            f"WARNING: {host} is reachable from other machines. Whoever reaches port {port} can"
            " read, write and delete everything here: there is no password and no encryption.",
            file=sys.stderr,
            flush=True,
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _configure_logs() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _every(seconds: float, chore: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            chore()
        except Exception:
            log.exception("chore_failed")


def _tick(node: Node, connections: set[Connection]) -> None:
    node.tick()
    now = asyncio.get_running_loop().time()
    for connection in list(connections):
        connection.close_if_idle(now)


async def _tidy(node: Node) -> None:
    while True:
        await asyncio.sleep(_TIDY_S)
        try:
            await node.tidy(time.time_ns() // 1_000_000)
        except Exception:
            log.exception("tidy_failed")


@contextmanager
def _hold(data_dir: Path) -> Iterator[None]:
    """Hold the directory; the kernel lets go of the lock whatever way the process ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "lock").open("a+")
    except OSError as error:
        raise StartError(f"cannot use {data_dir} as data directory: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise StartError(
                f"{data_dir} is in use by the broker of pid {owner}: stop it, or choose another"
                " data directory"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
