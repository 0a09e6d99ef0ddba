"""Sketches for drift: `{pipeline}.scored-batches` in, pieces of windows on `drift-sketches` out.

`faust -A stream_processors.sketch_drift worker --without-web` runs it as an ordinary Faust app;
`thalweg worker sketch` does the same with our logging and clean exit codes.
"""

from typing import Any

from schemas.settings import Settings


def run(settings: Settings) -> None:
    """Sketch until stopped; returns after a clean drain, raises ThalwegError otherwise."""
    from stream_processors.run import run_worker
    from stream_processors.sketch_drift.app import create_sketch_app

    run_worker(create_sketch_app, settings)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from stream_processors.threads import one_thread_each

    one_thread_each()  # numpy is not imported yet
    from schemas.settings import load_settings
    from stream_processors.sketch_drift.app import create_sketch_app

    return create_sketch_app(load_settings())
