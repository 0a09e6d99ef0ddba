"""What is published when, whatever crashes, comes twice or goes away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.policy_state import PolicyState
from schemas.drift_events import (
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
    decode_retraining,
    encode_event,
)
from schemas.errors import DeliveryError, TransientError
from schemas.retraining import RetrainingPolicy, RetrainingSettings
from stream_processors.outbox import Messages
from stream_processors.request_retraining.decider import Decider
from stream_processors.request_retraining.definition import Definition
from stream_processors.request_retraining.history import History
from stream_processors.request_retraining.replay import Replay
from tests.golden import messages
from tests.unit.stream_processors.test_retraining_history import an_alert

HOME = TP("drift-alerts", 0)
MINUTE, HOUR = 60_000, 3_600_000
START_MS = 1_790_000_000_000
RULES = RetrainingPolicy(harm="none", persistence_s=0, min_labelled_rows=10)


@dataclass
class World:
    """The two topics, the log and the group; deciders come and go, it stays."""

    policy: RetrainingPolicy = RULES
    repeat_refusal_s: float = 3600.0
    alerts: list[bytes] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    recorded: list[Any] = field(default_factory=list)
    n_labels: int | None = 100
    now_ms: int = START_MS
    generation_now: int = 1
    owned: bool = True
    drains: bool = False
    replays_fail: bool = False
    dies_after: int | None = None
    acknowledged: list[int] = field(default_factory=list)

    def decider(self) -> Decider:
        return Decider(
            pipeline="fraud",
            topic="retraining-requests",
            settings=RetrainingSettings(repeat_refusal_s=self.repeat_refusal_s),
            replay=self.replay,
            definition=lambda: Definition("v1", self.policy, None),
            complete=self.complete,
            outbox=self,
            record=self.record,
            repeat=self.record,
            membership=self,
            clock_ms=lambda: self.now_ms,
            clock=lambda: self.now_ms / 1000,
        )

    def generation(self) -> int:
        return self.generation_now

    def owns(self, tp: TP) -> bool:
        return self.owned and tp == HOME

    def draining(self) -> bool:
        return self.drains

    def replay(self) -> Replay:
        if self.replays_fail:
            raise TransientError("the broker is gone")
        history = History("fraud")
        for value in self.alerts:
            history.read_alert(value)
        for value in self.published:
            history.read_retraining(value)
        return Replay(history, HOME)

    def complete(self, state: PolicyState, definition: Definition, now_ms: int) -> PolicyState:
        state = replace(state, champion=definition.champion)
        if self.n_labels is None:
            return replace(state, log_known=False)
        return replace(
            state,
            event_time_ms=messages.ALERT.window_end_ms + HOUR,
            label_starts_ms=(messages.ALERT.window_end_ms,),
            label_counts=(self.n_labels,),
        )

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]":
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (told,) = outputs
        assert (partition, set(told.keys)) == (-1, {b"fraud"})
        for value in told.values:
            if self.dies_after == 0:
                answer.set_exception(DeliveryError("killed"))
                return answer
            self.published.append(value)
            self.dies_after = None if self.dies_after is None else self.dies_after - 1
        answer.set_result(None)
        return answer

    async def record(self, told: list[Any]) -> None:
        self.recorded.extend(told)

    # -- what happens

    def open(self, alert: DriftAlert) -> bytes:
        """An alert on the topic, delivered to nobody yet."""
        self.alerts.append(encode_event(alert))
        return self.alerts[-1]

    def ticks(self, decider: Decider, n: int = 1, step_ms: int = 10_000) -> None:
        async def turn() -> None:
            for _ in range(n):
                await decider._look(self.generation_now)
                self.now_ms += step_ms

        asyncio.run(turn())

    def bring(self, decider: Decider, value: bytes, key: bytes = b"fraud") -> None:
        message = SimpleNamespace(key=lambda: key, value=lambda: value)
        event = SimpleNamespace(
            value=SimpleNamespace(messages=[message]),
            message=SimpleNamespace(generation_id=self.generation_now),
            ack=lambda: self.acknowledged.append(self.generation_now),
        )
        asyncio.run(decider._listen(_Stream([event])))

    def told(self) -> list[RetrainingRequest | RetrainingDecision]:
        return [decode_retraining(value) for value in self.published]

    @property
    def requests(self) -> list[RetrainingRequest]:
        return [each for each in self.told() if isinstance(each, RetrainingRequest)]

    @property
    def decisions(self) -> list[RetrainingDecision]:
        return [each for each in self.told() if isinstance(each, RetrainingDecision)]


class _Stream:
    def __init__(self, events: list[Any]) -> None:
        self._events = events

    def noack(self) -> "_Stream":
        return self

    async def events(self) -> AsyncIterator[Any]:
        for event in self._events:
            yield event


def change(alert_id: str = "a", state: str = "opened", at_ms: int = START_MS) -> DriftAlert:
    return an_alert(alert_id, state, at_ms, change_point_ms=messages.ALERT.window_start_ms)


def test_an_alert_is_decided_on_at_once_and_acknowledged_after() -> None:
    world = World()
    world.bring(world.decider(), world.open(change()))
    request, decision = world.told()
    assert isinstance(request, RetrainingRequest)
    assert isinstance(decision, RetrainingDecision)
    assert decision.request_id == request.request_id
    assert request.training_from_ms == messages.ALERT.window_start_ms
    assert world.recorded == [request, decision]
    assert world.acknowledged == [1]


def test_other_pipelines_alerts_pass_by() -> None:
    world = World()
    world.bring(world.decider(), encode_event(change()), key=b"churn")
    assert (world.published, world.acknowledged) == ([], [1])


def test_nothing_is_decided_while_nothing_is_open() -> None:
    world = World()
    world.ticks(world.decider(), 5)
    assert world.published == []


def test_a_refusal_is_published_again_after_an_hour_or_when_it_says_something_else() -> None:
    world = World(n_labels=3)
    world.open(change())
    decider = world.decider()
    world.ticks(decider, 30)
    assert len(world.decisions) == 1
    world.n_labels = 4  # other words, the same rules
    world.ticks(decider, 30)
    assert len(world.decisions) == 1
    world.open(change("b"))
    world.bring(decider, world.alerts[-1])
    assert [each.alert_ids for each in world.decisions] == [("a",), ("a", "b")]
    world.n_labels = None
    world.ticks(decider, 30)
    assert len(world.decisions) == 3
    assert world.decisions[-1].reasons[2].startswith("labels (unknown): labels unknown")


def test_an_hour_later_the_same_refusal_is_published_again() -> None:
    world = World(n_labels=3)
    world.open(change())
    world.ticks(world.decider(), 2 * 360 + 2)
    times = [each.decided_at_ms - START_MS for each in world.decisions]
    assert times == [0, HOUR, 2 * HOUR]


def test_the_timer_asks_when_labels_have_come() -> None:
    world = World(n_labels=3)
    world.open(change())
    decider = world.decider()
    world.ticks(decider)
    world.n_labels = 100
    world.ticks(decider)
    assert len(world.requests) == 1


def test_a_request_rests_on_what_the_topics_say_the_moment_before() -> None:
    """An alert that was resolved, or a request of a worker that was thought dead."""
    world = World(n_labels=3)
    world.open(change())
    decider = world.decider()
    world.ticks(decider)
    world.n_labels = 100
    world.open(change("a", "resolved", START_MS + 1))
    world.ticks(decider, 3)
    assert world.requests == []

    world = World(n_labels=3)
    world.open(change())
    sleeper, other = world.decider(), world.decider()
    world.ticks(sleeper)
    world.n_labels = 100
    world.ticks(other)
    world.ticks(sleeper)
    assert len(world.requests) == 1
    assert "cool_down (not met)" in " ".join(world.decisions[-1].reasons)


@pytest.mark.parametrize("n_delivered", [0, 1, 2])
def test_a_crash_at_any_message_of_a_request_leaves_one_request_and_one_decision(
    n_delivered: int,
) -> None:
    world = World(dies_after=n_delivered)
    world.open(change())
    if n_delivered < 2:
        with pytest.raises(DeliveryError):
            world.ticks(world.decider())
    else:
        world.ticks(world.decider())
    world.dies_after = None
    world.now_ms += MINUTE
    world.recorded.clear()
    world.ticks(world.decider(), 3)
    (request,) = world.requests
    (decision,) = [each for each in world.decisions if each.requested]
    assert decision.request_id == request.request_id
    assert decision.decided_at_ms == request.requested_at_ms
    assert request in world.recorded
    assert decision in world.recorded


def test_a_worker_without_the_pipeline_s_partition_is_silent() -> None:
    world = World(owned=False)
    decider = world.decider()
    world.bring(decider, world.open(change()))
    world.ticks(decider, 3)
    assert world.published == []
    world.owned, world.generation_now = True, 2
    world.ticks(decider)
    assert len(world.requests) == 1


def test_a_draining_worker_publishes_nothing() -> None:
    world = World(drains=True)
    decider = world.decider()
    world.bring(decider, world.open(change()))
    world.ticks(decider, 3)
    assert world.published == []
    world.drains = False  # the same generation again, as a static member has it
    world.ticks(decider)
    assert len(world.requests) == 1


def test_alerts_of_a_model_that_was_replaced_keep_nothing_open() -> None:
    world = World()
    old = an_alert("old", at_ms=START_MS, model_version="v0")
    decider = world.decider()
    world.bring(decider, world.open(old))
    assert "1 of models other than v1" in world.decisions[0].reasons[0]
    world.ticks(decider, 2 * 360)
    assert len(world.decisions) == 1


def test_a_severe_loss_alone_is_looked_for_only_where_the_policy_has_one() -> None:
    asked = []

    class Watching(World):
        def complete(self, state: PolicyState, definition: Definition, now_ms: int) -> PolicyState:
            asked.append(now_ms)
            return super().complete(state, definition, now_ms)

    world = Watching()
    world.ticks(world.decider(), 3)
    assert asked == []
    world = Watching(policy=RULES.model_copy(update={"severe_harm": 0.1}))
    world.ticks(world.decider(), 3)
    assert len(asked) == 3
    assert world.published == [], "no alert and no loss: nothing worth a decision"


lives = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["opened", "updated", "resolved"])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(lives, st.sets(st.integers(0, 11)), st.booleans())
def test_restarts_at_any_place_and_repeated_alerts_give_the_same_requests(
    life: list[tuple[str, str]], restarts: set[int], repeated: bool
) -> None:
    """The alerts at a minute each, labels from the third on; workers that die between them."""

    def asked(restarts: set[int], repeated: bool) -> list[tuple[str, int, tuple[str, ...]]]:
        world = World(n_labels=0, policy=RULES.model_copy(update={"cool_down_s": 150.0}))
        decider = world.decider()
        for i, (alert_id, state) in enumerate(life):
            world.n_labels = 100 if i >= 2 else 0
            if i in restarts:
                decider = world.decider()
            value = world.open(change(alert_id, state, world.now_ms))
            world.bring(decider, value)
            if repeated:
                world.bring(decider, value)
            world.now_ms += MINUTE
        return [(each.request_id, each.requested_at_ms, each.alert_ids) for each in world.requests]

    expected = asked(set(), repeated=False)
    assert asked(restarts, repeated) == expected
    assert len({request_id for request_id, _, _ in expected}) == len(expected)
