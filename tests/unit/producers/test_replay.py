"""Rows become events: which id, entity, time and values each one carries."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.publisher import Value
from producers.replay import replay, row_events
from schemas.errors import ConfigurationError
from schemas.features import Dtype, Feature, FeatureSchema
from schemas.pipeline import ColumnMapping

FLOATS = FeatureSchema.of_floats(["a"])


class Recorder:
    """An event sink that keeps what it got."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int | str | None, tuple[Value, ...]]] = []
        self.n_at_flush = -1

    def publish_event(
        self, entity: str, event_id: str, event_time_ms: int | str | None, row: Sequence[Value]
    ) -> None:
        self.events.append((entity, event_id, event_time_ms, tuple(row)))

    def flush(self) -> None:
        self.n_at_flush = len(self.events)


def csv(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "cards.csv"
    path.write_text(content)
    return path


def test_without_a_mapping_rows_are_named_by_file_and_number(tmp_path: Path) -> None:
    events = list(row_events(csv(tmp_path, "a\n1\n2\n"), FLOATS, ColumnMapping()))
    assert events == [("row-0", "cards-0", None, (1.0,)), ("row-1", "cards-1", None, (2.0,))]


def test_row_numbers_go_on_across_batches(tmp_path: Path) -> None:
    path = tmp_path / "cards.jsonl"
    path.write_text("".join(f'{{"a":{n}}}\n' for n in range(10_000)))
    events = list(row_events(path, FLOATS, ColumnMapping()))
    assert [event.event_id for event in events] == [f"cards-{n}" for n in range(10_000)]
    assert [event.row[0] for event in events] == [float(n) for n in range(10_000)]


def test_mapped_columns_give_entity_id_and_time(tmp_path: Path) -> None:
    path = csv(tmp_path, "who,id,when,a\n007,x1,1.5,1\n,,,2\n")
    mapping = ColumnMapping(entity="who", event_id="id", time="when", time_origin_ms=1000)
    assert list(row_events(path, FLOATS, mapping)) == [
        ("007", "x1", 2500, (1.0,)),
        ("row-1", "cards-1", None, (2.0,)),
    ]


def test_a_time_that_is_a_feature_is_sent_as_both(tmp_path: Path) -> None:
    mapping = ColumnMapping(time="a", time_origin_ms=1000, time_is_feature=True)
    assert list(row_events(csv(tmp_path, "a\n1.5\n"), FLOATS, mapping)) == [
        ("row-0", "cards-0", 2500, (1.5,))
    ]


@pytest.mark.parametrize(
    ("cell", "unit", "expected"),
    [
        ("73479.0", "s", 73_479_000),
        ("1.001", "s", 1001),
        ("1378000000123", "ms", 1_378_000_000_123),
        ("1378000000123456", "us", 1_378_000_000_123),
        ("2013-09-01T00:00:00Z", "s", 1_377_993_600_000),
        ("2013-09-01 02:00:00+02:00", "s", 1_377_993_600_000),
        ("2013-09-01", "s", 1_377_993_600_000),
        ("soon", "s", "soon"),
    ],
)
def test_times_are_numbers_or_iso_texts(
    tmp_path: Path, cell: str, unit: str, expected: int | str
) -> None:
    path = csv(tmp_path, f"when,a\n{cell},1\n")
    (event,) = row_events(path, FLOATS, ColumnMapping(time="when", time_unit=unit))
    assert event.event_time_ms == expected


def test_an_unknown_time_unit_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "when,a\n1,1\n")
    with pytest.raises(ConfigurationError, match="choose one of s, ms, us"):
        list(row_events(path, FLOATS, ColumnMapping(time="when", time_unit="weeks")))


def test_a_file_without_the_label_is_replayed_all_the_same(tmp_path: Path) -> None:
    events = row_events(csv(tmp_path, "a\n1\n"), FLOATS, ColumnMapping(label="y"))
    assert len(list(events)) == 1


def test_values_are_sent_as_their_feature_wants_them(tmp_path: Path) -> None:
    schema = FeatureSchema(
        (
            Feature(name="f"),
            Feature(name="n", dtype=Dtype.INTEGER),
            Feature(name="b", dtype=Dtype.BOOLEAN),
            Feature(name="c", dtype=Dtype.CATEGORY, categories=("1",)),
        )
    )
    (event,) = row_events(csv(tmp_path, "c,b,n,f\n1,1,1,1\n"), schema, ColumnMapping())
    assert [(type(value), value) for value in event.row] == [
        (float, 1.0),
        (int, 1),
        (bool, True),
        (str, "1"),
    ]


@pytest.mark.parametrize("cell", ["abc", "1,5", "inf", "1_000", "0x10"])
def test_a_cell_that_is_no_number_is_sent_as_its_text(tmp_path: Path, cell: str) -> None:
    (event,) = row_events(csv(tmp_path, f'a\n"{cell}"\n'), FLOATS, ColumnMapping())
    assert event.row == (cell,)


def test_replay_sends_every_row_once_then_makes_sure_of_it(tmp_path: Path) -> None:
    path = csv(tmp_path, "a\n" + "".join(f"{n}\n" for n in range(500)))
    sink, reported = Recorder(), list[int]()
    n_sent = replay(path, FLOATS, ColumnMapping(), sink, progress=reported.append)
    assert n_sent == len(sink.events) == sink.n_at_flush == 500
    assert reported[-1] == 500
    assert reported == sorted(reported)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_no_rate_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        replay(csv(tmp_path, "a\n1\n"), FLOATS, ColumnMapping(), Recorder(), rate=rate)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no column 'b'; its columns are a"):
        replay(csv(tmp_path, "a\n1\n"), FeatureSchema.of_floats(["b"]), ColumnMapping(), Recorder())
