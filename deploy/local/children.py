"""Child processes that never outlive us: each a process group of its own, its output a file."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def spawn(
    command: list[str], *, log_file: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start `command` with its output appended to `log_file`.

    The kernel kills it when the calling thread ends, so call this from the main thread.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is ours to pass on, in order
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 (two system calls, no locks)
        )


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child and everything it started; one that is gone is no error."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def started_at(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none.

    A pid alone can have been given to another process meanwhile; pid and start time cannot.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def is_same_process(pid: int, start: int) -> bool:
    """Whether the process that was seen with this pid and start time still runs."""
    return pid > 0 and start > 0 and started_at(pid) == start


def last_lines(path: Path, n_lines: int = 15) -> list[str]:
    """The end of a log file, read from its last 16 KiB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16 * 1024))
            return file.read().decode(errors="replace").splitlines()[-n_lines:]
    except OSError:
        return []


def _die_with(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None).prctl

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between the fork and the line above
            os._exit(1)

    return in_child
