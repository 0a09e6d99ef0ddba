"""A finding in words."""

from datetime import UTC, datetime

from drift.findings import Subject
from drift.result import Result

_MEASURES = {
    "null_rate": "missing values",
    "unseen_rate": "values never seen in the reference",
    "domain_classifier": "rows can be told from the reference's",
}


def window_sentence(
    subject: Subject, name: str, result: Result, *, rows: tuple[int, int], change_row: int | None
) -> str:
    """`rows`: the window, from row to row; `change_row`: where the change probably began."""
    since = "" if change_row is None else f", probably since row {change_row:,}"
    return f"{_moved(subject, name, result)} in rows {rows[0]:,} to {rows[1]:,}{_p(result)}{since}"


def live_sentence(
    subject: Subject,
    name: str,
    result: Result,
    window: tuple[int, int],
    change_ms: int | None,
    *,
    segment: str = "",
) -> str:
    """`window`: its start and end in event time, ms; `change_ms`: when the change began."""
    since = "" if change_ms is None else f", probably since {_time(change_ms)}"
    begin, end = _time(window[0]), _time(window[1])
    end = end.removeprefix(begin[:11])  # the date once, where it is one day
    moved = _moved(subject, name, result, in_segment(segment))
    return f"{moved} in {begin} to {end} UTC{_p(result)}{since}"


def in_segment(segment: str) -> str:
    """Words for behind the name of what moved; none for all rows."""
    return f" in segment {segment}" if segment else ""


def stream_sentence(
    subject: Subject, name: str, result: Result, *, row: int, change_row: int | None
) -> str:
    """For a detector that watches row by row."""
    what = name if subject is not Subject.FEATURE else f"feature {name}"
    way = "rose" if result.effect > 0 else "fell"
    since = "" if change_row is None else f", probably since row {change_row:,}"
    return f"{what}: the mean {way} by {abs(result.effect):.3g}, seen at row {row:,}{since}"


def _moved(subject: Subject, name: str, result: Result, rows: str = "") -> str:
    what = name if subject in (Subject.SCORE, Subject.MULTIVARIATE) else f"{subject} {name}"
    if result.detector in ("null_rate", "unseen_rate"):
        size = f"{_MEASURES[result.detector]} rose by {100 * result.effect:.1f} points"
    elif result.detector == "domain_classifier":
        size = f"{_MEASURES[result.detector]} ({100 * result.effect:.0f}% of variance explained)"
    elif result.detector == "e_sr":
        size = (
            "evidence of a small lasting shift added up over windows to"
            f" {min(result.statistic, 1e6):,.0f}{' and more' if result.statistic > 1e6 else ''}"
            f" (alarm at {result.threshold:,.0f}; PSI {result.effect:.2f} since then)"
        )
    elif result.detector == "adwin":
        size = f"the mean {'rose' if result.effect > 0 else 'fell'} by {abs(result.effect):.3g}"
    else:
        size = f"moved, PSI {result.effect:.2f} beyond chance"
    return f"{what}{rows}: {size}"


def _time(ms: int) -> str:
    """2026-11-21 18:00, with seconds where there are any."""
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # before the year 1, after 9999
        return f"{ms} ms"
    return f"{moment:%Y-%m-%d %H:%M}" + (f":{moment:%S}" if moment.second else "")


def _p(result: Result) -> str:
    return "" if result.p_value >= 1 else f" (p {result.p_value:.1g})"


def quality_sentence(
    name: str,
    result: Result,
    at_release: float,
    window: tuple[int, int],
    change_ms: int | None,
) -> str:
    """Of a measure on labelled rows, `result.effect` away from what it was `at_release`."""
    way = "rose" if result.effect > 0 else "fell"
    words = f"{name.replace('_', ' ')} {way} from {at_release:.3g} at release to"
    words += f" {at_release + result.effect:.3g}"
    begin, end = _time(window[0]), _time(window[1])
    end = end.removeprefix(begin[:11])
    since = "" if change_ms is None else f", probably since {_time(change_ms)}"
    return (
        f"{words} on {result.n_window:,} labelled rows, seen in {begin} to {end} UTC"
        f"{_p(result)}{since}"
    )
