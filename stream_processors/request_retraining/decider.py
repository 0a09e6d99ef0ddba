"""When it is decided, and what is published of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from drift.policy import Decision, decide
from drift.policy_state import PolicyState
from schemas.drift_events import RetrainingDecision, encode_event
from schemas.errors import TransientError
from schemas.retraining import RetrainingSettings
from stream_processors import metrics
from stream_processors.membership import Membership
from stream_processors.outbox import Messages
from stream_processors.request_retraining.definition import Definition
from stream_processors.request_retraining.history import History
from stream_processors.request_retraining.recorder import Told
from stream_processors.request_retraining.replay import Replay
from stream_processors.scored_frames import until_one_ends
from stream_processors.transport import RawBatch

log = structlog.get_logger()

LOOK_S = 0.5
"""How often it is asked whether partitions were assigned anew."""
RETRY_S = 2.0
ANY_PARTITION = -1
"""librdkafka chooses by the key: all of a pipeline is in one partition, in order."""


class Publisher(Protocol):
    """The part of an Outbox that is used here."""

    def publish(self, partition: int, outputs: list[Messages]) -> "asyncio.Future[None]": ...


class Decider:
    """Decides at every message of an alert, and every `decide_interval_s` while one is open.

    All state is on the two topics: it is read anew after each assignment, and once more before a
    request is published. So a request rests on nothing that was resolved or asked for meanwhile,
    and a crash at any point is a replay, which gives the same request under the same id. Of the
    group's workers the one that has the pipeline's partition decides.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        topic: str,
        settings: RetrainingSettings,
        replay: Callable[[], Replay],
        definition: Callable[[], Definition],
        complete: Callable[[PolicyState, Definition, int], PolicyState],
        outbox: Publisher,
        record: Callable[[list[Told]], Awaitable[None]],
        repeat: Callable[[list[Told]], Awaitable[None]],
        membership: Membership,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline, self._topic, self._key = pipeline, topic, pipeline.encode()
        self._settings = settings
        self._replay, self._definition, self._complete = replay, definition, complete
        self._outbox, self._record, self._repeat = outbox, record, repeat
        self._membership, self._clock_ms, self._clock = membership, clock_ms, clock
        self._now: Replay | None = None
        self._generation: int | None = None
        self._resumed: int | None = None
        self._decided_at = -float("inf")
        self._turn = asyncio.Lock()

    async def run(self, stream: Any) -> None:
        """Decide until the stream ends or something fails for good."""
        await until_one_ends(self._listen(stream), self._watch())

    async def _listen(self, stream: Any) -> None:
        async for event in stream.noack().events():
            generation = event.message.generation_id
            async with self._turn:
                if generation == self._membership.generation():
                    await self._take(event.value, generation)
                if generation == self._membership.generation():
                    event.ack()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_S, self._settings.decide_interval_s))
            async with self._turn:
                await self._look(self._membership.generation())

    async def _take(self, batch: RawBatch, generation: int) -> None:
        """Alerts of this pipeline, whoever else's are among them."""
        own = [each.value() or b"" for each in batch.messages if each.key() == self._key]
        if not own:
            return
        decides = await self._is_current(generation)
        if self._now is None or generation != self._generation:
            return  # read when the topics are
        n_taken = sum(self._now.history.read_alert(value) for value in own)
        if n_taken and decides:
            await self._decide(generation)

    async def _look(self, generation: int) -> None:
        """The timer's turn."""
        is_new = generation != self._resumed
        if not await self._is_current(generation):
            return
        due = self._clock() - self._decided_at >= self._settings.decide_interval_s
        if (is_new or due) and self._may_ask():
            await self._decide(generation, only_if_open=True)

    def _may_ask(self) -> bool:
        """An alert of the champion is open, or quality alone can be a reason."""
        definition = self._definition()
        return definition.policy.severe_harm is not None or self._is_open(definition)

    def _is_open(self, definition: Definition) -> bool:
        """Alerts of a model that was replaced may stay open for ever."""
        assert self._now is not None
        signals = self._now.history.state.signals
        return any(each.model_version == definition.champion for each in signals)

    async def _is_current(self, generation: int) -> bool:
        """Whether this worker is the one to decide; reads the topics after an assignment."""
        member = self._membership
        # A static member that comes back has the same generation before and after its assignment.
        while generation == member.generation() != self._generation and not member.draining():
            try:
                self._now = await asyncio.to_thread(self._replay)
            except TransientError as error:
                log.warning("replay_failed", error=str(error)[:500])
                await asyncio.sleep(RETRY_S)
                continue
            self._generation = generation
        if not self._decides(generation):
            return False
        if self._resumed != generation:
            assert self._now is not None
            await self._resume(self._now.history)
            self._resumed = generation
        return True

    def _decides(self, generation: int) -> bool:
        """Whether the pipeline's partition is ours, and not being given back."""
        member = self._membership
        return (
            generation == member.generation() == self._generation
            and self._now is not None
            and member.owns(self._now.home)
            and not member.draining()
        )

    async def _resume(self, history: History) -> None:
        """Make good what a crash left undone: a request without its decision, rows not logged."""
        log.info(
            "decisions_resumed",
            n_open=len(history.state.signals),
            n_requests=len(history.requests),
            n_decisions=len(history.decisions),
        )
        told: list[Told] = [*history.requests, *history.decisions]
        if undecided := history.undecided():
            await self._publish([undecided])
            history.take_decision(undecided)
            told.append(undecided)
        await self._repeat(told)

    async def _decide(self, generation: int, *, only_if_open: bool = False) -> None:
        """One decision on what is known now, published if it says anything new."""
        definition = self._definition()
        policy = definition.policy
        decision = await self._ask(definition)
        if decision.requested:
            if not await self._refresh():
                return
            decision = await self._ask(definition)
        if not self._decides(generation):
            return
        assert self._now is not None
        history = self._now.history
        idle = not decision.reasons[0].met and not self._is_open(definition)
        if only_if_open and idle:
            return
        self._count(decision)
        message = decision.message(policy)
        if not decision.requested and self._said(message, history):
            return
        told: list[Told] = [decision.request] if decision.request else []
        told.append(message)
        await self._publish(told)
        if decision.request:
            history.take_request(decision.request)
            metrics.RETRAINING_REQUESTS.inc()
        history.take_decision(message)
        log.info("decided", requested=decision.requested, sentence=decision.sentence)
        await self._record(told)

    async def _ask(self, definition: Definition) -> Decision:
        assert self._now is not None
        now_ms, self._decided_at = self._clock_ms(), self._clock()
        state = await asyncio.to_thread(self._complete, self._now.history.state, definition, now_ms)
        return decide(state, now_ms, definition.policy)

    async def _refresh(self) -> bool:
        """Read the topics once more; False while the broker does not answer."""
        try:
            self._now = await asyncio.to_thread(self._replay)
        except TransientError as error:
            log.warning("replay_failed", error=str(error)[:500])
            return False
        return True

    def _said(self, message: RetrainingDecision, history: History) -> bool:
        """Whether the decision before was this refusal, not long ago."""
        last = history.last_decision
        if last is None or _saying(last) != _saying(message):
            return False
        return message.decided_at_ms - last.decided_at_ms < self._settings.repeat_refusal_s * 1000

    async def _publish(self, told: list[Told]) -> None:
        values = [encode_event(each) for each in told]
        messages = Messages(self._topic, [self._key] * len(values), values)
        await self._outbox.publish(ANY_PARTITION, [messages])

    def _count(self, decision: Decision) -> None:
        outcome = "requested" if decision.requested else "refused"
        metrics.RETRAINING_DECISIONS.labels(outcome).inc()
        metrics.RETRAINING_DECIDED_AT.set(decision.decided_at_ms / 1000)


def _saying(decision: RetrainingDecision) -> tuple[object, ...]:
    """What makes a refusal another one: a rule met or not, an alert, the policy; not the counts in
    its words, which change with every row.
    """
    rules = tuple(reason.partition(":")[0] for reason in decision.reasons)
    return decision.requested, rules, decision.alert_ids, decision.policy
