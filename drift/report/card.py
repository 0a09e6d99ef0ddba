"""A column on the page: what was found, its effect over time, its bins before and after."""

from drift.findings import ScanReport
from drift.report.distributions import distribution_plot
from drift.report.effects import effect_plot
from drift.report.markup import Child, Markup, bdi, tag
from drift.report.selection import Moved
from drift.report.text import clip
from drift.report.timeline import finding_words


def column_card(report: ScanReport, moved: Moved) -> Markup:
    column = moved.column
    note = f"Test: {clip(column.test, 80)}" + (
        f" ({clip(column.note, 300)})" if column.note else ""
    )
    words: Child = tag("p", "Not significant in any window.", class_="sentence")
    if moved.telling is not None:
        words = finding_words(moved.telling)
    return tag(
        "article",
        tag("h3", bdi(column.name, 80)),
        words,
        tag("p", note, class_="note"),
        tag("div", effect_plot(report, moved), distribution_plot(report, moved), class_="pair"),
        class_="card",
    )
