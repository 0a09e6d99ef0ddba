"""Labelled files: what columns they have, the feature schema they suggest, their matrix."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt

from producers.cells import real, reals, text, truth, values
from producers.publisher import Value
from producers.readers import Batch, Cell, reader_of
from schemas.errors import ConfigurationError
from schemas.features import MAX_EXACT_INTEGER, Dtype, Feature, FeatureSchema
from schemas.pipeline import ColumnMapping

MAX_CATEGORIES = 1000
INDEX_NAMES = ("", "Unnamed: 0")
"""How data frames name the row numbers that they write as a first column."""


def file_columns(path: Path) -> list[str]:
    """The names of a file's columns in file order; ConfigurationError if it cannot be read."""
    return reader_of(path).columns(path)


def missing_columns(path: Path, schema: FeatureSchema) -> list[str]:
    """The features of a schema that a file has no column for, in schema order."""
    there = set(file_columns(path))
    return [name for name in schema.names if name not in there]


def read_columns(path: Path, names: Sequence[str]) -> Iterator[Batch]:
    """The named columns batch by batch; ConfigurationError for a column that is not there."""
    there = file_columns(path)
    for name in names:
        if name not in there:
            raise ConfigurationError(
                f"{path} has no column {name!r}; its columns are {', '.join(there)}"
            )
    yield from reader_of(path).batches(path, list(dict.fromkeys(names)))


def count_rows(path: Path) -> int:
    """The number of rows; reads the file once."""
    first = file_columns(path)[:1]
    return sum(len(next(iter(batch.values()))) for batch in read_columns(path, first))


def mapped_columns(mapping: ColumnMapping) -> list[str]:
    """The columns that a mapping takes out of the features."""
    time = None if mapping.time_is_feature else mapping.time
    named = (mapping.label, mapping.entity, mapping.event_id, time)
    return [name for name in named if name is not None]


def infer_schema(path: Path, mapping: ColumnMapping) -> FeatureSchema:
    """A feature schema for every column that `mapping` does not take.

    Numbers become floats, true and false booleans, text with few values categories; nulls make a
    feature nullable. Ranges are left open and unseen categories allowed, so that a later file of
    the same columns fits. A first column of row numbers without a name is left out. Raises
    ConfigurationError for a column that cannot be a feature.
    """
    taken = mapped_columns(mapping)
    columns = file_columns(path)
    facts = {name: _ColumnFacts() for name in columns if name not in taken}
    times = [mapping.time] if mapping.time else []
    for batch in read_columns(path, [*columns, *taken, *times]):
        for name, fact in facts.items():
            fact.add(batch[name])
    if not any(fact.n_rows for fact in facts.values()):
        raise ConfigurationError(f"{path} has no rows, or no column left to be a feature")
    if columns[0] in INDEX_NAMES and columns[0] in facts and facts[columns[0]].is_row_index:
        del facts[columns[0]]
    if mapping.time_is_feature:
        _refuse_time_as_feature(path, mapping.time, facts)
    if "" in facts:
        place = columns.index("") + 1
        raise ConfigurationError(f"{path}: column {place} has no name; give it one in the header")
    return FeatureSchema(tuple(_feature(path, name, fact) for name, fact in facts.items()))


