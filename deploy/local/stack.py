"""The local stack on one data directory: up, watched, down."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from deploy.local.brokers import Broker
from deploy.local.children import is_same_process, signal_group, started_at
from deploy.local.lock import hold
from deploy.local.parts import (
    Worker,
    broker_service,
    choose_broker,
    choose_ports,
    clickhouse_service,
    uses_own_clickhouse,
)
from deploy.local.process import ManagedProcess
from deploy.local.stages import stages_of
from deploy.local.state import ProcessInfo, ProcessState, StackState, read_state, write_state
from deploy.local.supervisor import POLL_S, ProcessFailedError, Stopped, Supervisor
from schemas.errors import ConfigurationError, ThalwegError
from schemas.pipeline import list_pipelines, pipeline_path
from schemas.settings import Settings

log = structlog.get_logger(__name__)

WATCH_INTERVAL_S = 1.0


class LocalStack:
    """Everything on one machine, as child processes of this one.

    `announce` is called once, when all that is started with is healthy.
    """

    def __init__(
        self, settings: Settings, announce: Callable[[StackState, Settings], None]
    ) -> None:
        self._announce = announce
        self._stop = threading.Event()
        last = read_state(settings.data_dir)
        ports = choose_ports(settings, last)
        self._broker: Broker = choose_broker(settings, ports)
        self._own_clickhouse = uses_own_clickhouse(settings)
        self._settings = _with_addresses(
            settings,
            self._broker.bootstrap_servers,
            f"http://127.0.0.1:{ports.clickhouse_http}" if self._own_clickhouse else None,
        )
        self._last = last
        self._state = StackState(
            ports=ports,
            bootstrap_servers=self._settings.kafka.bootstrap_servers,
            clickhouse_url=self._settings.clickhouse.url,
            broker=self._broker.description,
            pid=os.getpid(),
            started=started_at(os.getpid()),
        )
        self._supervisor = Supervisor(
            settings.local, stop_requested=self._stop.is_set, changed=self._processes_changed
        )
        self._definitions: dict[str, bytes] = {}
        self._workers: dict[str, list[ManagedProcess]] = {}

    def run(self) -> None:
        """Run until SIGINT or SIGTERM, then drain and stop. Raises ThalwegError when it cannot."""
        with hold(self._settings.data_dir), self._signals():
            if self._last is not None:
                end_leftovers(self._last)
            self._write()
            try:
                self._start()
                self._watch()
            except Stopped:
                log.info("stack_stopping", reason="asked to while starting")
            finally:
                self._supervisor.stop()
                self._write(pid=0, started=0, ready=False, processes=())

    def _start(self) -> None:
        self._supervisor.add_layer()
        if self._broker.command():
            broker = self._supervisor.start(broker_service(self._broker, self._settings))
        else:
            broker = None
            self._broker.prepare()
        self._supervisor.add_layer()
        clickhouse = (
            self._supervisor.start(clickhouse_service(self._settings, self._state.ports))
            if self._own_clickhouse
            else None
        )
        for process in (broker, clickhouse):
            if process is not None:
                self._supervisor.wait_healthy(process)
        self._migrate()
        self._supervisor.add_layer()
        self._follow_pipelines()
        self._wait_for_workers()
        self._write(ready=True)
        self._announce(self._state, self._settings)

    def _watch(self) -> None:
        next_look = time.monotonic()
        while not self._stop.wait(POLL_S):
            self._supervisor.tick()
            self._refuse_to_go_on_without_broker()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + WATCH_INTERVAL_S
                self._follow_pipelines_if_possible()
        log.info("stack_stopping", reason="asked to")

    def _migrate(self) -> None:
        from storage.client import connect
        from storage.migrate import migrate

        with connect(self._settings.clickhouse) as client:
            versions = migrate(client, self._settings.clickhouse)
        if versions:
            log.info("tables_migrated", versions=versions)

    def _follow_pipelines(self) -> None:
        """Give every new pipeline topics and workers; restart the workers of a changed one."""
        from stream_processors.topics import create_pipeline_topics, create_shared_topics

        store = self._settings.store
        for name in list_pipelines(store):
            definition = pipeline_path(store, name).read_bytes()
            if self._definitions.get(name) == definition:
                continue
            if name in self._workers:
                log.info("pipeline_changed", pipeline=name)
                for process in self._workers[name]:
                    process.replace()
            else:
                kafka = self._settings.kafka
                topics = [*create_shared_topics(kafka), *create_pipeline_topics(kafka, name)]
                log.info("pipeline_found", pipeline=name, new_topics=topics)
                self._workers[name] = [
                    self._supervisor.start(Worker(self._settings, stage, name).service())
                    for stage in stages_of(self._settings)
                ]
            self._definitions[name] = definition

    def _follow_pipelines_if_possible(self) -> None:
        try:
            self._follow_pipelines()
        except (ThalwegError, OSError) as error:
            log.warning("pipelines_not_followed", reason=str(error), retry_in_s=WATCH_INTERVAL_S)

    def _wait_for_workers(self) -> None:
        """Wait for each; one that fails is reported and does not keep the others from working."""
        for process in [each for workers in self._workers.values() for each in workers]:
            try:
                self._supervisor.wait_healthy(process)
            except ProcessFailedError as error:
                log.error("worker_unhealthy", name=process.service.name, reason=str(error))

    def _refuse_to_go_on_without_broker(self) -> None:
        for process in self._supervisor.processes:
            if process.service.name == "broker" and process.state is ProcessState.FAILED:
                raise ProcessFailedError(f"gave up on the {process.explain()}")

    def _processes_changed(self, processes: tuple[ProcessInfo, ...]) -> None:
        self._write(processes=processes)

    def _write(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        write_state(self._settings.data_dir, self._state)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask to stop, while the context lasts."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, lambda *_: self._stop.set()) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def end_leftovers(last: StackState, timeout_s: float = 10.0) -> None:
    """Kill what a supervisor that died left behind; the kernel does so too, but not everywhere."""
    left = [each for each in last.processes if is_same_process(each.pid, each.started)]
    for process in left:
        log.warning("leftover_killed", name=process.name, pid=process.pid)
        signal_group(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_s
    for process in left:
        while is_same_process(process.pid, process.started):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{process.name} of an earlier stack (pid {process.pid}) does not end: kill it"
                )
            time.sleep(POLL_S)


def _with_addresses(settings: Settings, servers: str, clickhouse_url: str | None) -> Settings:
    """`settings` with the addresses of what actually runs; other fields as they were."""
    changes: dict[str, object] = {
        "kafka": settings.kafka.model_copy(update={"bootstrap_servers": servers})
    }
    if clickhouse_url is not None:
        changes["clickhouse"] = settings.clickhouse.model_copy(update={"url": clickhouse_url})
    return settings.model_copy(update=changes)
