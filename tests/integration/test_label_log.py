"""Labels on a real ClickHouse: what shows, whatever the order, and what is asked of windows."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.settings import ClickHouseSettings
from storage.client import Client, connect
from storage.drift_tables import DriftLog, QualityMeasurement, QualitySource
from storage.label_log import LabelLog, LabelRow
from storage.labels import (
    COUNTED_MEASURE,
    Maturity,
    Touched,
    labelled_counts,
    mature_windows,
    touched_windows,
)
from storage.migrate import migrate
from storage.prediction_log import PredictionLog
from storage.scored_rows import WindowTotals, count_rows, scored_rows, window_totals
from tests.fixtures.frames import START_MS, make_frame

WINDOW_MS = 10_000
"""Ten rows of a frame, which has one a second."""


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database) as client:
        migrate(client, database)
        yield client


def label(
    event: int,
    value: float = 1.0,
    time_ms: int = START_MS,
    source: str = "",
    prefix: str = "event-",
) -> LabelRow:
    return LabelRow(f"{prefix}{event}", value, time_ms, source, START_MS)


def start(window: int) -> int:
    return START_MS + window * WINDOW_MS


def touched(client: Client, since_ms: int = 0, pipeline: str = "fraud") -> Touched:
    return touched_windows(client, pipeline, window_ms=WINDOW_MS, since_ms=since_ms, max_ahead_ms=0)


tellings = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([0.0, 1.0]),
        st.integers(-2, 2),
        st.sampled_from(["bank", "customer"]),
    ),
    min_size=1,
    max_size=8,
)
runs = itertools.count()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(told=tellings, data=st.data())
def test_any_order_and_repetition_of_labels_gives_the_same_view(
    client: Client, told: list[tuple[int, float, int, str]], data: st.DataObject
) -> None:
    views = []
    for order in (told, data.draw(st.permutations(told + data.draw(st.permutations(told))))):
        pipeline = f"p{next(runs)}"
        n_blocks = data.draw(st.integers(1, 3))
        for block in range(n_blocks):
            rows = [
                LabelRow(f"e{event}", value, START_MS + time, source, START_MS)
                for event, value, time, source in order[block::n_blocks]
            ]
            LabelLog(client).insert(pipeline, rows)
        if data.draw(st.booleans()):
            client.command("OPTIMIZE TABLE label_log FINAL")
        views.append(
            client.query(
                "SELECT event_id, label, toUnixTimestamp64Milli(label_time), source FROM labels"
                " WHERE pipeline = {p:String} ORDER BY event_id",
                {"p": pipeline},
            )
        )
    assert views[0] == views[1]
    for event_id, value, time_ms, _ in views[0]:
        own = [each for each in told if f"e{each[0]}" == event_id]
        latest = max(each[2] for each in own)
        assert time_ms == START_MS + latest
        assert value == max(each[1] for each in own if each[2] == latest)


def test_label_times_from_1900_to_2299_are_in_order(client: Client) -> None:
    times = [-2_208_988_800_000, -1, 0, START_MS, 10_413_791_999_999]
    for at, time_ms in reversed(list(enumerate(times))):
        LabelLog(client).insert("fraud", [label(1, time_ms=time_ms, source=str(at))])
    assert client.query("SELECT source FROM labels") == [("4",)]


def test_an_event_that_was_scored_twice_is_two_rows_with_one_label(client: Client) -> None:
    log = PredictionLog(client)
    log.insert([make_frame(range(3)), make_frame(range(3), partition=1)])
    log.insert([make_frame(range(3))])  # a replay is not
    LabelLog(client).insert("fraud", [label(1), label(2, 0.0), label(9)])
    rows = client.query(
        "SELECT event_id, source_partition, label FROM labelled_predictions"
        " ORDER BY event_id, source_partition"
    )
    assert rows == [
        ("event-1", 0, 1.0),
        ("event-1", 1, 1.0),
        ("event-2", 0, 0.0),
        ("event-2", 1, 0.0),
    ]
    found = scored_rows(client, "fraud", [start(0)], window_ms=WINDOW_MS)
    assert len(found) == 6
    assert np.nansum(found.labels) == 2


def test_other_pipelines_labels_are_not_ours(client: Client) -> None:
    PredictionLog(client).insert([make_frame(range(5))])
    LabelLog(client).insert("other", [label(index) for index in range(5)])
    assert client.query("SELECT count() FROM labelled_predictions") == [(0,)]
    found = scored_rows(client, "fraud", [start(0)], window_ms=WINDOW_MS)
    assert np.isnan(found.labels).all()


def test_only_windows_of_new_labels_and_new_predictions_are_touched(client: Client) -> None:
    PredictionLog(client).insert([make_frame(range(100))])
    first = touched(client)
    assert first.starts_ms == tuple(map(start, range(10)))
    assert first.reached_ms == START_MS + 99_000
    later = touched(client).now_ms + 1
    nothing = touched(client, later)
    assert (nothing.starts_ms, nothing.reached_ms) == ((), None)
    LabelLog(client).insert("fraud", [label(5), label(6), label(42), label(500)])
    assert touched(client, later).starts_ms == (start(0), start(4))
    PredictionLog(client).insert([make_frame(range(100, 105))])
    assert touched(client, later).starts_ms == (start(0), start(4), start(10))
    assert touched(client, later, "other").starts_ms == ()


def test_windows_before_1970_begin_at_multiples_too(client: Client) -> None:
    client.command(
        "INSERT INTO prediction_log (pipeline, source_topic_id, event_id, event_time, append_time,"
        " score, reason) VALUES ('fraud', 't', 'old', toDateTime64(-15, 3, 'UTC'), now64(3), 0.5,"
        " '')"
    )
    assert touched(client).starts_ms == (-20_000,)
    assert len(scored_rows(client, "fraud", [-20_000], window_ms=WINDOW_MS)) == 1


def test_rows_come_in_order_of_time_with_what_was_decided(client: Client) -> None:
    PredictionLog(client).insert(
        [make_frame(range(20, 40)), make_frame(range(20)), make_frame(range(40, 50))]
    )
    LabelLog(client).insert("fraud", [label(index, index % 2) for index in range(0, 50, 3)])
    rows = scored_rows(
        client,
        "fraud",
        [start(0), start(1), start(3)],
        window_ms=WINDOW_MS,
        amount=("hash", 1),
    )
    expected = [*range(20), *range(30, 40)]
    assert rows.event_times_ms.tolist() == [START_MS + 1000 * each for each in expected]
    assert rows.starts_ms.tolist() == [start(each // 10) for each in expected]
    assert rows.amounts.tolist() == [each + 1 / 8 for each in expected]
    assert rows.flagged.tolist() == (rows.scores >= 0.5).tolist()
    known = {each: each % 2 for each in expected if each % 3 == 0}
    found = dict(zip(expected, rows.labels.tolist(), strict=True))
    assert {each: value for each, value in found.items() if not np.isnan(value)} == known


def test_an_amount_of_another_schema_is_none(client: Client) -> None:
    PredictionLog(client).insert([make_frame(range(5), schema_hash="another")])
    rows = scored_rows(client, "fraud", [start(0)], window_ms=WINDOW_MS, amount=("hash", 0))
    assert np.isnan(rows.amounts).all()


def test_rows_have_what_segments_are_cut_by_and_those_of_another_schema_nothing(
    client: Client,
) -> None:
    frames = [make_frame(range(5)), make_frame(range(5, 8), schema_hash="another", n_features=1)]
    PredictionLog(client).insert(frames)
    rows = scored_rows(client, "fraud", [start(0)], window_ms=WINDOW_MS, cut_by=("hash", (2, 0)))
    assert rows.cut_by[:5].tolist() == [[each + 2 / 8, each] for each in range(5)]
    assert np.isnan(rows.cut_by[5:]).all()
    assert rows.at(rows.cut_by[:, 1] == 3).event_times_ms.tolist() == [START_MS + 3000]
    assert scored_rows(client, "fraud", [start(0)], window_ms=WINDOW_MS).cut_by.shape == (8, 0)


def test_a_share_of_the_rows_is_the_same_events_each_time(client: Client) -> None:
    PredictionLog(client).insert([make_frame(range(3000), append_step_ms=1)])
    LabelLog(client).insert("fraud", [label(index) for index in range(0, 3000, 2)])
    thirds = [
        scored_rows(client, "fraud", [START_MS], window_ms=WINDOW_MS, share=3) for _ in range(2)
    ]
    assert 800 < len(thirds[0]) < 1200
    assert thirds[0].event_times_ms.tolist() == thirds[1].event_times_ms.tolist()
    assert 0.4 < np.mean(~np.isnan(thirds[0].labels)) < 0.6
    assert count_rows(client, "fraud", [START_MS], window_ms=WINDOW_MS) == {START_MS: 3000}
    totals = window_totals(client, "fraud", [START_MS], window_ms=WINDOW_MS)
    assert totals == [WindowTotals("m1", START_MS, 3000, 1500)]


def measured(client: Client, window: int, n_labelled: int, version: str = "m1") -> None:
    row = QualityMeasurement(
        pipeline="fraud",
        model_version=version,
        window_start_ms=start(window),
        window_end_ms=start(window + 1),
        segment="",
        measure=COUNTED_MEASURE,
        source=QualitySource.REALISED,
        value=0.1,
        standard_error=0.01,
        n_scored=100,
        n_labelled=n_labelled,
        measured_at_ms=START_MS,
    )
    DriftLog(client).insert_quality([row])


def test_windows_are_mature_by_share_and_rows_once_events_have_passed_them(client: Client) -> None:
    for window, n_labelled in enumerate((80, 79, 100, 90, 100)):
        measured(client, window, n_labelled)
    measured(client, 0, 50, version="m2")

    def mature(*, min_rows: int = 10, reached_ms: int = start(4) + 5) -> list[int]:
        maturity = Maturity(0.8, min_rows, lateness_ms=5, reached_ms=reached_ms)
        found = mature_windows(
            client, "fraud", window_ms=WINDOW_MS, maturity=maturity, after_ms={"m1": start(-1)}
        )
        assert set(found) <= {"m1"}
        return [each.start_ms for each in found["m1"].mature] if found else []

    assert mature() == [start(0), start(2), start(3)]
    assert mature(reached_ms=start(4)) == [start(0), start(2)]
    assert mature(min_rows=95) == [start(2)]
    assert mature(min_rows=101) == []
    maturity = Maturity(0.8, 10, 0, start(9))
    found = mature_windows(
        client, "fraud", window_ms=WINDOW_MS, maturity=maturity, after_ms={"m1": start(0)}
    )
    assert [each.start_ms for each in found["m1"].mature] == [start(2), start(3), start(4)]
    assert found["m1"].first_immature_ms == start(1)


def test_labelled_rows_are_counted_by_stretches_of_all_versions(client: Client) -> None:
    for window, n_labelled in enumerate((10, 20, 0, 0, 50)):
        measured(client, window, n_labelled)
    measured(client, 1, 5, version="m2")
    step = 2 * WINDOW_MS
    assert START_MS % step == 0
    assert labelled_counts(client, "fraud", 0, step) == [(start(0), 35), (start(4), 50)]
    assert labelled_counts(client, "fraud", start(1), step) == [(start(0), 35), (start(4), 50)]
    assert labelled_counts(client, "fraud", start(2), step) == [(start(4), 50)]
    assert labelled_counts(client, "other", 0, step) == []