def load_matrix(
    path: Path, schema: FeatureSchema, mapping: ColumnMapping
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Features float32[n, f] in schema order, NaN where missing, and labels int8[n], 0 or 1.

    Raises ConfigurationError that names the row (the first is 1) of a value that cannot be used.
    """
    if mapping.label is None:
        raise ConfigurationError(f"{path}: name the label column; training needs one")
    matrices, labels, n_rows = [], [], 0
    for batch in read_columns(path, [*schema.names, mapping.label]):
        where = f"{path}, row {{row}}, column"
        labels.append(_labels(batch[mapping.label], f"{where} {mapping.label!r}", n_rows))
        columns = [
            _floats(feature, batch[feature.name], f"{where} {feature.name!r}", n_rows)
            for feature in schema.features
        ]
        matrices.append(np.column_stack(columns))
        n_rows += len(labels[-1])
    if not n_rows:
        raise ConfigurationError(f"{path} has no rows; give a file with at least one")
    return np.concatenate(matrices), np.concatenate(labels)


@dataclass(slots=True)
class _ColumnFacts:
    """What the cells of a column have been so far."""

    n_rows: int = 0
    has_null: bool = False
    all_numbers: bool = True
    all_integers: bool = True
    all_booleans: bool = True
    is_row_index: bool = True
    largest: float = 0.0
    first_text: Cell = None
    """The first cell that is no number."""
    names: set[str] = field(default_factory=set)
    """Distinct texts, up to one more than MAX_CATEGORIES."""

    @property
    def has_large_integers(self) -> bool:
        """Whether float32 would not carry its integers exactly."""
        return self.all_integers and self.largest > MAX_EXACT_INTEGER

    def add(self, column: Sequence[Cell]) -> None:
        present = [cell for cell in column if cell is not None]
        self.has_null |= len(present) < len(column)
        numbers = [value for value in reals(present) if value is not None]
        if self.all_numbers and len(numbers) < len(present):
            self.all_numbers = False
            self.first_text = next(cell for cell in present if real(cell) is None)
        self.all_integers &= self.all_numbers and all(map(_is_integer, present))
        self.all_booleans &= all(map(_is_truth_word, present))
        self.is_row_index = (
            self.is_row_index
            and len(numbers) == len(column)
            and all(map(float.__eq__, numbers, map(float, count(self.n_rows))))
        )
        if self.all_integers and numbers:
            self.largest = max(self.largest, *map(abs, numbers))
        if len(self.names) <= MAX_CATEGORIES:
            self.names.update(map(text, present))
            while len(self.names) > MAX_CATEGORIES + 1:
                self.names.pop()
        self.n_rows += len(column)


def _refuse_time_as_feature(
    path: Path, name: str | None, facts: Mapping[str, _ColumnFacts]
) -> None:
    """A date would become a category, and a large count lose its last digits: say so instead."""
    fact = facts.get(name or "")
    if fact is None or (fact.all_numbers and not fact.has_large_integers):
        return
    raise ConfigurationError(
        f"{path}: the time column {name!r} cannot be a feature as well, for it holds"
        f" {f'integers beyond 2^24 (as far as {fact.largest:.0f})' if fact.all_numbers else 'text'}"
        "; leave out --time-is-feature, or add a column of small numbers made from it"
    )


def _feature(path: Path, name: str, facts: _ColumnFacts) -> Feature:
    if facts.all_booleans and facts.names:
        return Feature(name=name, dtype=Dtype.BOOLEAN, nullable=facts.has_null)
    if facts.all_numbers:
        if facts.has_large_integers:
            raise ConfigurationError(
                f"{path}: column {name!r} holds integers beyond 2^24 (as far as"
                f" {facts.largest:.0f}), which float32 features cannot carry; make it the entity,"
                " event id or time column, scale it, or take it out of the file"
            )
        return Feature(name=name, nullable=facts.has_null)
    if len(facts.names) > MAX_CATEGORIES:
        raise ConfigurationError(
            f"{path}: column {name!r} holds text, such as {facts.first_text!r}, and more than"
            f" {MAX_CATEGORIES} distinct values, too many for a category; make it"
            " the entity, event id or time column, or take it out of the file"
        )
    return Feature(
        name=name,
        dtype=Dtype.CATEGORY,
        categories=tuple(sorted(facts.names)),
        nullable=facts.has_null,
        unseen_allowed=True,
    )


def _is_integer(cell: Cell) -> bool:
    if isinstance(cell, str):
        return cell.strip().lstrip("+-").isdigit()
    return isinstance(cell, int)


def _is_truth_word(cell: Cell) -> bool:
    return isinstance(cell, bool) or (isinstance(cell, str) and cell.lower() in ("true", "false"))


def _floats(
    feature: Feature, column: Sequence[Cell], where: str, n_before: int
) -> npt.NDArray[np.float32]:
    codes = {name: float(code) for code, name in enumerate(feature.categories)}

    def as_float(value: Value) -> float | None:
        if value is None:
            return float("nan") if feature.nullable else None
        if feature.dtype is Dtype.CATEGORY:
            return codes.get(str(value), -1.0 if feature.unseen_allowed else None)
        return None if isinstance(value, str) else float(value)

    sent = values(feature, column)
    if {float, bool, int}.issuperset(map(type, sent)):
        return np.array(sent, dtype=np.float64).astype(np.float32)
    floats = list(map(as_float, sent))
    if None in floats:
        row = floats.index(None)
        raise ConfigurationError(
            f"{where.format(row=n_before + row + 1)}: {column[row]!r} is no {feature.dtype} of this"
            " pipeline; correct the row or take it out of the file"
        )
    return np.array(floats, dtype=np.float64).astype(np.float32)


def _labels(column: Sequence[Cell], where: str, n_before: int) -> npt.NDArray[np.int8]:
    labels = list(map(truth, column))
    if None in labels:
        row = labels.index(None)
        raise ConfigurationError(
            f"{where.format(row=n_before + row + 1)}: the label {column[row]!r} is neither 0 nor 1;"
            " correct the row or name another label column"
        )
    return np.array(labels, dtype=np.int8)
