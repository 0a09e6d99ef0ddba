"""What the policy decided on retraining, and why."""

from drift.report import numbers
from drift.report.markup import Child, Markup, bdi, join, tag
from drift.report.tables import table
from schemas.drift_events import RetrainingDecision

MAX_DECISIONS = 60
MAX_REASONS = 12


def decisions_table(decisions: tuple[RetrainingDecision, ...]) -> Markup:
    """Newest first; of very many the requests, then the newest refusals."""
    ranked = sorted(decisions, key=lambda each: (not each.requested, -each.decided_at_ms))
    shown = sorted(ranked[:MAX_DECISIONS], key=lambda each: -each.decided_at_ms)
    n_requests = sum(each.requested for each in decisions)
    caption = (
        f"{numbers.plural(len(decisions), 'decision')},"
        f" {numbers.plural(n_requests, 'request')} among them"
    )
    if len(shown) < len(decisions):
        caption += f"; {len(shown)} shown"
    heads = ["Decided (UTC)", "Retraining", "Why", "Alerts"]
    return table(caption, heads, (_row(each) for each in shown))


def _row(decision: RetrainingDecision) -> list[Child]:
    time = numbers.moment(decision.decided_at_ms) or numbers.UNKNOWN
    asked: Child = "not requested"
    if decision.requested:
        asked = join(
            tag("span", "requested", class_="badge alert"), " ", bdi(decision.request_id or "")
        )
    reasons = [tag("li", bdi(each, 300)) for each in decision.reasons[:MAX_REASONS]]
    more = len(decision.reasons) - len(reasons)
    if more > 0:
        reasons.append(tag("li", f"and {more} more"))
    why = tag("ul", reasons, class_="reasons") if reasons else None
    alerts = tag("span", numbers.count(len(decision.alert_ids)), class_="figure")
    return [tag("span", time, class_="time"), asked, why, alerts]
