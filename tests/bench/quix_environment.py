"""A virtual environment for Quix Streams, made on first use and kept.

It pins an older confluent-kafka than ours.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = ("quixstreams==3.28.1", "onnxruntime>=1.22", "numpy>=2.1")
_TIMEOUT_S = 600


def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "thalweg" / "bench"


def quix_python() -> str:
    """The interpreter of the environment; raises RuntimeError that says why there is none."""
    directory = cache_dir() / f"quix-{REQUIREMENTS[0].partition('==')[2]}"
    python, done = directory / "bin" / "python", directory / "complete"
    if not done.exists():
        # An interrupted installation leaves no `complete`, and is made again from scratch.
        shutil.rmtree(directory, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(directory)])
        _run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS])
        done.touch()
    return str(python)


def _run(command: list[str]) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{' '.join(command[:4])} took over {_TIMEOUT_S} s") from error
    if result.returncode:
        tail = (result.stderr or result.stdout).strip().splitlines()[-1:]
        raise RuntimeError(f"cannot install Quix Streams: {' '.join(tail)}")
