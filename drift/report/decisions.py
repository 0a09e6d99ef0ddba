"""What the policy decided on retraining, and why."""

from collections.abc import Mapping

from drift.findings import LiveFacts
from drift.report import numbers
from drift.report.markup import Child, Markup, bdi, join, tag
from drift.report.tables import table
from schemas.drift_events import RetrainingDecision, RetrainingRequest

MAX_DECISIONS = 60
MAX_REASONS = 12


def decisions_table(live: LiveFacts) -> Markup:
    """Newest first; of very many the requests, then the newest refusals."""
    ranked = sorted(live.decisions, key=lambda each: (not each.requested, -each.decided_at_ms))
    shown = sorted(ranked[:MAX_DECISIONS], key=lambda each: -each.decided_at_ms)
    n_requests = sum(each.requested for each in live.decisions)
    caption = (
        f"{numbers.plural(len(live.decisions), 'decision')},"
        f" {numbers.plural(n_requests, 'request')} among them"
    )
    if len(shown) < len(live.decisions):
        caption += f"; {len(shown)} shown"
    requests = {each.request_id: each for each in live.requests}
    heads = ["Decided (UTC)", "Retraining", "Why", "Alerts"]
    return table(caption, heads, (_row(each, requests) for each in shown))


def _row(decision: RetrainingDecision, requests: Mapping[str, RetrainingRequest]) -> list[Child]:
    time = numbers.moment(decision.decided_at_ms) or numbers.UNKNOWN
    reasons = [tag("li", bdi(each, 300)) for each in decision.reasons[:MAX_REASONS]]
    more = len(decision.reasons) - len(reasons)
    if more > 0:
        reasons.append(tag("li", f"and {more} more"))
    why = tag("ul", reasons, class_="reasons") if reasons else None
    alerts = tag("span", numbers.count(len(decision.alert_ids)), class_="figure")
    return [tag("span", time, class_="time"), _asked(decision, requests), why, alerts]


def _asked(decision: RetrainingDecision, requests: Mapping[str, RetrainingRequest]) -> Markup:
    if decision.request_id is None:
        return join("not requested")
    words = join(tag("span", "requested", class_="badge alert"), " ", bdi(decision.request_id))
    request = requests.get(decision.request_id)
    if request is None:
        return words
    begin, end = (
        numbers.moment(ms) or numbers.UNKNOWN
        for ms in (request.training_from_ms, request.training_to_ms)
    )
    rows = numbers.plural(request.n_labelled_since, "labelled row")
    return join(words, tag("div", f"on {begin} to {end}, {rows} by then", class_="in-words"))
