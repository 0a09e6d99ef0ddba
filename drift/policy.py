"""Whether to ask for retraining: open alerts, quality and labels give a decision with reasons."""

from dataclasses import dataclass, field

from drift.policy_harm import loss_words, missing_harm, readings
from drift.policy_state import DAY_MS, OpenSignal, PolicyState, QualityReading
from schemas.drift_events import RetrainingDecision, RetrainingRequest, stable_id
from schemas.retraining import RetrainingPolicy


@dataclass(frozen=True, slots=True)
class Reason:
    """What one rule found. A request needs all of them met; what is not `known` is not."""

    rule: str
    met: bool
    words: str
    known: bool = True

    @property
    def finding(self) -> str:
        if not self.known:
            return "unknown"
        return "met" if self.met else "not met"


@dataclass(frozen=True, slots=True)
class Decision:
    """A request or a refusal, with what every rule found; `alert_ids` are the alerts that count."""

    pipeline: str
    champion: str
    decided_at_ms: int
    reasons: tuple[Reason, ...]
    alert_ids: tuple[str, ...]
    request: RetrainingRequest | None

    @property
    def requested(self) -> bool:
        return self.request is not None

    @property
    def sentence(self) -> str:
        """Why: what was missing for a refusal, everything for a request."""
        return _sentence(self.reasons)

    def message(self, policy: RetrainingPolicy) -> RetrainingDecision:
        """As it is published, with the policy it was made by."""
        return RetrainingDecision(
            decision_id=stable_id("decision", self.pipeline, self.champion, self.decided_at_ms),
            pipeline=self.pipeline,
            decided_at_ms=self.decided_at_ms,
            requested=self.requested,
            reasons=tuple(f"{each.rule} ({each.finding}): {each.words}" for each in self.reasons),
            alert_ids=self.alert_ids,
            request_id=self.request.request_id if self.request else None,
            policy=policy.model_dump(mode="json"),
        )


@dataclass(slots=True)
class _Evidence:
    """What counts, and the moments at which it began."""

    signals: list[OpenSignal] = field(default_factory=list)
    change_points: set[int] = field(default_factory=set)


def decide(state: PolicyState, now_ms: int, policy: RetrainingPolicy) -> Decision:
    """The decision at `now_ms`, by the clock that alerts were opened by; a pure function.

    A signal or a reading that goes away never makes a request of a refusal: every rule counts what
    there is, and the labels are counted from the earliest change point that any of it allows.
    """
    evidence = _Evidence()
    reasons = (
        _quorum(state, now_ms, policy, evidence),
        _harm(state, policy),
        _labels(state, policy, evidence),
        _cool_down(state, now_ms, policy),
        _budget(state, now_ms, policy),
    )
    alert_ids = tuple(each.alert_id for each in evidence.signals)
    request = None
    if all(each.met for each in reasons):
        request = _request(state, now_ms, policy, evidence, _sentence(reasons))
    return Decision(state.pipeline, state.champion, now_ms, reasons, alert_ids, request)


def _sentence(reasons: tuple[Reason, ...]) -> str:
    missing = [each.words for each in reasons if not each.met]
    if missing:
        return f"no retraining: {'; '.join(missing)}"
    return f"retraining asked for: {'; '.join(each.words for each in reasons)}"


def _quorum(
    state: PolicyState, now_ms: int, policy: RetrainingPolicy, evidence: _Evidence
) -> Reason:
    """Signals that agree, or a realised loss that needs none; notes what counts."""
    of_champion = [each for each in state.signals if each.model_version == state.champion]
    large = [each for each in of_champion if _large(each, policy)]
    counted = [each for each in large if _lasts(_since(each, policy), now_ms, policy)]
    evidence.signals = sorted(counted, key=lambda each: each.alert_id)
    severe = _severe(state, now_ms, policy)
    # What moved in several segments moved once.
    n_agree = len({(each.kind, each.name) for each in counted})
    enough = n_agree >= policy.quorum
    # Without a quorum its signals say nothing of when the change was.
    evidence.change_points |= {each.change_point_ms for each in severe}
    if enough:
        evidence.change_points |= {each.change_point_ms for each in counted}
    names = ", ".join(sorted({each.name for each in counted}))
    words = f"{n_agree} of {policy.quorum} signals agree" + (f" ({names})" if names else "")
    young, small = len(large) - len(counted), len(of_champion) - len(large)
    if young:
        words += f"; {young} not yet open for {_duration(policy.persistence_s)}"
    if small:
        words += f"; {small} too small"
    if other := len(state.signals) - len(of_champion):
        words += f"; {other} of models other than {state.champion}"
    if severe:
        words += f"; {loss_words(severe[0])}, which needs no quorum"
    return Reason("quorum", enough or bool(severe), words)


