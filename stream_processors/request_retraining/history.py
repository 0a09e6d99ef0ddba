"""What a pipeline's messages on `drift-alerts` and `retraining-requests` come to. Pure."""

from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

import structlog

from drift.policy_state import PolicyState
from schemas.drift_events import (
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
    decode_alert,
    decode_retraining,
    stable_id,
)
from stream_processors import metrics

log = structlog.get_logger()

Message = TypeVar("Message", RetrainingRequest, RetrainingDecision)

MAX_KEPT = 1000
"""Requests and decisions of each kind that are remembered, the newest."""


class History:
    """Open alerts, requests and decisions of one pipeline, from its messages in their order.

    A message that comes again changes nothing; one that is none, or speaks of another pipeline, is
    said, counted and left out. `state` lacks what messages do not tell: champion, labels, quality.
    """

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self.state = PolicyState(pipeline, champion="", event_time_ms=0)
        self._requests: OrderedDict[str, RetrainingRequest] = OrderedDict()
        self._decisions: OrderedDict[str, RetrainingDecision] = OrderedDict()

    @property
    def last_decision(self) -> RetrainingDecision | None:
        return next(reversed(self._decisions.values()), None)

    @property
    def requests(self) -> list[RetrainingRequest]:
        """The newest ones, oldest first, each once."""
        return list(self._requests.values())

    @property
    def decisions(self) -> list[RetrainingDecision]:
        """The newest ones, oldest first, each once."""
        return list(self._decisions.values())

    def read_alert(self, value: bytes) -> bool:
        """Take a message of `drift-alerts`; whether it was one of this pipeline."""
        try:
            self.take_alert(decode_alert(value))
        except ValueError as error:
            self._refuse("drift-alerts", error)
            return False
        return True

    def read_retraining(self, value: bytes) -> None:
        """Take a message of `retraining-requests`."""
        try:
            message = decode_retraining(value)
            if isinstance(message, RetrainingRequest):
                self.take_request(message)
            else:
                self.take_decision(message)
        except ValueError as error:
            self._refuse("retraining-requests", error)

    def take_alert(self, alert: DriftAlert) -> None:
        self._check(alert.pipeline)
        state = self.state.with_alert(alert)
        newest = max(state.event_time_ms, alert.window_end_ms)
        self.state = replace(state, event_time_ms=newest)

    def take_request(self, request: RetrainingRequest) -> None:
        self._check(request.pipeline)
        if request.request_id in self._requests:
            return
        _keep(self._requests, request.request_id, request)
        before = self.state.requests_ms
        # Of two clocks the later may run behind; the rules want the times in order.
        at_ms = max(request.requested_at_ms, before[-1] if before else request.requested_at_ms)
        self.state = self.state.with_request(at_ms)

    def take_decision(self, decision: RetrainingDecision) -> None:
        self._check(decision.pipeline)
        if decision.decision_id not in self._decisions:
            _keep(self._decisions, decision.decision_id, decision)

    def undecided(self) -> RetrainingDecision | None:
        """The decision that goes with the last request, where a crash came between the two.

        Its id is what it would have been; of the reasons the request tells the sum.
        """
        request = next(reversed(self._requests.values()), None)
        if request is None:
            return None
        decided = {each.request_id for each in self._decisions.values()}
        if request.request_id in decided:
            return None
        return RetrainingDecision(
            decision_id=stable_id(
                "decision", request.pipeline, request.champion_version, request.requested_at_ms
            ),
            pipeline=request.pipeline,
            decided_at_ms=request.requested_at_ms,
            requested=True,
            reasons=(request.reason,),
            alert_ids=request.alert_ids,
            request_id=request.request_id,
            policy={},
        )

    def _check(self, pipeline: str) -> None:
        if pipeline != self._pipeline:
            raise ValueError(f"it is keyed {self._pipeline} and speaks of {pipeline[:80]!r}")

    def _refuse(self, topic: str, error: ValueError) -> None:
        log.error("not_a_message_of_drift", topic=topic, error=str(error)[:500])
        metrics.RETRAINING_BAD_MESSAGES.labels(topic).inc()


def _keep(kept: "OrderedDict[str, Message]", name: str, message: Message) -> None:
    kept[name] = message
    if len(kept) > MAX_KEPT:
        kept.popitem(last=False)
