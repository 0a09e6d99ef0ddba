"""What the cell of a file means for a feature, a time, a name; one that does not fit stays text."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from producers.publisher import Value
from producers.readers import Cell
from schemas.errors import ConfigurationError
from schemas.features import Dtype, Feature
from schemas.pipeline import ColumnMapping

TRUTH = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
_MS_PER_UNIT = {"s": 1000.0, "ms": 1.0, "us": 0.001}


def number(cell: Cell) -> float | None:
    """The cell as a finite number; None when it is none. Exactly the nearest double to a text."""
    value = real(cell)
    return value if value is not None and math.isfinite(value) else None


def real(cell: Cell) -> float | None:
    """Like `number`, infinities included: they tell a column of numbers, but are sent as text."""
    if isinstance(cell, str):
        # Python's float() reads 1_000 as a thousand, which no other reader of the file would.
        if "_" in cell:
            return None
        try:
            return float(cell)
        except ValueError:
            return None
    return float(cell) if isinstance(cell, int | float) else None


def reals(column: Sequence[Cell]) -> list[float | None]:
    """`real` of every cell; about ten times as fast where all are numbers."""
    try:
        floats: list[float | None] = list(map(float, cast("Sequence[str]", column)))
    except (TypeError, ValueError):
        return list(map(real, column))
    texts = [cell for cell in column if type(cell) is str]
    return list(map(real, column)) if "_" in "".join(texts) else floats


def truth(cell: Cell) -> bool | None:
    """The cell as a boolean; None when it is none."""
    return None if cell is None else TRUTH.get(str(cell).strip().lower())


def values(feature: Feature, column: Sequence[Cell]) -> list[Value]:
    """The column as it is sent for a feature: missing cells None, unfitting ones as their text."""
    if feature.dtype is Dtype.FLOAT:
        return _as_floats(column)
    convert = {
        Dtype.INTEGER: _as_integer,
        Dtype.BOOLEAN: _as_boolean,
        Dtype.CATEGORY: text,
    }[feature.dtype]
    return [None if cell is None else convert(cell) for cell in column]


def text(cell: Cell) -> str:
    """The cell as a name: `12.0` from a column of floats is 12, a text stays what it is."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def event_time_ms(cell: Cell, mapping: ColumnMapping) -> int | str | None:
    """The cell of the time column in ms since 1970 UTC; its text when it is no time.

    A number counts in `mapping.time_unit` from `mapping.time_origin_ms`; a time or ISO 8601 text
    without a zone is UTC.
    """
    if cell is None:
        return None
    if mapping.time_unit not in _MS_PER_UNIT:
        raise ConfigurationError(
            f"time unit {mapping.time_unit!r}: choose one of {', '.join(_MS_PER_UNIT)}"
        )
    ticks = number(cell)
    if ticks is not None:
        return mapping.time_origin_ms + round(ticks * _MS_PER_UNIT[mapping.time_unit])
    try:
        moment = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return str(cell)


def _as_floats(column: Sequence[Cell]) -> list[Value]:
    numbers = [value for value in reals(column) if value is not None]
    if len(numbers) == len(column) and all(map(math.isfinite, numbers)):
        return list(numbers)
    return [None if cell is None else _as_float(cell) for cell in column]


def _as_float(cell: Cell) -> Value:
    value = number(cell)
    return str(cell) if value is None else value


def _as_integer(cell: Cell) -> Value:
    value = number(cell)
    if value is None:
        return str(cell)
    return int(value) if value.is_integer() else value


def _as_boolean(cell: Cell) -> Value:
    value = truth(cell)
    return str(cell) if value is None else value
