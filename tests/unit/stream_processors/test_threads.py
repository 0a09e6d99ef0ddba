"""A worker takes one thread for linear algebra, unless its user says otherwise."""

import os
import subprocess
import sys

import pytest

from stream_processors.threads import NAMES, one_thread_each

APPS = [
    f"import faust, stream_processors.{stage} as stage; stage.app"
    for stage in (
        "score",
        "log_predictions",
        "sketch_drift",
        "detect_drift",
        "join_labels",
        "request_retraining",
    )
]
COMMAND = "import thalweg.main; from thalweg.worker import Stage, worker; worker(Stage.DETECT)"
STOP_AT_NUMPY = """
import os, sys
class Numpy:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            raise SystemExit(f"numpy after {os.environ.get('OPENBLAS_NUM_THREADS')}")
sys.meta_path.insert(0, Numpy())
"""


def test_each_library_gets_one_thread() -> None:
    environ = {"PATH": "/bin"}
    one_thread_each(environ)
    assert environ == {"PATH": "/bin"} | dict.fromkeys(NAMES, "1")


@pytest.mark.parametrize("name", NAMES)
def test_who_gives_one_of_the_numbers_decides_for_all(name: str) -> None:
    environ = {name: "4"}
    one_thread_each(environ)
    assert environ == {name: "4"}


@pytest.mark.parametrize("start", [*APPS, COMMAND])
def test_however_a_worker_is_started_numpy_comes_after(start: str) -> None:
    others = {key: value for key, value in os.environ.items() if key not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", STOP_AT_NUMPY + start],
        env=others | {"THALWEG_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == "numpy after 1", done.stderr
