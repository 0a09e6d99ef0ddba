"""What a pipeline's messages about drift and retraining come to."""

from typing import Any

import msgspec
import pytest

from schemas.drift_events import (
    AlertLevel,
    AlertState,
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
    encode_event,
    stable_id,
)
from stream_processors.request_retraining.history import MAX_KEPT, History
from tests.golden import messages

HOUR = 3_600_000


def an_alert(
    alert_id: str = "a", state: str = "opened", at_ms: int = 0, **changed: Any
) -> DriftAlert:
    given: dict[str, Any] = {
        "alert_id": alert_id,
        "model_version": "v1",
        "state": AlertState(state),
        "level": AlertLevel.ALERT,
        "effect": 0.3,
        "effect_unit": "psi",
        "opened_at_ms": 0,
        "updated_at_ms": at_ms,
    }
    return msgspec.structs.replace(messages.ALERT, **(given | changed))


def a_request(request_id: str = "r", at_ms: int = HOUR) -> RetrainingRequest:
    return msgspec.structs.replace(
        messages.REQUEST, request_id=request_id, requested_at_ms=at_ms, champion_version="v1"
    )


def a_decision(decision_id: str = "d", request_id: str | None = None) -> RetrainingDecision:
    return msgspec.structs.replace(
        messages.DECISION,
        decision_id=decision_id,
        request_id=request_id,
        requested=request_id is not None,
    )


def test_an_alert_that_was_resolved_does_not_open_again() -> None:
    """A detector that crashed tells an alert's life again, from the start."""
    history = History("fraud")
    life = [an_alert("a", "opened", 1), an_alert("a", "updated", 2), an_alert("a", "resolved", 3)]
    for each in life:
        history.take_alert(each)
    for each in life[:2]:
        history.take_alert(msgspec.structs.replace(each, updated_at_ms=10))
        assert history.state.signals == ()


def test_the_same_request_again_is_one() -> None:
    history = History("fraud")
    for at_ms in (HOUR, 2 * HOUR):
        history.read_retraining(encode_event(a_request("r", at_ms)))
    assert history.state.requests_ms == (HOUR,)
    assert len(history.requests) == 1


def test_the_stream_is_as_far_as_the_newest_window_of_an_alert() -> None:
    history = History("fraud")
    history.take_alert(an_alert("a", window_end_ms=messages.ALERT.window_end_ms + HOUR))
    history.take_alert(an_alert("b"))
    assert history.state.event_time_ms == messages.ALERT.window_end_ms + HOUR


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"type": "decree"}'])
def test_what_is_no_message_is_left_out(value: bytes) -> None:
    history = History("fraud")
    assert not history.read_alert(value)
    history.read_retraining(value)
    assert history.state.signals == ()
    assert history.last_decision is None


def test_a_message_of_another_pipeline_under_this_one_s_key_is_left_out() -> None:
    history = History("fraud")
    assert not history.read_alert(encode_event(an_alert(pipeline="churn")))
    stray = msgspec.structs.replace(a_request(), pipeline="churn")
    history.read_retraining(encode_event(stray))
    assert (history.state.signals, history.state.requests_ms) == ((), ())


def test_a_request_that_a_crash_left_without_its_decision_gets_the_one_it_had() -> None:
    history = History("fraud")
    history.take_request(a_request("r", HOUR))
    decision = history.undecided()
    assert decision is not None
    assert decision.decision_id == stable_id("decision", "fraud", "v1", HOUR)
    assert (decision.request_id, decision.requested) == ("r", True)
    assert decision.reasons == (messages.REQUEST.reason,)
    history.take_decision(decision)
    assert history.undecided() is None


def test_a_request_with_its_decision_needs_none() -> None:
    history = History("fraud")
    history.take_request(a_request("r"))
    history.take_decision(a_decision("d", "r"))
    history.take_decision(a_decision("later"))
    assert history.undecided() is None
    assert history.last_decision == a_decision("later")


def test_what_is_remembered_has_a_bound() -> None:
    history = History("fraud")
    for i in range(MAX_KEPT + 5):
        history.take_request(a_request(f"r{i}", HOUR + i))
        history.take_decision(a_decision(f"d{i}"))
    assert [len(history.requests), len(history.decisions)] == [MAX_KEPT, MAX_KEPT]
    assert history.requests[-1].request_id == f"r{MAX_KEPT + 4}"
