"""A stack in the background: start it and wait until it is healthy; stop it and wait until gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import MappingProxyType

from deploy.local.children import is_same_process, last_lines
from deploy.local.parts import log_file
from deploy.local.state import StackState, read_state
from schemas.errors import ConfigurationError, ThalwegError
from schemas.settings import Settings

POLL_S = 0.1


def start_detached(
    settings: Settings, defaults: Mapping[str, str] = MappingProxyType({})
) -> StackState:
    """Start a supervisor that outlives this process; returns once all is healthy. `defaults` are
    variables for it that the environment does not have.

    Raises ConfigurationError with what the supervisor said when it ends before that.
    """
    output = log_file(settings, "up")
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "thalweg.main", "up", "--data-dir", str(settings.data_dir)],
            env={**defaults, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # The supervisor bounds its own waits, so this loop ends.
        while process.poll() is None:
            state = read_state(settings.data_dir)
            if state is not None and state.pid == process.pid and state.ready:
                return state
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    said = [line.removeprefix("thalweg: ") for line in last_lines(output)]
    errors = [line for line in said if not line.startswith("{")] or said
    raise ConfigurationError("\n".join(errors) or f"the stack ended; see {output}")


def stop_stack(stack: StackState, settings: Settings) -> None:
    """Ask the supervisor to drain and stop, and wait for it."""
    layers = 3
    os.kill(stack.pid, signal.SIGTERM)
    deadline = time.monotonic() + layers * settings.local.stop_timeout_s + 10
    while is_same_process(stack.pid, stack.started):
        if time.monotonic() > deadline:
            raise ThalwegError(f"the supervisor (pid {stack.pid}) does not stop; see its logs")
        time.sleep(POLL_S)
