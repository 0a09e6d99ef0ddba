"""What is logged of drift, as Arrow tables."""

import math
from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from schemas.drift_events import AlertKind, AlertLevel
from storage.drift_tables import (
    DriftMetric,
    QualityMeasurement,
    QualitySource,
    alerts_table,
    decisions_table,
    metrics_table,
    quality_table,
    requests_table,
)
from storage.log_tables import EARLIEST_MS, LATEST_MS
from tests.golden.messages import ALERT, DECISION, REQUEST

METRIC = DriftMetric(
    pipeline="fraud",
    model_version="v1",
    window_start_ms=1_380_000_000_000,
    window_end_ms=1_380_000_300_000,
    segment="",
    kind=AlertKind.FEATURE,
    name="amount",
    detector="g_test",
    statistic=12.5,
    threshold=41.25,
    p_value=0.25,
    effect=0.01,
    n_reference=20_000,
    n_window=2_000,
    noticed=False,
)


def test_every_field_of_a_message_has_its_column() -> None:
    alert_fields = {name.removesuffix("_ms") for name in ALERT.__struct_fields__}
    assert set(alerts_table([ALERT]).column_names) == (alert_fields - {"contributions"}) | {
        "contribution_names",
        "contribution_shares",
    }
    assert set(decisions_table([DECISION]).column_names) == {
        name.removesuffix("_ms") for name in DECISION.__struct_fields__
    }


def test_every_field_of_a_request_has_its_column() -> None:
    assert set(requests_table([REQUEST]).column_names) == {
        name.removesuffix("_ms") for name in REQUEST.__struct_fields__
    }


def test_every_field_of_a_metric_and_a_measurement_has_its_column() -> None:
    for kind, table in (
        (DriftMetric, metrics_table([])),
        (QualityMeasurement, quality_table([])),
    ):
        assert set(table.column_names) == {name.removesuffix("_ms") for name in kind.__slots__}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, None])
def test_a_number_that_is_none_or_not_finite_is_null(number: float | None) -> None:
    table = metrics_table([METRIC, replace(METRIC, statistic=number, effect=number)])
    assert table["statistic"].to_pylist() == [12.5, None]
    assert table["effect"].to_pylist() == [0.01, None]


def test_the_level_of_what_was_not_noticed_is_empty() -> None:
    noticed = replace(METRIC, noticed=True, level=AlertLevel.ALERT)
    assert metrics_table([METRIC, noticed])["level"].to_pylist() == ["", "alert"]


@pytest.mark.parametrize(("given", "kept"), [(-(10**17), EARLIEST_MS), (10**17, LATEST_MS)])
def test_a_time_that_clickhouse_cannot_hold_becomes_the_nearest_it_can(
    given: int, kept: int
) -> None:
    table = metrics_table([replace(METRIC, window_start_ms=given)])
    assert table["window_start"].cast(pa.int64()).to_pylist() == [kept]


def test_contributions_keep_their_order_and_an_alert_without_any_has_empty_lists() -> None:
    none = msgspec.structs.replace(ALERT, contributions=(), change_point_ms=None)
    table = alerts_table([ALERT, none])
    assert table["contribution_names"].to_pylist() == [["amount", "distance_km"], []]
    assert table["contribution_shares"].to_pylist() == [[0.75, 0.25], []]
    assert table["change_point"].null_count == 1


def test_a_refusal_names_no_request_and_carries_its_policy_as_json() -> None:
    (row,) = decisions_table([DECISION]).to_pylist()
    assert row["request_id"] == ""
    assert msgspec.json.decode(row["policy"]) == DECISION.policy


def test_the_source_of_a_measure_is_a_word() -> None:
    measurement = QualityMeasurement(
        pipeline="fraud",
        model_version="v1",
        window_start_ms=0,
        window_end_ms=1,
        segment="",
        measure="recall",
        source=QualitySource.ESTIMATED,
        value=math.nan,
        standard_error=0.1,
        n_scored=1,
        n_labelled=0,
        measured_at_ms=5,
    )
    (row,) = quality_table([measurement]).to_pylist()
    assert (row["source"], row["value"], row["standard_error"]) == ("estimated", None, 0.1)
