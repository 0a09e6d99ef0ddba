"""Which pipeline a file belongs to, and how its columns map."""

import shlex
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from producers.files import file_columns
from schemas.errors import ConfigurationError
from schemas.pipeline import ColumnMapping, Pipeline, list_pipelines, read_pipeline


def find_pipeline(store: Path, file: Path, name: str | None) -> Pipeline:
    """The pipeline called `name`, else the only one whose features are all columns of `file`.

    Raises ConfigurationError that says which command makes one, or which to choose from.
    """
    columns = set(file_columns(file))
    candidates = [name] if name else list_pipelines(store)
    pipelines = [read_pipeline(store, each) for each in candidates]
    fitting = [each for each in pipelines if columns.issuperset(each.schema.names)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(each.name for each in fitting)
        raise ConfigurationError(f"{file} fits several pipelines ({names}): choose with --pipeline")
    if name:
        missing = [each for each in pipelines[0].schema.names if each not in columns]
        raise ConfigurationError(
            f"{file} lacks columns of pipeline {name!r}: {', '.join(missing[:10])}"
        )
    raise ConfigurationError(
        f"no pipeline has the columns of {file}; if a column holds the known outcome, this makes"
        f" one: thalweg bootstrap {shlex.quote(str(file))} --label COLUMN"
    )


def remapped(
    mapping: ColumnMapping,
    *,
    entity: str | None,
    event_id: str | None,
    time: str | None,
    time_origin: str | None,
) -> ColumnMapping:
    """`mapping` with the given columns in place of its own."""
    given = {"entity": entity, "event_id": event_id, "time": time}
    changes: dict[str, object] = {name: column for name, column in given.items() if column}
    if time_origin:
        changes["time_origin_ms"] = parse_origin(time_origin)
    return msgspec.structs.replace(mapping, **changes)


def parse_origin(text: str) -> int:
    """Milliseconds since 1970 of an ISO date or time; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"time origin {text!r}: write it like 2013-09-01") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
