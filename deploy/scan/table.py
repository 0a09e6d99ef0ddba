"""A file as a scan needs it: a matrix, and the columns that mean something else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from drift.columns import ColumnSpec
from schemas.errors import ConfigurationError

Floats = npt.NDArray[np.float32]

MAX_CATEGORIES = 1000
"""A text column with more values is taken for identifiers."""
INDEX_NAMES = ("", "Unnamed: 0")
"""How data frames name the row numbers that they write as a first column."""
NO_LABEL = -1


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that are no features."""

    label: str | None = None
    score: str | None = None
    entity: str | None = None
    time: str | None = None

    def named(self) -> dict[str, str]:
        """Option and column of each that is given."""
        pairs = {
            "--label": self.label,
            "--score": self.score,
            "--entity": self.entity,
            "--time": self.time,
        }
        return {option: name for option, name in pairs.items() if name is not None}


@dataclass(frozen=True, slots=True)
class ScanTable:
    """Rows in time order: `matrix` is float32[n, f], categories as codes, NaN where missing.

    `labels` int8[n] (1, 0, -1 for none yet), `scores` float32[n], `entities` int64[n] codes and
    `times_ms` int64[n] are None where the file has none.
    """

    specs: tuple[ColumnSpec, ...]
    matrix: Floats
    labels: npt.NDArray[np.int8] | None = None
    scores: Floats | None = None
    entities: npt.NDArray[np.int64] | None = None
    times_ms: npt.NDArray[np.int64] | None = None
    warnings: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.matrix)


def read_table(path: Path, roles: Roles) -> ScanTable:
    """The file's rows, by time where a time column is named.

    Columns that cannot be watched (identifiers, dates, nested values) are left out with a warning.
    Raises ConfigurationError that says why for a file that cannot be used.
    """
    table = _read(path)
    names = table.column_names
    for option, name in roles.named().items():
        if name not in names:
            raise ConfigurationError(
                f"{path} has no column {name!r} ({option}); its columns are {', '.join(names)}"
            )
    if table.num_rows == 0:
        raise ConfigurationError(f"{path} has no rows")
    warnings: list[str] = []
    times = None
    if roles.time is not None:
        times = _times(path, roles.time, table.column(roles.time))
        if (np.diff(times) < 0).any():
            order = np.argsort(times, kind="stable")
            table, times = table.take(pa.array(order)), times[order]
            warnings.append(
                "the rows are not in the order of their times; they were put in order, and row"
                " numbers count in that order"
            )
    specs, columns = _features(table, set(roles.named().values()), warnings)
    if not columns:
        raise ConfigurationError(f"{path}: no column is left to watch; {' '.join(warnings)}")
    return ScanTable(
        specs=tuple(specs),
        matrix=np.column_stack(columns),
        labels=None if roles.label is None else _labels(path, roles.label, table),
        scores=None if roles.score is None else _scores(path, roles.score, table),
        entities=None if roles.entity is None else _codes(table.column(roles.entity))[0],
        times_ms=times,
        warnings=tuple(warnings),
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file; check the path")
    suffix = path.suffix.lower()
    try:
        if suffix in {".parquet", ".pq"}:
            from pyarrow import parquet

            return parquet.read_table(path)
        if suffix in {".csv", ".tsv"}:
            return _read_csv(path, "\t" if suffix == ".tsv" else ",")
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    raise ConfigurationError(
        f"{path}: cannot scan {suffix or 'a file without extension'}; convert it to CSV or Parquet"
    )


def _read_csv(path: Path, delimiter: str) -> Any:
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    gaps = {"strings_can_be_null": True}
    try:
        convert = csv.ConvertOptions(**gaps)
        return csv.read_csv(path, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
    # A column that looked like numbers where the file begins holds text further down.
    with csv.open_csv(path, parse_options=parse) as reader:
        header = reader.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()), **gaps)
    return csv.read_csv(path, parse_options=parse, convert_options=texts)


