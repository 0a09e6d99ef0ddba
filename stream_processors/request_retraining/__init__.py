"""Decisions on retraining: `drift-alerts` in, requests and decisions on `retraining-requests` out.

`faust -A stream_processors.request_retraining worker --without-web` runs it as an ordinary Faust
app; `thalweg worker decide` does the same with our logging and clean exit codes.
"""

from typing import Any

from schemas.settings import Settings


def run(settings: Settings) -> None:
    """Decide until stopped; returns after a clean drain, raises ThalwegError otherwise."""
    from stream_processors.request_retraining.app import create_decide_app
    from stream_processors.run import run_worker

    run_worker(create_decide_app, settings)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from stream_processors.threads import one_thread_each

    one_thread_each()  # numpy is not imported yet
    from schemas.settings import load_settings
    from stream_processors.request_retraining.app import create_decide_app

    return create_decide_app(load_settings())
