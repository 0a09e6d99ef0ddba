"""One process per data directory; the kernel lets go of the lock whatever way it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir`; raises ConfigurationError that names the process that has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / "lock").open("a+")
    except OSError as error:
        raise ConfigurationError(f"cannot use {data_dir} as data directory: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ConfigurationError(
                f"{data_dir} is in use by the stack of pid {owner}: `thalweg down` stops it,"
                " or choose another --data-dir"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(directory: Path) -> str | None:
    """The pid of whoever holds `directory`, "unknown" where it wrote none; None: nobody does."""
    try:
        file = (directory / "lock").open()
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
        return None
