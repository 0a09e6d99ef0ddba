"""Labels and live quality: `{pipeline}.labels` in, ClickHouse rows and quality alerts out.

`faust -A stream_processors.join_labels worker --without-web` runs it as an ordinary Faust app;
`thalweg worker join` does the same with our logging and clean exit codes.
"""

from typing import Any

from schemas.settings import Settings


def run(settings: Settings) -> None:
    """Join until stopped; returns after a clean drain, raises ThalwegError otherwise."""
    from stream_processors.join_labels.app import create_join_app
    from stream_processors.run import run_worker

    run_worker(create_join_app, settings)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(name)
    from stream_processors.threads import one_thread_each

    one_thread_each()  # numpy is not imported yet
    from schemas.settings import load_settings
    from stream_processors.join_labels.app import create_join_app

    return create_join_app(load_settings())
