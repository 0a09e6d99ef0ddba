"""Alerts as findings: each where it was opened, and where it grew from notice to alert."""

import math
from collections.abc import Sequence

from drift.findings import Finding, Level, Subject
from drift.report.numbers import moment
from drift.result import Result
from schemas.drift_events import AlertLevel, AlertState, DriftAlert


def findings_of(told: Sequence[DriftAlert]) -> tuple[Finding, ...]:
    """Findings in order of time, from every state that alerts were told in, in that order.

    The last one of each alert says whether it is over.
    """
    lives: dict[str, list[DriftAlert]] = {}
    for state in told:
        lives.setdefault(state.alert_id, []).append(state)
    found = [finding for life in lives.values() for finding in _of_life(life)]
    return tuple(sorted(found, key=lambda each: (each.row, each.subject, each.name)))


def shown_name(name: str, segment: str) -> str:
    """Of a column, of all rows or of a segment's."""
    return f"{name} ({segment})" if segment else name


def _of_life(life: Sequence[DriftAlert]) -> list[Finding]:
    said = [each for each in life if each.state is not AlertState.RESOLVED] or list(life[-1:])
    news = [said[0]]
    if said[0].level is AlertLevel.NOTICE:
        news += [each for each in said if each.level is AlertLevel.ALERT][:1]
    endings = [""] * (len(news) - 1) + [_ending(life[-1])]
    return [_finding(state, ending) for state, ending in zip(news, endings, strict=True)]


def _ending(last: DriftAlert) -> str:
    if last.state is not AlertState.RESOLVED:
        return "; open still"
    return f"; over at {moment(last.window_end_ms)}"


def _finding(alert: DriftAlert, ending: str) -> Finding:
    return Finding(
        row=alert.window_end_ms,
        level=Level(alert.level),
        subject=Subject(alert.kind),
        name=shown_name(alert.name, alert.segment),
        result=Result(
            detector=alert.detector,
            statistic=_number(alert.statistic),
            threshold=_number(alert.threshold),
            p_value=_number(alert.p_value),
            effect=_number(alert.effect),
            n_reference=alert.n_reference,
            n_window=alert.n_window,
        ),
        sentence=alert.sentence + ending,
        change_point_row=alert.change_point_ms,
        contributions=tuple((name, _number(share)) for name, share in alert.contributions),
        segment=alert.segment,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
