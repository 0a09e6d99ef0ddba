"""A finding in words."""

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
    what = name if subject in (Subject.SCORE, Subject.MULTIVARIATE) else f"{subject} {name}"
    since = "" if change_row is None else f", probably since row {change_row:,}"
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
    else:
        size = f"moved, PSI {result.effect:.2f} beyond chance"
    return f"{what}: {size} in rows {rows[0]:,} to {rows[1]:,}{_p(result)}{since}"


def stream_sentence(
    subject: Subject, name: str, result: Result, *, row: int, change_row: int | None
) -> str:
    """For a detector that watches row by row."""
    what = name if subject is not Subject.FEATURE else f"feature {name}"
    way = "rose" if result.effect > 0 else "fell"
    since = "" if change_row is None else f", probably since row {change_row:,}"
    return f"{what}: the mean {way} by {abs(result.effect):.3g}, seen at row {row:,}{since}"


def _p(result: Result) -> str:
    return "" if result.p_value >= 1 else f" (p {result.p_value:.1g})"
