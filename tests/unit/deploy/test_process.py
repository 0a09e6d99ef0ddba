"""Supervised processes: real ones, but small."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.children import is_same_process, last_lines, spawn, started_at
from deploy.local.process import ManagedProcess, Service
from deploy.local.restarts import RestartPolicy
from deploy.local.state import ProcessInfo, ProcessState
from deploy.local.supervisor import ProcessFailedError, Stopped, Supervisor
from schemas.errors import ConfigurationError
from schemas.settings import LocalSettings

SLEEPER = "import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); {SLEEPER}"


def service(folder: Path, code: str, *, name: str = "part", **options: object) -> Service:
    return Service(
        name=name,
        command=[sys.executable, "-c", code],
        log_file=folder / f"{name}.log",
        **{"healthy": lambda: True, **options},  # type: ignore[arg-type]
    )


def managed(each: Service, *, max_restarts: int = 3, start_timeout_s: float = 30) -> ManagedProcess:
    policy = RestartPolicy(max_restarts=max_restarts, window_s=100)
    return ManagedProcess(each, policy, start_timeout_s=start_timeout_s, stop_timeout_s=1)


def supervisor(
    *, stop: Callable[[], bool] = lambda: False, seen: list[tuple[ProcessInfo, ...]] | None = None
) -> Supervisor:
    settings = LocalSettings(stop_timeout_s=1)
    changed = seen.append if seen is not None else lambda _: None
    made = Supervisor(settings, stop_requested=stop, changed=changed)
    made.add_layer()
    return made


def tick_until(process: ManagedProcess, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, process.info
        process.tick()
        time.sleep(0.01)


def end(process: ManagedProcess) -> None:
    process.request_stop()
    process.wait_stopped(time.monotonic())


def test_a_process_is_running_once_it_is_healthy(tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    process = managed(service(tmp_path, SLEEPER, healthy=healthy.exists))
    process.start()
    process.tick()
    assert process.info.state is ProcessState.STARTING

    healthy.touch()
    process.tick()

    assert process.info.state is ProcessState.RUNNING
    assert is_same_process(process.info.pid, process.info.started)
    end(process)


def test_a_process_that_ends_is_restarted_until_it_is_given_up_with_its_last_words(
    tmp_path: Path,
) -> None:
    process = managed(service(tmp_path, "print('no disk left'); exit(3)"), max_restarts=2)
    process.start()
    tick_until(process, lambda: process.state is ProcessState.FAILED)

    assert process.info.restarts == 2
    assert process.info.reason == "exited with status 3"
    assert process.explain().splitlines()[-1] == "no disk left"


def test_a_process_that_is_never_healthy_is_killed_and_counts_as_ended(tmp_path: Path) -> None:
    never = service(tmp_path, SLEEPER, healthy=lambda: False)
    process = managed(never, max_restarts=0, start_timeout_s=0.1)
    process.start()
    pid = process.info.pid
    tick_until(process, lambda: process.state is ProcessState.FAILED)

    assert "not healthy within 0.1 s" in process.reason
    assert started_at(pid) == 0


def test_a_start_that_is_refused_is_a_failure_with_that_reason(tmp_path: Path) -> None:
    def refuse() -> None:
        raise ConfigurationError("port 1 is taken")

    process = managed(service(tmp_path, SLEEPER, prepare=refuse), max_restarts=0)
    process.start()

    assert process.state is ProcessState.FAILED
    assert process.reason == "port 1 is taken"


def test_replacing_a_process_starts_it_anew_without_counting_a_restart(tmp_path: Path) -> None:
    process = managed(service(tmp_path, SLEEPER))
    process.start()
    first = process.info.pid
    process.replace()
    tick_until(process, lambda: process.info.pid not in (0, first))

    assert process.info.restarts == 0
    end(process)


def test_a_replaced_process_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    process = managed(service(tmp_path, STUBBORN))
    process.start()
    tick_until(process, lambda: last_lines(tmp_path / "part.log") == ["up"])
    first = process.info.pid
    process.replace()
    tick_until(process, lambda: process.info.pid not in (0, first))

    assert started_at(first) == 0
    end(process)


def test_the_first_failure_of_a_first_start_is_the_error(tmp_path: Path) -> None:
    parts = supervisor()
    process = parts.start(service(tmp_path, "exit('no such table')", healthy=lambda: False))

    with pytest.raises(ProcessFailedError, match="no such table"):
        parts.wait_healthy(process)
    assert process.info.restarts == 0


def test_a_stop_ends_the_wait_for_health(tmp_path: Path) -> None:
    parts = supervisor(stop=lambda: True)
    process = parts.start(service(tmp_path, SLEEPER, healthy=lambda: False))

    with pytest.raises(Stopped):
        parts.wait_healthy(process)
    parts.stop()
    assert process.info.state is ProcessState.STOPPED


def test_newer_layers_stop_first_and_what_does_not_drain_is_killed(tmp_path: Path) -> None:
    seen: list[tuple[ProcessInfo, ...]] = []
    parts = supervisor(seen=seen)
    base = parts.start(service(tmp_path, SLEEPER, name="base"))
    parts.add_layer()
    stubborn = parts.start(service(tmp_path, STUBBORN, name="stubborn"))
    tick_until(stubborn, lambda: last_lines(tmp_path / "stubborn.log") == ["up"])
    pids = [base.info.pid, stubborn.info.pid]

    parts.stop()

    assert [started_at(pid) for pid in pids] == [0, 0]
    halfway = next(each for each in seen if len(each) == 2 and each[1].pid == 0)
    assert halfway[0].pid == pids[0], "the base was stopped before what stands on it"


def test_a_child_does_not_survive_its_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from deploy.local.children import spawn;"
        f" command = [sys.executable, '-c', {SLEEPER!r}];"
        f" child = spawn(command, log_file=Path({str(tmp_path / 'c')!r}));"
        " print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert started_at(child) > 0

    parent.kill()
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 120
    while started_at(child):
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.02)


def test_ctrl_c_at_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", SLEEPER], log_file=tmp_path / "child.log")

    assert os.getpgid(child.pid) != os.getpgid(0)
    child.send_signal(signal.SIGKILL)
    child.wait()
