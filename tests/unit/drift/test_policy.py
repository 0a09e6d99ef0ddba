"""What must come together before retraining is asked for, and what a refusal says."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from drift.policy import Decision, decide
from drift.policy_state import (
    MAX_RESOLVED,
    MAX_SIGNALS,
    OpenSignal,
    PolicyState,
    QualityReading,
)
from schemas.drift_events import AlertKind, AlertLevel, AlertState, DriftAlert
from schemas.retraining import RetrainingPolicy

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NOW = 10 * DAY
CHANGE = NOW - 5 * HOUR


def open_signal(**changed: Any) -> OpenSignal:
    given: dict[str, Any] = {
        "alert_id": "a1",
        "model_version": "v1",
        "kind": "feature",
        "name": "amount",
        "segment": "",
        "effect": 0.3,
        "effect_unit": "psi",
        "opened_at_ms": NOW - 4 * HOUR,
        "updated_at_ms": NOW - 4 * HOUR,
        "alert_since_ms": NOW - 4 * HOUR,
        "change_point_ms": CHANGE,
    }
    return OpenSignal(**(given | changed))


def reading(**changed: Any) -> QualityReading:
    given: dict[str, Any] = {
        "measure": "average_precision",
        "model_version": "v1",
        "loss": 0.05,
        "standard_error": 0.01,
        "realised": True,
        "since_ms": NOW - 4 * HOUR,
        "change_point_ms": CHANGE - HOUR,
    }
    return QualityReading(**(given | changed))


def state(**changed: Any) -> PolicyState:
    """One that gives a request: 120 labelled rows every hour until now."""
    hours = range(0, NOW, HOUR)
    given: dict[str, Any] = {
        "pipeline": "fraud",
        "champion": "v1",
        "event_time_ms": NOW,
        "signals": (open_signal(),),
        "quality": (reading(),),
        "label_starts_ms": tuple(hours),
        "label_counts": (120,) * len(hours),
    }
    return PolicyState(**(given | changed))


def policy(**changed: Any) -> RetrainingPolicy:
    return RetrainingPolicy(**({"min_labelled_rows": 500} | changed))


def unmet(decision: Decision) -> set[str]:
    return {each.rule for each in decision.reasons if not each.met}


def test_drift_that_lasts_harms_and_has_labels_is_a_request_cut_at_the_change_point() -> None:
    decision = decide(state(), NOW, policy())

    request = decision.request
    assert request is not None
    assert (request.pipeline, request.champion_version) == ("fraud", "v1")
    assert (request.training_from_ms, request.training_to_ms) == (CHANGE, NOW)
    assert (request.alert_ids, request.n_labelled_since) == (("a1",), 600)
    assert request.requested_at_ms == NOW
    assert "amount" in request.reason
    assert "average_precision is worse by 0.05" in request.reason


@pytest.mark.parametrize(
    ("changed_state", "changed_policy", "rule", "words"),
    [
        ({"signals": ()}, {}, "quorum", "0 of 1 signals"),
        ({}, {"quorum": 2}, "quorum", "1 of 2 signals agree (amount)"),
        (
            {"signals": (open_signal(), open_signal(alert_id="a2", segment="channel=web"))},
            {"quorum": 2},
            "quorum",
            "1 of 2 signals agree (amount)",
        ),
        (
            {"signals": (open_signal(alert_since_ms=NOW - 29 * MINUTE),)},
            {"persistence_s": 1800},
            "quorum",
            "1 not yet open for 30 minutes",
        ),
        ({"signals": (open_signal(alert_since_ms=None),)}, {}, "quorum", "1 too small"),
        ({"signals": (open_signal(effect=0.19),)}, {}, "quorum", "1 too small"),
        ({"signals": (open_signal(model_version="v0"),)}, {}, "quorum", "models other than v1"),
        ({"quality": ()}, {}, "harm", "no window of model v1 is measured yet"),
        ({"quality": (reading(standard_error=0.02),)}, {}, "harm", "short of 0.02"),
        ({"quality": (reading(model_version="v0"),)}, {}, "harm", "no window of model v1"),
        ({"quality": (reading(realised=False),)}, {"harm": "realised"}, "harm", "does not count"),
        ({}, {"min_labelled_rows": 601}, "labels", "600 labelled rows since the change point"),
        ({"requests_ms": (NOW - HOUR,)}, {}, "cool_down", "60 minutes ago"),
        (
            {"requests_ms": (NOW - 20 * HOUR, NOW - 8 * HOUR)},
            {},
            "budget",
            "2 of 2 requests of the last 24 hours",
        ),
    ],
)
def test_a_refusal_says_which_rule_was_not_met_and_why(
    changed_state: dict[str, Any], changed_policy: dict[str, Any], rule: str, words: str
) -> None:
    decision = decide(state(**changed_state), NOW, policy(**changed_policy))

    assert decision.request is None
    assert rule in unmet(decision)
    assert unmet(decision) <= {rule, "labels"}, "without a signal there is no change point"
    (reason,) = [each for each in decision.reasons if each.rule == rule]
    assert words in reason.words
    assert reason.words in decision.sentence


def test_psi_above_02_for_thirty_minutes_is_enough_where_no_harm_is_asked_for() -> None:
    at = policy(harm="none", min_psi=0.2, persistence_s=1800)
    young = state(quality=(), signals=(open_signal(alert_since_ms=NOW, effect=0.21),))
    assert not decide(young, NOW + 29 * MINUTE, at).requested
    assert decide(young, NOW + 30 * MINUTE, at).requested


def test_a_notice_counts_only_where_the_policy_takes_notices_and_then_from_its_opening() -> None:
    noticed = state(signals=(open_signal(alert_since_ms=None, effect=0.25),))
    assert not decide(noticed, NOW, policy()).requested
    assert decide(noticed, NOW, policy(level="notice")).requested
    risen = state(signals=(open_signal(alert_since_ms=NOW),))
    assert decide(risen, NOW, policy(level="notice")).requested


def test_the_least_effect_is_for_signals_in_psi() -> None:
    share = state(signals=(open_signal(effect=0.06, effect_unit="share"),))
    assert decide(share, NOW, policy()).requested


def test_an_estimate_is_harm_unless_only_realised_quality_counts() -> None:
    estimated = state(quality=(reading(realised=False),))
    assert decide(estimated, NOW, policy(harm="either")).requested
    assert not decide(estimated, NOW, policy(harm="realised")).requested


def test_a_severe_realised_loss_needs_no_quorum_and_is_cut_where_it_began() -> None:
    silent = state(signals=(), quality=(reading(loss=0.3),))
    assert not decide(silent, NOW, policy()).requested
    decision = decide(silent, NOW, policy(severe_harm=0.2))
    assert decision.request is not None
    assert decision.request.training_from_ms == CHANGE - HOUR
    assert "needs no quorum" in decision.request.reason
    # One signal of two says nothing of when the change was.
    lone = replace(silent, signals=(open_signal(change_point_ms=NOW - HOUR),))
    request = decide(lone, NOW, policy(severe_harm=0.2, quorum=2, min_labelled_rows=100)).request
    assert request is not None
    assert request.training_from_ms == CHANGE - HOUR
    for other in (
        reading(loss=0.3, realised=False),
        reading(loss=0.21),
        reading(loss=0.3, since_ms=NOW),
    ):
        assert not decide(replace(silent, quality=(other,)), NOW, policy(severe_harm=0.2)).requested


def test_the_cut_is_the_latest_change_with_enough_labels() -> None:
    late = open_signal(alert_id="a2", name="country", change_point_ms=NOW - 2 * HOUR)
    both = state(signals=(open_signal(), late))
    few = decide(both, NOW, policy(min_labelled_rows=240)).request
    many = decide(both, NOW, policy(min_labelled_rows=241)).request
    assert few is not None
    assert many is not None
    assert (few.training_from_ms, few.n_labelled_since) == (NOW - 2 * HOUR, 240)
    assert (many.training_from_ms, many.n_labelled_since) == (CHANGE, 600)


def test_the_training_window_is_no_longer_than_the_policy_allows() -> None:
    old = state(signals=(open_signal(change_point_ms=0),))
    request = decide(old, NOW, policy(max_training_days=2)).request
    assert request is not None
    assert request.training_from_ms == NOW - 2 * DAY


def test_a_change_that_event_time_has_not_reached_is_no_training_window() -> None:
    ahead = state(
        signals=(open_signal(change_point_ms=NOW),),
        label_starts_ms=(NOW,),
        label_counts=(10_000,),
    )
    assert unmet(decide(ahead, NOW, policy())) == {"labels"}


def test_a_request_of_24_hours_ago_is_no_longer_in_the_budget() -> None:
    short = policy(cool_down_s=0, budget_per_day=1)
    assert decide(state(requests_ms=(NOW - DAY,)), NOW, short).requested
    assert not decide(state(requests_ms=(NOW - DAY + 1,)), NOW, short).requested


def test_a_budget_of_nothing_never_asks() -> None:
    assert unmet(decide(state(), NOW, policy(budget_per_day=0))) == {"budget"}


def test_asked_again_after_the_cool_down_it_is_another_request_and_replayed_the_same() -> None:
    before = state()
    first = decide(before, NOW, policy()).request
    replayed = decide(before, NOW + 5_000, policy()).request
    again = decide(before.with_request(NOW), NOW + 6 * HOUR, policy()).request
    assert first is not None
    assert replayed is not None
    assert again is not None
    assert replayed.request_id == first.request_id
    assert again.request_id != first.request_id


def test_requests_that_no_rule_looks_back_to_are_forgotten_but_never_the_last() -> None:
    past = state(requests_ms=(NOW - 3 * DAY, NOW - DAY, NOW - HOUR))
    assert past.with_request(NOW).requests_ms == (NOW - HOUR, NOW)
    weekly = policy(cool_down_s=7 * 86_400)
    assert unmet(decide(past.with_request(NOW), NOW + 6 * DAY, weekly)) == {"cool_down"}


def test_a_decision_is_published_with_its_reasons_and_its_policy() -> None:
    rules = policy()
    made, refused = decide(state(), NOW, rules), decide(state(quality=()), NOW, rules)
    request = made.request
    assert request is not None
    message = made.message(rules)
    assert (message.requested, message.request_id) == (True, request.request_id)
    assert message.alert_ids == ("a1",)
    assert message.policy["min_labelled_rows"] == 500
    message = refused.message(rules)
    assert (message.requested, message.request_id) == (False, None)
    assert len(message.reasons) == 5
    assert "harm (not met): no window of model v1 is measured yet" in message.reasons


# --- alerts as they come ------------------------------------------------------------------------


def alert(**changed: Any) -> DriftAlert:
    given: dict[str, Any] = {
        "alert_id": "a1",
        "pipeline": "fraud",
        "model_version": "v1",
        "state": AlertState.OPENED,
        "level": AlertLevel.NOTICE,
        "kind": AlertKind.FEATURE,
        "name": "amount",
        "segment": "",
        "detector": "g_test",
        "statistic": 50.0,
        "threshold": 30.0,
        "p_value": 1e-6,
        "effect": 0.12,
        "effect_unit": "psi",
        "n_reference": 10_000,
        "n_window": 1_000,
        "window_start_ms": 1_000,
        "window_end_ms": 2_000,
        "opened_at_ms": 5_000,
        "updated_at_ms": 5_000,
        "change_point_ms": None,
        "contributions": (),
        "n_windows": 1,
        "sentence": "",
    }
    return DriftAlert(**(given | changed))


def test_an_alert_is_followed_from_its_opening_to_its_end() -> None:
    empty = state(signals=())
    opened = empty.with_alert(alert())
    (first,) = opened.signals
    assert (first.opened_at_ms, first.alert_since_ms, first.change_point_ms) == (5_000, None, 1_000)

    updated = {"state": AlertState.UPDATED, "level": AlertLevel.ALERT, "effect": 0.3}
    risen = opened.with_alert(
        alert(**updated, updated_at_ms=7_000, window_start_ms=3_000, window_end_ms=4_000)
    )
    (second,) = risen.signals
    assert (second.alert_since_ms, second.effect, second.change_point_ms) == (7_000, 0.3, 1_000)

    later = risen.with_alert(alert(**updated, updated_at_ms=9_000, change_point_ms=900))
    (third,) = later.signals
    assert (third.alert_since_ms, third.change_point_ms) == (7_000, 900)

    over = later.with_alert(alert(state=AlertState.RESOLVED, updated_at_ms=9_500))
    assert over.signals == ()


def test_a_message_that_is_repeated_or_older_changes_nothing() -> None:
    opened = alert(alert_id="a2")
    risen = msgspec.structs.replace(
        opened, state=AlertState.UPDATED, level=AlertLevel.ALERT, updated_at_ms=7_000
    )
    after = state().with_alert(opened).with_alert(risen)
    assert after.with_alert(risen) == after
    assert after.with_alert(opened) == after
    unknown = after.with_alert(alert(alert_id="a9", state=AlertState.RESOLVED))
    assert unknown.signals == after.signals


# --- the policy itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"quorum": 0}, "quorum"),
        ({"harm": "guessed"}, "'none', 'either' or 'realised'"),
        ({"cooldown_s": 1}, "cooldown_s"),
        ({"min_labelled_rows": 0}, "min_labelled_rows"),
        ({"min_harm": 0.1, "severe_harm": 0.05}, "severe_harm must not lie below min_harm"),
    ],
)
def test_a_policy_that_cannot_be_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RetrainingPolicy(**given)


def test_a_policy_is_frozen_and_explains_every_field() -> None:
    rules = RetrainingPolicy()
    with pytest.raises(ValidationError, match="frozen"):
        rules.quorum = 2
    for name, info in RetrainingPolicy.model_fields.items():
        assert info.description, name


def test_what_the_log_cannot_tell_is_a_refusal_that_says_so() -> None:
    decision = decide(state(log_known=False), NOW, policy(harm="none"))
    assert unmet(decision) == {"labels"}
    assert "labels unknown" in decision.sentence
    assert unmet(decide(state(log_known=False), NOW, policy())) == {"harm", "labels"}


def test_an_alert_that_was_resolved_does_not_open_again() -> None:
    told = alert(alert_id="a2", updated_at_ms=1)
    over = state().with_alert(told).with_alert(alert(alert_id="a2", state=AlertState.RESOLVED))
    assert over.with_alert(msgspec.structs.replace(told, updated_at_ms=10**15)) == over


def test_open_and_resolved_alerts_that_are_remembered_have_a_bound() -> None:
    many = state(signals=())
    for i in range(MAX_SIGNALS + 3):
        many = many.with_alert(alert(alert_id=f"a{i:05}", updated_at_ms=i))
    assert len(many.signals) == MAX_SIGNALS
    assert many.signals[0].alert_id == "a00003"
    few = state(resolved_ids=tuple(map(str, range(MAX_RESOLVED))))
    few = few.with_alert(alert(alert_id="last", state=AlertState.RESOLVED))
    assert (len(few.resolved_ids), few.resolved_ids[-1]) == (MAX_RESOLVED, "last")
