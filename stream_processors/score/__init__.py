"""Scoring: `{pipeline}.features` in; predictions, scored batches and dead letters out.

`faust -A stream_processors.score worker --without-web` runs it as an ordinary Faust app;
`thalweg worker score` does the same with our logging and clean exit codes.
"""

from typing import Any

from schemas.settings import Settings


def run(settings: Settings) -> None:
    """Score until stopped; returns after a clean drain, raises ThalwegError otherwise."""
    from stream_processors.run import run_worker
    from stream_processors.score.app import create_score_app

    run_worker(create_score_app, settings)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from stream_processors.threads import one_thread_each

    one_thread_each()  # numpy is not imported yet
    from schemas.settings import load_settings
    from stream_processors.score.app import create_score_app

    return create_score_app(load_settings())
