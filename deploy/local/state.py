"""`stack.json`: what a data directory's stack is made of and what runs now, for every command."""

from enum import StrEnum
from pathlib import Path

import msgspec

from deploy.local.children import is_same_process
from schemas.errors import ConfigurationError


class ProcessState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    FAILED = "failed"
    STOPPED = "stopped"


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One child process. `started` tells its pid from a later process that was given the same."""

    name: str
    pid: int
    started: int
    state: ProcessState
    restarts: int
    reason: str = ""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Chosen once for a data directory and kept: clients remember them."""

    kafka: int
    kafka_controller: int
    clickhouse_http: int
    clickhouse_tcp: int


class StackState(msgspec.Struct, frozen=True, kw_only=True):
    """`pid` is the supervisor's; `ready` once everything it starts with is healthy.

    `broker` says which kind of broker `bootstrap_servers` is, for people.
    """

    ports: Ports
    bootstrap_servers: str
    clickhouse_url: str
    broker: str = ""
    pid: int = 0
    started: int = 0
    ready: bool = False
    processes: tuple[ProcessInfo, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the supervisor that wrote this still lives."""
        return is_same_process(self.pid, self.started)


def state_path(data_dir: Path) -> Path:
    return data_dir / "stack.json"


def read_state(data_dir: Path) -> StackState | None:
    """What the last supervisor of `data_dir` wrote; None when there was none."""
    path = state_path(data_dir)
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackState)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(
            f"{path} is unreadable ({error}): remove it, and `thalweg up` chooses ports anew"
        ) from error


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the file at once: a reader sees the old state or the new one, never a part."""
    path = state_path(data_dir)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1))
    temporary.replace(path)
