"""Send the rows of a file as events, at a chosen rate or flat out."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from producers.cells import event_time_ms, text, values
from producers.files import read_columns
from producers.pace import Pacer
from producers.publisher import Value
from producers.readers import Batch, Cell
from schemas.errors import ConfigurationError
from schemas.features import FeatureSchema
from schemas.pipeline import ColumnMapping

PROGRESS_INTERVAL_S = 0.1


class EventSink(Protocol):
    """Where events go: a FeaturePublisher, or something that behaves like one."""

    def publish_event(
        self,
        entity: str,
        event_id: str,
        event_time_ms: int | str | None,
        row: Sequence[Value],
    ) -> None: ...

    def flush(self) -> None: ...


class RowEvent(NamedTuple):
    """One row as it is sent; the arguments of `publish_event`."""

    entity: str
    event_id: str
    event_time_ms: int | str | None
    row: tuple[Value, ...]


def replay(
    path: Path,
    schema: FeatureSchema,
    mapping: ColumnMapping,
    publisher: EventSink,
    *,
    rate: float | None = None,
    progress: Callable[[int], None] = lambda _n_sent: None,
) -> int:
    """Send each row as one event, in file order, and return how many; all are acknowledged then.

    `rate` is in events per second, None is flat out. `progress` gets the number sent so far, ten
    times a second at most, and at the end. A cell that does not fit its feature is sent as text,
    so that the scorer refuses the event with its reason. Raises ConfigurationError for a file that
    cannot be read, and what the publisher raises.
    """
    if rate is not None and not rate > 0:
        raise ConfigurationError(f"rate {rate:g}: give events per second above 0, or none")
    pacer = Pacer(rate)
    n_sent, report_at = 0, 0.0
    for event in row_events(path, schema, mapping):
        pacer.wait()
        publisher.publish_event(*event)
        n_sent += 1
        if time.monotonic() >= report_at:
            progress(n_sent)
            report_at = time.monotonic() + PROGRESS_INTERVAL_S
    publisher.flush()
    progress(n_sent)
    return n_sent


def row_events(path: Path, schema: FeatureSchema, mapping: ColumnMapping) -> Iterator[RowEvent]:
    """The rows of a file as events, in bounded memory.

    Without an event id column, or where its cell is empty, the id is the file's name and the row
    number from 0; the entity is then `row-` and that number.
    """
    n_before = 0
    # Not the label: files to score may well have none.
    mapped = [name for name in (mapping.entity, mapping.event_id, mapping.time) if name]
    for batch in read_columns(path, [*schema.names, *mapped]):
        yield from _batch_events(batch, schema, mapping, path.stem, n_before)
        n_before += len(next(iter(batch.values())))


def _batch_events(
    batch: Batch, schema: FeatureSchema, mapping: ColumnMapping, stem: str, n_before: int
) -> Iterator[RowEvent]:
    columns = [values(feature, batch[feature.name]) for feature in schema.features]
    numbers = range(n_before, n_before + len(columns[0]))
    nothing: list[Cell] = [None] * len(numbers)
    times = nothing if mapping.time is None else batch[mapping.time]
    return map(
        RowEvent,
        _names(batch[mapping.entity] if mapping.entity else nothing, "row", numbers),
        _names(batch[mapping.event_id] if mapping.event_id else nothing, stem, numbers),
        (event_time_ms(cell, mapping) for cell in times),
        zip(*columns, strict=True),
    )


def _names(column: Sequence[Cell], stem: str, numbers: range) -> Iterator[str]:
    return (
        f"{stem}-{row}" if cell is None else text(cell)
        for cell, row in zip(column, numbers, strict=True)
    )
