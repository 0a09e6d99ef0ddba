"""`thalweg dead-letters`: events that could not be scored, and why."""

from collections import Counter
from typing import Annotated

import typer

from thalweg.context import DataDir, PipelineName, live_settings


def register(app: typer.Typer) -> None:
    app.command("dead-letters")(dead_letters)


def dead_letters(
    *,
    pipeline: PipelineName = None,
    reason: Annotated[str | None, typer.Option(help="Only these, e.g. missing_feature.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most to print.")] = 20,
    data_dir: DataDir = None,
) -> None:
    """The newest dead letters with reason, source and payload; then counts by reason."""
    import msgspec

    from deploy.records import clock_time, read_records
    from schemas.events import DeadLetter
    from schemas.topics import TopicNames

    settings = live_settings(data_dir, pipeline=pipeline)
    topic = TopicNames(settings.pipeline, settings.kafka.topic_prefix).dead_letters
    decode = msgspec.json.Decoder(DeadLetter).decode
    letters = [
        decode(record.value)
        for record in read_records(settings.kafka, [topic])
        if record.value is not None
    ]
    counts = Counter(letter.reason for letter in letters)
    wanted = [letter for letter in letters if reason in (None, letter.reason)]
    wanted.sort(key=lambda letter: letter.rejected_at_ms)
    for letter in wanted[len(wanted) - limit :] if limit < len(wanted) else wanted:
        source = f"{letter.source_topic}[{letter.source_partition}]@{letter.source_offset}"
        when = clock_time(letter.rejected_at_ms)
        typer.echo(f"{when} {letter.reason:<20} {source}  {letter.explanation}")
        typer.echo(f"    {letter.payload_bytes} bytes: {(letter.payload or b'')[:200]!r}")
    total = ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
    typer.echo(f"dead letters of {settings.pipeline}: {total}")
