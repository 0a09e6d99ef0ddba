"""`thalweg produce` and `replay`: send events to a pipeline."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError
from thalweg.columns import Entity, EventId, Time, TimeOrigin
from thalweg.context import DataDir, PipelineName, live_settings

if TYPE_CHECKING:
    from producers.fraud import Drift


class Encoding(StrEnum):
    JSON = "json"
    PACKED = "packed"


Rate = Annotated[
    float | None, typer.Option(min=0.001, help="Events per second.", show_default="flat out")
]
Format = Annotated[Encoding, typer.Option("--format", help="Wire format.")]


def register(app: typer.Typer) -> None:
    app.command()(produce)
    app.command()(replay)


def produce(
    *,
    rate: Annotated[float, typer.Option(min=0.001, help="Events per second.")] = 100.0,
    count: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many.", show_default="never")
    ] = None,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND@EVENT or KIND@EVENT:STRENGTH, from that event number on: covariate, prior,"
            " concept or broken_feature. May be repeated."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 0,
    skip: Annotated[int, typer.Option(min=0, help="Number of the first event.")] = 0,
    labels: Annotated[bool, typer.Option(help="Send labels too, when they are due.")] = True,
    encoding: Format = Encoding.JSON,
    pipeline: PipelineName = None,
    data_dir: DataDir = None,
) -> None:
    """Send a synthetic stream of card payments with frauds, until Ctrl-C or --count."""
    from deploy.fraud import send_fraud
    from producers.fraud import FraudStream
    from thalweg.logs import configure

    settings = live_settings(data_dir, pipeline=pipeline)
    configure(settings.logging)
    stream = FraudStream(seed=seed, drifts=[parse_drift(text) for text in drift or []])
    n_sent = send_fraud(
        settings, stream, rate=rate, count=count, skip=skip, labels=labels, encoding=encoding.value
    )
    typer.echo(f"{n_sent} events sent and acknowledged")


def replay(
    *,
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSONL.")],
    rate: Rate = None,
    pipeline: Annotated[
        str | None,
        typer.Option(help="The pipeline.", show_default="the one that has these columns"),
    ] = None,
    entity: Entity = None,
    event_id: EventId = None,
    time: Time = None,
    time_origin: TimeOrigin = None,
    encoding: Format = Encoding.JSON,
    data_dir: DataDir = None,
) -> None:
    """Send the rows of a file as events; columns map as at `bootstrap` unless options differ."""
    from deploy.replay import find_pipeline, remapped
    from producers.files import count_rows
    from producers.publisher import FeaturePublisher
    from producers.replay import replay as send
    from schemas.topics import TopicNames
    from thalweg.progress import progress_bar

    settings = live_settings(data_dir)
    found = find_pipeline(settings.store, file, pipeline)
    mapping = remapped(
        found.mapping, entity=entity, event_id=event_id, time=time, time_origin=time_origin
    )
    topic = TopicNames(found.name, settings.kafka.topic_prefix).features
    with (
        FeaturePublisher(settings.kafka, topic, found.schema, encoding.value) as publisher,
        progress_bar(f"{file.name} to {topic}", count_rows(file)) as progress,
    ):
        n_sent = send(file, found.schema, mapping, publisher, rate=rate, progress=progress)
    typer.echo(f"{n_sent} events sent to {topic} and acknowledged")


def parse_drift(text: str) -> "Drift":
    """`concept@5000` or `concept@5000:0.5`; raises ConfigurationError that shows the form."""
    from producers.fraud import Drift, DriftKind

    kind, _, rest = text.partition("@")
    event, _, strength = rest.partition(":")
    if kind not in list(DriftKind) or not event.isdigit():
        raise ConfigurationError(
            f"drift {text!r}: write KIND@EVENT or KIND@EVENT:STRENGTH, as in concept@5000;"
            f" KIND is one of {', '.join(DriftKind)}"
        )
    try:
        return Drift(DriftKind(kind), int(event), float(strength or 1.0))
    except ValueError as error:
        raise ConfigurationError(f"drift {text!r}: {strength!r} is not a number") from error
