"""The status as lines for a terminal, at most 100 columns wide."""

import textwrap
from collections.abc import Iterable, Iterator

from deploy.live_report.status import DriftStatus, QualityNow
from drift.report.numbers import duration, moment, number
from drift.report.text import clean

WIDTH = 100
LABEL = 13


def status_lines(found: DriftStatus) -> Iterator[str]:
    """Line by line; words of strangers come without control characters."""
    yield from _entry("pipeline", found.pipeline)
    yield from _entry("champion", found.champion)
    yield from _entry("reference", found.reference_problem or _reference_words(found))
    for warning in found.warnings:
        yield from _entry("warning", warning)
    yield from _entry(
        "stated rate",
        f"one false notice in {found.arl0:,.0f} windows of {duration(found.window_s * 1000)},"
        f" {number(found.false_notices_per_day)} a day, all columns and detectors together",
    )
    if found.problem:
        yield from _entry("log", found.problem)
        return
    yield from _entry("last window", _window_words(found))
    if found.lag:
        behind = ", ".join(f"{each.stage} {each.lag:,}" for each in found.lag)
        yield from _entry("behind", f"{behind} records")
    yield from _alerts(found)
    yield from _quality(found.quality)
    yield from _decision(found)


def _reference_words(found: DriftStatus) -> str:
    return (
        f"{found.reference_rows:,} rows, {found.reference_columns} columns"
        f" ({found.reference_version[:12]})"
    )


def _window_words(found: DriftStatus) -> str:
    last = found.last_window
    if last is None:
        return f"none has closed yet; {found.waiting}"
    noticed = f"{last.n_noticed} noticed" if last.n_noticed else "nothing noticed"
    when = f"{duration(last.age_s * 1000)} ago" if last.age_s >= 1 else "just now"
    begin, end = _end(last.start_ms), _end(last.end_ms)
    end = end.removeprefix(begin[:11])  # the date once, where it is one day
    return f"{begin} to {end} UTC, {last.n_rows:,} rows, {noticed}; ended {when}"


def _alerts(found: DriftStatus) -> Iterator[str]:
    if not found.open_alerts:
        yield from _entry("open alerts", "none")
        return
    yield from _entry("open alerts", f"{len(found.open_alerts)}")
    for alert in found.open_alerts:
        older = "" if alert.model_version == found.champion else f" (model {alert.model_version})"
        yield from _item(f"{alert.level}: {alert.sentence}{older}")


def _quality(measured: Iterable[QualityNow]) -> Iterator[str]:
    """Measures of the same windows together: these are said once."""
    groups: dict[str, list[QualityNow]] = {}
    for each in measured:
        if each.realised is not None or each.estimate is not None:
            groups.setdefault(_windows_of(each), []).append(each)
    if not groups:
        yield from _entry("quality", "not known yet: no labels have come, and nothing is estimated")
    for windows, members in groups.items():
        yield from _entry("quality", windows)
        width = max(len(each.measure) for each in members)
        for each in members:
            realised = _with_error(each.realised, each.realised_error)
            estimate = _with_error(each.estimate, each.estimate_error)
            yield f"  {each.measure:<{width}}  {realised:<22}{estimate}".rstrip()


def _windows_of(each: QualityNow) -> str:
    """What the columns of figures are: from labels, then estimated, where there is either."""
    labelled = f"from labels, {each.maturity:.0%} of those of the window to"
    parts = []
    if each.realised is not None:
        parts.append(f"{labelled} {_end(each.realised_end_ms)}")
    if each.estimate is not None:
        parts.append(f"estimated for the window to {_end(each.estimate_end_ms)}")
    return "; ".join(parts)


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" + ("" if error is None else f" ± {error:.3f}")


def _end(ms: int | None) -> str:
    return "" if ms is None else moment(ms) or ""


def _decision(found: DriftStatus) -> Iterator[str]:
    decision = found.last_decision
    if decision is None:
        yield from _entry("retraining", "nothing decided yet")
        return
    what = f"requested ({decision.request_id})" if decision.requested else "not requested"
    yield from _entry("retraining", f"{what}, decided {moment(decision.decided_at_ms)} UTC")
    for reason in decision.reasons:
        yield from _item(reason)


def _entry(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        clean(text),
        WIDTH,
        initial_indent=f"{label:<{LABEL}}",
        subsequent_indent=" " * LABEL,
    ) or [label]


def _item(text: str) -> list[str]:
    return textwrap.wrap(clean(text), WIDTH, initial_indent="  - ", subsequent_indent="    ")
