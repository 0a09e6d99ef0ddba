"""Alerts of what nobody can watch any more are resolved, and say why."""

from dataclasses import replace

import numpy as np
import pytest

from drift.reference import Reference, make_reference
from schemas.drift_events import AlertState, DriftAlert
from stream_processors.detect_drift.watchers import RETIRE_AFTER, Watchers
from tests.unit.stream_processors.test_watched_segments import (
    SHOP,
    SPECS,
    VERSION,
    WEB,
    Stream,
    rows,
)

UNWATCHED = f"nobody can watch model {VERSION} any more: no such reference in the model store"


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(1)
    return make_reference(rows(rng, 30_000), SPECS, rng=rng, segments=(SHOP, WEB))


@pytest.fixture
def alerting(reference: Reference) -> Stream:
    """A stream with open alerts, of all rows and of a segment."""
    stream = Stream(reference)
    stream.close()
    stream.close(shift=-5.0)
    assert {each.segment for each in open_of(stream)} == {"", "channel=web"}
    return stream


def open_of(stream: Stream) -> list[DriftAlert]:
    """What was told as open and not yet as over."""
    latest = {each.alert_id: each for each in stream.told}
    return [each for each in latest.values() if each.state is not AlertState.RESOLVED]


def restart(stream: Stream, found: Reference | None) -> None:
    """A successor with the state that was written down, to whom the store has `found`."""
    states = stream.watchers.encode()
    stream.watchers = Watchers("p", stream.options, lambda _: found, states)


def test_alerts_of_a_version_that_left_the_store_are_resolved_after_a_restart(
    alerting: Stream,
) -> None:
    """Its rows still come: a worker that scores has the model in memory."""
    before = {each.alert_id: each for each in open_of(alerting)}
    restart(alerting, None)
    for _ in range(RETIRE_AFTER - 1):
        alerting.close()
    assert len(open_of(alerting)) == len(before), "a store may be away for a moment"
    alerting.close()
    assert open_of(alerting) == []
    resolved = [each for each in alerting.told if each.state is AlertState.RESOLVED]
    assert {each.alert_id for each in resolved} == set(before)
    assert all(UNWATCHED in each.sentence for each in resolved)
    assert alerting.watchers.encode() == {}, "told once: a successor has nothing left to resolve"


def test_a_store_that_is_back_in_time_leaves_alerts_as_they_were(
    alerting: Stream, reference: Reference
) -> None:
    before = {each.alert_id for each in open_of(alerting)}
    for _ in range(2):  # not added up over interruptions
        restart(alerting, None)
        for _ in range(RETIRE_AFTER - 1):
            alerting.close(shift=-5.0)
        restart(alerting, reference)
        alerting.close(shift=-5.0)
    assert {each.alert_id for each in open_of(alerting)} >= before


def test_a_version_that_neither_serves_nor_is_in_the_store_is_resolved(alerting: Stream) -> None:
    restart(alerting, None)
    sketches = {("v2", ""): alerting._sketch(0, "", rows(alerting.rng, 10))}
    told: list[DriftAlert] = []
    for number in range(RETIRE_AFTER):
        told += alerting.watchers.retire(sketches, at_ms=number)
    assert {each.alert_id for each in told} == {each.alert_id for each in open_of(alerting)}
    assert all(each.state is AlertState.RESOLVED for each in told)
    assert all(f"model {VERSION} no longer serves" in each.sentence for each in told)


def test_alerts_of_a_segment_that_the_reference_does_not_have_any_more_are_resolved(
    alerting: Stream, reference: Reference
) -> None:
    whole = {each.alert_id for each in open_of(alerting) if not each.segment}
    left = tuple(each for each in reference.segments if each[0] == SHOP)
    restart(alerting, replace(reference, segments=left))
    for _ in range(RETIRE_AFTER):
        alerting.close(shift=-5.0, segments=(SHOP, WEB))
    assert not [each for each in open_of(alerting) if each.segment == "channel=web"]
    assert {each.alert_id for each in open_of(alerting)} >= whole


def test_a_state_that_cannot_be_read_is_said_and_forgotten(alerting: Stream) -> None:
    alerting.watchers = Watchers("p", alerting.options, lambda _: None, {f"{VERSION}/": b"?"})
    for _ in range(RETIRE_AFTER):
        alerting.close()
    assert alerting.watchers.encode() == {}
