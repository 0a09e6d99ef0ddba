"""What the commands of the bench share: lists of names, a console, Ctrl-C, tidying up."""

import shutil
from collections.abc import Collection
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console


def chosen(text: str, known: Collection[str], what: str) -> tuple[str, ...]:
    """The comma-separated names in `text`; an unknown one ends the command with what there is."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no {what} {name!r}; there are {', '.join(known)}")
    return names


def console_for(log_width: int) -> Console:
    """The terminal, or lines of `log_width` where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=log_width)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """A signal handler: SIGTERM ends the bench as Ctrl-C does, every child with it."""
    raise KeyboardInterrupt


def tidy(directory: Path, *, keep_logs: bool, console: Console) -> None:
    """Remove what the run left on disk; the logs stay where something went wrong."""
    for path in directory.iterdir():
        if not (keep_logs and path.name == "logs"):
            shutil.rmtree(path, ignore_errors=True)
    if any(directory.iterdir()):
        console.print(f"Logs of every process: {directory / 'logs'}")
    else:
        directory.rmdir()
