"""`thalweg topics list|tail`: what is on the cluster, every format decoded."""

from typing import Annotated

import typer

from schemas.errors import ConfigurationError
from thalweg.context import DataDir, PipelineName, live_settings

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the topics.")


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="topics")


@group.command("list")
def list_topics(data_dir: DataDir = None) -> None:
    """The topics of every pipeline, and those they share, with partitions and end offsets."""
    from deploy.local.status import topic_status
    from schemas.pipeline import list_pipelines

    settings = live_settings(data_dir)
    found = topic_status(settings.kafka, list_pipelines(settings.store))
    if not found:
        typer.echo("no topics yet: `thalweg bootstrap` makes a pipeline and its topics")
    for topic in found:
        typer.echo(f"{topic.name:<40} {topic.partitions:>4} partitions {topic.end_offset:>12}")


@group.command()
def tail(
    *,
    topic: Annotated[str, typer.Argument(help="features, predictions, ... or a full topic name.")],
    pipeline: PipelineName = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, help="Records per partition to begin with.")
    ] = 10,
    everything: Annotated[bool, typer.Option("--all", help="From the beginning.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for new ones.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Print records as JSON, one a line, whatever their format: JSON, packed, Arrow, sketches."""
    from deploy.records import clock_time, describe_record, read_records
    from schemas.pipeline import read_pipeline
    from schemas.topics import Topic, TopicNames

    settings = live_settings(data_dir, pipeline=pipeline)
    full_name = topic
    if topic in list(Topic):
        names = TopicNames(settings.pipeline, settings.kafka.topic_prefix)
        full_name = names.of(Topic(topic))
    try:
        feature_names = read_pipeline(settings.store, settings.pipeline).schema.names
    except ConfigurationError:  # somebody else's topic, or another store: numbers without names
        feature_names = ()
    records = read_records(
        settings.kafka, [full_name], last=None if everything else last, follow=follow
    )
    for record in records:
        place = f"{record.partition}@{record.offset}"
        text = describe_record(record, feature_names)
        typer.echo(f"{clock_time(record.timestamp_ms)} {place:<12} {record.key:<16} {text}")