def _large(signal: OpenSignal, policy: RetrainingPolicy) -> bool:
    if policy.level == "alert" and signal.alert_since_ms is None:
        return False
    return signal.effect_unit != "psi" or (signal.effect or 0.0) >= policy.min_psi


def _since(signal: OpenSignal, policy: RetrainingPolicy) -> int:
    """When it began to be at the level that counts."""
    if policy.level == "notice" or signal.alert_since_ms is None:
        return signal.opened_at_ms
    return signal.alert_since_ms


def _lasts(since_ms: int, now_ms: int, policy: RetrainingPolicy) -> bool:
    return now_ms - since_ms >= policy.persistence_s * 1000


def _severe(state: PolicyState, now_ms: int, policy: RetrainingPolicy) -> list[QualityReading]:
    size = policy.severe_harm
    if size is None:
        return []
    return [
        each
        for each in readings(state)
        if each.realised and each.exceeds(size) and _lasts(each.since_ms, now_ms, policy)
    ]


def _harm(state: PolicyState, policy: RetrainingPolicy) -> Reason:
    if policy.harm == "none":
        return Reason("harm", True, "no harm is asked for")
    if not state.log_known:
        return Reason("harm", False, "quality unknown: the log does not answer", known=False)
    for each in readings(state):
        if (each.realised or policy.harm == "either") and each.exceeds(policy.min_harm):
            return Reason("harm", True, loss_words(each))
    return Reason("harm", False, missing_harm(state, policy))


def _labels(state: PolicyState, policy: RetrainingPolicy, evidence: _Evidence) -> Reason:
    if not state.log_known:
        return Reason("labels", False, "labels unknown: the log does not answer", known=False)
    cuts = _cuts(state, policy, evidence)
    if not cuts:
        return Reason("labels", False, "no change point to count labelled rows from")
    n = state.labelled_since(cuts[0])
    words = f"{n:,} labelled rows since the change point, {policy.min_labelled_rows:,} are needed"
    return Reason("labels", n >= policy.min_labelled_rows, words)


def _cuts(state: PolicyState, policy: RetrainingPolicy, evidence: _Evidence) -> list[int]:
    """Where the training window may begin, in order: it holds some time, and not too much."""
    end = state.event_time_ms
    oldest = end - int(policy.max_training_days * DAY_MS)
    return sorted({max(each, oldest) for each in evidence.change_points if each < end})


def _cool_down(state: PolicyState, now_ms: int, policy: RetrainingPolicy) -> Reason:
    wait = f"the cool-down is {_duration(policy.cool_down_s)}"
    if not state.requests_ms:
        return Reason("cool_down", True, "nothing was asked for before")
    passed_s = (now_ms - max(state.requests_ms)) / 1000
    words = f"the last request was {_duration(max(0.0, passed_s))} ago, {wait}"
    return Reason("cool_down", passed_s >= policy.cool_down_s, words)


def _budget(state: PolicyState, now_ms: int, policy: RetrainingPolicy) -> Reason:
    used = sum(each > now_ms - DAY_MS for each in state.requests_ms)
    words = f"{used} of {policy.budget_per_day} requests of the last 24 hours are used"
    return Reason("budget", used < policy.budget_per_day, words)


def _request(
    state: PolicyState, now_ms: int, policy: RetrainingPolicy, evidence: _Evidence, reason: str
) -> RetrainingRequest:
    """Cut at the latest change point that has enough labelled rows: nothing older is the new
    world, unless an earlier change has to do."""
    cuts = _cuts(state, policy, evidence)
    start = max(each for each in cuts if state.labelled_since(each) >= policy.min_labelled_rows)
    alert_ids = tuple(each.alert_id for each in evidence.signals)
    # The request before is part of it: asked again after a cool-down it is another request,
    # replayed after a crash the same.
    before = max(state.requests_ms, default=0)
    return RetrainingRequest(
        request_id=stable_id("request", state.pipeline, state.champion, before, *alert_ids),
        pipeline=state.pipeline,
        champion_version=state.champion,
        reason=reason,
        alert_ids=alert_ids,
        training_from_ms=start,
        training_to_ms=state.event_time_ms,
        requested_at_ms=now_ms,
        n_labelled_since=state.labelled_since(start),
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} seconds"
