"""What no policy and no state of the world may lead to."""

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from drift.policy import decide
from drift.policy_state import DAY_MS, OpenSignal, PolicyState, QualityReading
from schemas.retraining import RetrainingPolicy

HOUR_MS = 3_600_000
NOW = 20 * DAY_MS
HOURS = tuple(range(0, NOW, HOUR_MS))

times = st.integers(0, 480).map(lambda hour: hour * HOUR_MS)
versions = st.sampled_from(["v1", "v1", "v1", "v0"])
policies = st.builds(
    RetrainingPolicy,
    quorum=st.integers(1, 3),
    level=st.sampled_from(["notice", "alert"]),
    min_psi=st.sampled_from([0.0, 0.2]),
    persistence_s=st.sampled_from([0.0, 7200.0]),
    harm=st.sampled_from(["none", "either", "realised"]),
    min_harm=st.just(0.02),
    severe_harm=st.sampled_from([None, 0.05]),
    min_labelled_rows=st.sampled_from([1, 100, 2000]),
    cool_down_s=st.sampled_from([0.0, 3600.0, 20_000.0, 200_000.0]),
    budget_per_day=st.integers(0, 4),
    max_training_days=st.sampled_from([1.0, 90.0]),
)
signals = st.builds(
    OpenSignal,
    alert_id=st.integers(0, 10**6).map(str),
    model_version=versions,
    kind=st.just("feature"),
    name=st.sampled_from(["a", "b"]),
    segment=st.just(""),
    effect=st.sampled_from([None, 0.1, 0.3]),
    effect_unit=st.sampled_from(["psi", "share"]),
    opened_at_ms=times,
    updated_at_ms=times,
    alert_since_ms=st.none() | times,
    change_point_ms=times,
)
readings = st.builds(
    QualityReading,
    measure=st.sampled_from(["auc", "brier"]),
    model_version=versions,
    loss=st.sampled_from([-0.1, 0.0, 0.03, 0.08]),
    standard_error=st.sampled_from([0.0, 0.01]),
    realised=st.booleans(),
    since_ms=times,
    change_point_ms=times,
)
states = st.builds(
    PolicyState,
    pipeline=st.just("fraud"),
    champion=st.just("v1"),
    event_time_ms=st.just(NOW),
    signals=st.lists(signals, max_size=5, unique_by=lambda s: s.alert_id).map(tuple),
    quality=st.lists(readings, max_size=3).map(tuple),
    label_starts_ms=st.just(HOURS),
    label_counts=st.lists(
        st.integers(0, 50), min_size=len(HOURS), max_size=len(HOURS), unique=False
    ).map(tuple)
    | st.integers(0, 50).map(lambda n: (n,) * len(HOURS)),
    requests_ms=st.lists(times, max_size=3).map(lambda each: tuple(sorted(each))),
)


@given(policies, st.lists(st.integers(0, 10 * HOUR_MS), min_size=1, max_size=150))
def test_no_rolling_day_holds_more_than_the_budget_and_no_cool_down_a_request(
    policy: RetrainingPolicy, pauses_ms: list[int]
) -> None:
    """However often it is asked, of a world in which everything speaks for retraining."""
    signal = OpenSignal("a", "v1", "feature", "a", "", 0.5, "psi", 0, 0, 0, 0)
    bad = QualityReading("auc", "v1", 0.5, 0.0, realised=True, since_ms=0, change_point_ms=0)
    state = PolicyState("fraud", "v1", NOW, (signal,), (bad,), (0, NOW - HOUR_MS), (9_999, 9_999))
    policy = policy.model_copy(update={"quorum": 1})
    asked: list[int] = []
    now = NOW
    for pause in pauses_ms:
        now += pause
        decision = decide(state, now, policy)
        if decision.requested:
            asked.append(now)
            state = state.with_request(now)
        else:
            assert not all(each.met for each in decision.reasons)
    for i, first in enumerate(asked):
        assert sum(first <= each < first + DAY_MS for each in asked[i:]) <= policy.budget_per_day
    for earlier, later in itertools.pairwise(asked):
        assert later - earlier >= policy.cool_down_s * 1000
    if policy.budget_per_day:
        assert asked, "and it does ask when it may"


@given(policies, states)
def test_a_decision_is_the_same_every_time_and_in_every_order(
    policy: RetrainingPolicy, state: PolicyState
) -> None:
    turned = replace(state, signals=state.signals[::-1], quality=state.quality[::-1])
    decision = decide(state, NOW, policy)
    assert decide(state, NOW, policy) == decision
    assert decide(turned, NOW, policy).request == decision.request
    assert decision.requested == all(each.met for each in decision.reasons)
    assert all(each.words for each in decision.reasons)


@settings(max_examples=300)
@given(policies, states)
def test_what_goes_away_never_makes_a_request_of_a_refusal(
    policy: RetrainingPolicy, state: PolicyState
) -> None:
    if decide(state, NOW, policy).requested:
        return
    for i in range(len(state.signals)):
        fewer = replace(state, signals=state.signals[:i] + state.signals[i + 1 :])
        assert not decide(fewer, NOW, policy).requested
    for i in range(len(state.quality)):
        fewer = replace(state, quality=state.quality[:i] + state.quality[i + 1 :])
        assert not decide(fewer, NOW, policy).requested


@given(
    st.lists(times, min_size=2, max_size=4), st.integers(1, 2), st.sampled_from([500, 1000, 3000])
)
def test_a_change_that_is_taken_back_brings_no_labels(
    changes: list[int], quorum: int, n_needed: int
) -> None:
    """The labels alone decide: 10 an hour since each of several changes."""
    policy = RetrainingPolicy(quorum=quorum, harm="none", min_labelled_rows=n_needed)
    signals = tuple(
        OpenSignal(str(i), "v1", "feature", f"a{i}", "", 0.5, "psi", 0, 0, 0, change)
        for i, change in enumerate(changes)
    )
    state = PolicyState("fraud", "v1", NOW, signals, (), HOURS, (10,) * len(HOURS))
    expected = 10 * (NOW - min(changes)) // HOUR_MS >= n_needed
    assert decide(state, NOW, policy).requested == expected
    for i in range(len(signals)):
        fewer = replace(state, signals=signals[:i] + signals[i + 1 :])
        assert expected or not decide(fewer, NOW, policy).requested


@given(policies, states)
def test_a_request_keeps_what_the_policy_says_of_its_training_window(
    policy: RetrainingPolicy, state: PolicyState
) -> None:
    request = decide(state, NOW, policy).request
    if request is None:
        return
    assert request.training_to_ms == NOW
    assert NOW - policy.max_training_days * DAY_MS <= request.training_from_ms < NOW
    assert request.n_labelled_since >= policy.min_labelled_rows
    known = {each.alert_id for each in state.signals if each.model_version == state.champion}
    assert set(request.alert_ids) <= known
    assert len(request.alert_ids) >= policy.quorum or policy.severe_harm is not None
