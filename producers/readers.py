"""Rows of CSV, Parquet and JSONL files in bounded memory, as batches of columns of plain values.

A CSV's cells are text: what they mean is up to the schema, so that one odd cell late in a file
neither stops the reading nor changes how its neighbours are read.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv, parquet

Cell = float | int | bool | str | datetime | None
"""One value of a file, None where it is missing; whatever else a file holds reads as its text."""

Batch = dict[str, list[Cell]]
"""The same number of rows for every column."""

BATCH_ROWS = 8192
CSV_BLOCK_BYTES = 1 << 20
"""pyarrow cuts a CSV at this size; a single row may not be longer."""


class Reader(Protocol):
    """What each file format can do."""

    def columns(self, path: Path) -> list[str]:
        """The names of the columns, in file order."""
        ...

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[Batch]:
        """The named columns, batch by batch."""
        ...


def reader_of(path: Path) -> Reader:
    """The reader for a file by its extension; a ConfigurationError says what can be read."""
    readers: dict[str, Callable[[], Reader]] = {
        ".csv": CsvReader,
        ".tsv": CsvReader,
        ".parquet": ParquetReader,
        ".pq": ParquetReader,
        ".jsonl": JsonlReader,
        ".ndjson": JsonlReader,
    }
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file; check the path")
    if path.suffix.lower() not in readers:
        raise ConfigurationError(
            f"{path}: cannot read {path.suffix or 'a file without extension'};"
            f" convert it to one of {', '.join(readers)}"
        )
    if path.stat().st_size == 0:
        raise ConfigurationError(f"{path} is empty; give a file with at least one row")
    return readers[path.suffix.lower()]()


def refuse_twice(path: Path, columns: Sequence[str]) -> None:
    """Raise ConfigurationError for a column name that occurs twice."""
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise ConfigurationError(f"{path}: column {twice[0]!r} is there twice; rename one")


class CsvReader:
    """CSV with a header line; comma, semicolon or tab, whichever the header has most of."""

    def columns(self, path: Path) -> list[str]:
        stream = self._open(path, None)
        return list(stream.schema.names)

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[Batch]:
        import pyarrow as pa

        stream = self._open(path, names)
        try:
            for batch in stream:
                yield cast("Batch", batch.to_pydict())
        except pa.ArrowInvalid as error:
            raise _unreadable(path, error) from error

    def _open(self, path: Path, names: Sequence[str] | None) -> "csv.CSVStreamingReader":
        import pyarrow as pa
        from pyarrow import csv

        with path.open("rb") as file:
            header = file.readline(CSV_BLOCK_BYTES).decode("utf-8-sig", errors="replace")
        delimiter = max(",;\t", key=header.count)
        parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        read = csv.ReadOptions(block_size=CSV_BLOCK_BYTES, use_threads=False)
        try:
            columns = csv.open_csv(path, parse_options=parse, read_options=read).schema.names
            refuse_twice(path, columns)
            convert = csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=list(columns if names is None else names),
                strings_can_be_null=True,
            )
            return csv.open_csv(
                path, parse_options=parse, read_options=read, convert_options=convert
            )
        except pa.ArrowInvalid as error:
            raise _unreadable(path, error) from error


class ParquetReader:
    """Parquet, read row group by row group."""

    def columns(self, path: Path) -> list[str]:
        names = list(self._open(path).schema_arrow.names)
        refuse_twice(path, names)
        return names

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[Batch]:
        import pyarrow as pa

        try:
            for batch in self._open(path).iter_batches(BATCH_ROWS, columns=list(names)):
                yield {
                    name: [_cell(value) for value in _microseconds(column).to_pylist()]
                    for name, column in zip(batch.schema.names, batch.columns, strict=True)
                }
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(path, error) from error

    def _open(self, path: Path) -> "parquet.ParquetFile":
        import pyarrow as pa
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(path, error) from error


class JsonlReader:
    """One JSON object a line; the columns are those of the first batch, a missing key is None."""

    def columns(self, path: Path) -> list[str]:
        seen: dict[str, None] = {}
        for number, row in enumerate(self._rows(path)):
            seen.update(dict.fromkeys(row))
            if number >= BATCH_ROWS:
                break
        return list(seen)

    def batches(self, path: Path, names: Sequence[str]) -> Iterator[Batch]:
        rows: list[dict[str, object]] = []
        for row in self._rows(path):
            rows.append(row)
            if len(rows) == BATCH_ROWS:
                yield self._batch(rows, names)
                rows = []
        if rows:
            yield self._batch(rows, names)

    def _batch(self, rows: list[dict[str, object]], names: Sequence[str]) -> Batch:
        return {name: [_cell(row.get(name)) for row in rows] for name in names}

    def _rows(self, path: Path) -> Iterator[dict[str, object]]:
        decoder = msgspec.json.Decoder(dict[str, object])
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise ConfigurationError(
                        f"{path}: line {number} is not a JSON object ({error}); correct that line"
                    ) from error


def _cell(value: object) -> Cell:
    if value is None or isinstance(value, bool | int | str | datetime):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value  # how data frames spell a missing value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    number = getattr(value, "__float__", None)  # decimals
    return float(number()) if number is not None else str(value)


def _microseconds(column: "pa.Array") -> "pa.Array":
    """A column whose times fit Python's datetime, which knows no nanoseconds."""
    import pyarrow as pa

    if not pa.types.is_timestamp(column.type):
        return column
    return column.cast(pa.timestamp("us", column.type.tz), safe=False)


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = str(error).strip().splitlines()[0]
    return ConfigurationError(
        f"{path} cannot be read ({reason}); correct the file or export it anew"
    )
