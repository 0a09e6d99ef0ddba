"""Run a Faust app as a process of ours: readiness, metrics, signals, and an exit code that
tells.
"""

import contextlib
import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

import faust
import structlog

from schemas.errors import ThalwegError
from schemas.settings import Settings
from stream_processors.topics import wait_for_broker

log = structlog.get_logger()

QUIET = {
    "mode": logging.WARNING,
    "faust": logging.WARNING,
    "stream_processors.transport.driver": logging.WARNING,  # Faust's service messages
    "aiokafka": logging.ERROR,
    "librdkafka": logging.ERROR,
}
GC_THRESHOLDS = (100_000, 50, 100)
"""A batch makes thousands of objects that die together: by default the collector would look through
them several times (a fifth of the time, FACTS)."""
SWITCH_INTERVAL_S = 0.001
"""The threads that fetch and that follow deliveries wait at most this long for the interpreter."""


def run_worker(create: Callable[[Settings], faust.App], settings: Settings) -> None:
    """Wait for the broker, then run the app until SIGTERM or SIGINT, drain, commit and return.

    Raises the ThalwegError that stopped it; any other failure ends as a RuntimeError that names it.
    """
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    if settings.metrics_port:
        from prometheus_client import start_http_server

        start_http_server(settings.metrics_port, addr="127.0.0.1")
    wait_for_broker(settings.kafka)
    app = create(settings)
    _announce_readiness(app, settings)
    worker = faust.Worker(
        app, loglevel="warning", override_logging=False, redirect_stdouts=False, quiet=True
    )
    worker.spinner = None  # it would write control characters into our log lines
    with contextlib.suppress(SystemExit):
        worker.execute_from_commandline()
    reason = app.crash_reason
    if reason is None:
        log.info("worker_stopped", app=app.conf.id)
        return
    if isinstance(reason, ThalwegError):
        raise reason
    raise RuntimeError(f"the worker crashed: {reason!r}") from reason


def _announce_readiness(app: faust.App, settings: Settings) -> None:
    @app.on_rebalance_complete.connect(weak=False)  # type: ignore[untyped-decorator]
    async def ready(*_: Any, **__: Any) -> None:
        # What is alive now stays: the collector need not walk it again on every pass.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        log.info("worker_ready", app=app.conf.id, partitions=len(app.consumer.assignment()))
        if settings.ready_file is not None:
            settings.ready_file.touch()
