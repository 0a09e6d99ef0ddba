"""`thalweg worker`: one stage of one pipeline in the foreground."""

from enum import StrEnum
from typing import Annotated

import typer

from thalweg.context import DataDir, PipelineName, live_settings


class Stage(StrEnum):
    SCORE = "score"
    LOG = "log"
    SKETCH = "sketch"
    DETECT = "detect"
    JOIN = "join"
    DECIDE = "decide"


def register(app: typer.Typer) -> None:
    app.command()(worker)


def worker(
    stage: Annotated[Stage, typer.Argument(help="Which stage to run.")],
    pipeline: PipelineName = None,
    data_dir: DataDir = None,
) -> None:
    """Run one stage until SIGTERM or Ctrl-C, then drain; run several to share the partitions."""
    from stream_processors.threads import one_thread_each
    from thalweg.logs import configure

    one_thread_each()  # numpy is not imported yet
    settings = live_settings(data_dir, pipeline=pipeline)
    configure(settings.logging)
    match stage:
        case Stage.SCORE:
            from stream_processors.score import run
        case Stage.LOG:
            from stream_processors.log_predictions import run
        case Stage.SKETCH:
            from stream_processors.sketch_drift import run
        case Stage.DETECT:
            from stream_processors.detect_drift import run
        case Stage.JOIN:
            from stream_processors.join_labels import run
        case Stage.DECIDE:
            from stream_processors.request_retraining import run
    run(settings)
