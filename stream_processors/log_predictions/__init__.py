"""The prediction log: `{pipeline}.scored-batches` in, ClickHouse rows out.

`faust -A stream_processors.log_predictions worker --without-web` runs it as an ordinary Faust app;
`thalweg worker log` does the same with our logging and clean exit codes.
"""

from typing import Any

from schemas.settings import Settings


def run(settings: Settings) -> None:
    """Log until stopped; returns after a clean drain, raises ThalwegError otherwise."""
    from stream_processors.log_predictions.app import create_log_app
    from stream_processors.run import run_worker

    run_worker(create_log_app, settings)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from stream_processors.threads import one_thread_each

    one_thread_each()  # numpy is not imported yet
    from schemas.settings import load_settings
    from stream_processors.log_predictions.app import create_log_app

    return create_log_app(load_settings())