def _features(
    table: Any, taken: set[str], warnings: list[str]
) -> tuple[list[ColumnSpec], list[Floats]]:
    specs, columns = [], []
    for place, name in enumerate(table.column_names):
        if name in taken or (place == 0 and name in INDEX_NAMES):
            continue
        made = _feature(name, table.column(name), warnings)
        if made is not None:
            specs.append(made[0])
            columns.append(made[1])
    return specs, columns


def _feature(name: str, cells: Any, warnings: list[str]) -> tuple[ColumnSpec, Floats] | None:
    kind = cells.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        cells, kind = _numbers_if_all_are(cells)
    if pa.types.is_null(kind) or _is_number(kind):
        numbers = _floats(cells)
        if np.isinf(numbers).any():
            warnings.append(f"column {name!r}: some values are infinite in 32 bits")
        return ColumnSpec(name), numbers
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        codes, categories = _codes(cells)
        if len(categories) > MAX_CATEGORIES:
            warnings.append(
                f"column {name!r} was left out: {len(categories)} different texts look like"
                " identifiers (an entity can be named with --entity)"
            )
            return None
        numbers = np.where(codes < 0, np.nan, codes).astype(np.float32)
        return ColumnSpec(name, tuple(categories)), numbers
    if pa.types.is_temporal(kind):
        warnings.append(f"column {name!r} was left out: it is a time (name it with --time)")
    else:
        warnings.append(f"column {name!r} was left out: {kind} is neither number nor text")
    return None


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _numbers_if_all_are(cells: Any) -> tuple[Any, Any]:
    """Text that is all numbers, read as numbers; else the text as it is."""
    try:
        numbers = pc.cast(pc.utf8_trim_whitespace(cells), pa.float64())
    except pa.ArrowInvalid:
        return cells, cells.type
    return numbers, numbers.type


def _floats(cells: Any) -> Floats:
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    values = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float64).astype(np.float32)


def _codes(cells: Any) -> tuple[npt.NDArray[np.int64], Sequence[str]]:
    """Codes int64[n] into the sorted texts, -1 where missing, and those texts."""
    texts = cells.cast(pa.string())
    categories = sorted(text for text in texts.unique().to_pylist() if text is not None)
    found = pc.index_in(texts, value_set=pa.array(categories, pa.string()))
    return found.fill_null(-1).to_numpy().astype(np.int64), categories


def _labels(path: Path, name: str, table: Any) -> npt.NDArray[np.int8]:
    """1, 0, or -1 where no label has come."""
    texts = table.column(name).cast(pa.string()).to_pylist()
    known = {
        "0": 0,
        "0.0": 0,
        "false": 0,
        "1": 1,
        "1.0": 1,
        "true": 1,
        "": NO_LABEL,
        None: NO_LABEL,
    }
    labels = [known.get(text.strip().lower() if text is not None else None) for text in texts]
    if None in labels:
        row = labels.index(None)
        raise ConfigurationError(
            f"{path}, row {row + 1}: the label {texts[row]!r} is neither 0 nor 1; correct it or"
            " name another label column"
        )
    return np.array(labels, dtype=np.int8)


def _scores(path: Path, name: str, table: Any) -> Floats:
    cells = table.column(name)
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        cells, _ = _numbers_if_all_are(cells)
    if not _is_number(cells.type):
        raise ConfigurationError(f"{path}: the score column {name!r} holds no numbers")
    return _floats(cells)


def _times(path: Path, name: str, cells: Any) -> npt.NDArray[np.int64]:
    """Milliseconds since 1970; plain numbers are seconds since some start."""
    if cells.null_count:
        raise ConfigurationError(f"{path}: the time column {name!r} has {cells.null_count} gaps")
    try:
        if _is_number(cells.type):
            seconds = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return np.asarray(np.round(seconds * 1000), dtype=np.int64)
        if not pa.types.is_temporal(cells.type):
            cells = pc.cast(cells, pa.timestamp("ms"))
        stamps = cells.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        return np.asarray(stamps.to_numpy(zero_copy_only=False), dtype=np.int64)
    except (pa.ArrowException, ValueError) as error:
        raise ConfigurationError(
            f"{path}: the time column {name!r} is neither numbers nor times: {error}"
        ) from error
