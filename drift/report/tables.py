"""The tables: all findings, all columns, and what the plots' words mean."""

from collections.abc import Iterable, Sequence

from drift.findings import Finding, Level, ScanReport
from drift.report import numbers, positions
from drift.report.effects import largest, smallest_p
from drift.report.markup import Child, Markup, bdi, join, tag
from drift.report.selection import findings_by_name, window_of
from drift.report.text import clip
from drift.report.timeline import badge, shares

MAX_FINDINGS = 300
MAX_COLUMNS = 1000
MAX_SENTENCE = 240
MAX_NAME = 80

GLOSSARY = (
    ("Notice", "A difference that chance rarely makes: significant at the stated rate."),
    ("Alert", "A notice whose effect is also large enough to matter."),
    (
        "PSI",
        (
            "Population stability index, the size of a difference between two histograms. By "
            "custom 0.1 is small, 0.2 medium, 0.25 large; here what chance alone gives is taken "
            "off, so that it may be slightly negative."
        ),
    ),
    (
        "ARL0",
        (
            "The mean number of windows between false notices where nothing moves, over all "
            "columns and detectors together. The thresholds are set for it."
        ),
    ),
    (
        "p-value",
        (
            "How often chance alone would make a difference as large. A sequential detector has "
            "none for a window: there the statistic against its threshold decides."
        ),
    ),
    ("Change point", "Where the change likeliest began, found by splitting the history."),
    ("Reference", "The rows that all others are compared with."),
    ("Window", "The rows that are compared with the reference at one time."),
)


def findings_table(report: ScanReport) -> Markup:
    """All findings in row order; of very many, the alerts first, then the earliest notices."""
    shown = sorted(report.findings, key=lambda each: (each.level is not Level.ALERT, each.row))
    shown = sorted(shown[:MAX_FINDINGS], key=lambda each: each.row)
    heads = [
        *("What", "Level", "Kind"),
        "Row" if report.live is None else "Known at (UTC)",
        *("Change point", "Effect", "p-value"),
        *("Statistic, threshold", "Detector"),
    ]
    if report.times_ms is not None:
        heads.insert(4, "Window's end (UTC)")
    caption = f"{numbers.plural(len(report.findings), 'finding')}"
    if len(shown) < len(report.findings):
        caption += f", of which {len(shown)} are shown (alerts before notices); the JSON has all"
    return table(caption, heads, (_finding_row(report, each) for each in shown))


def columns_table(report: ScanReport) -> Markup:
    """Each column: its test and why, its largest effect, its smallest p-value, its findings."""
    found = findings_by_name(report)
    heads = ["Column", "Kind", "Test", "Largest effect", "Smallest p", "Notices", "Alerts", "Note"]
    rows = []
    for column in report.columns[:MAX_COLUMNS]:
        own = found.get((column.subject, column.name), [])
        n_alerts = sum(each.level is Level.ALERT for each in own)
        cells: list[Child] = [
            bdi(column.name, MAX_NAME),
            column.subject.value,
            clip(column.test, MAX_NAME),
            figure(numbers.effect(largest(column))),
            figure(numbers.p_value(smallest_p(column))),
            figure(numbers.count(len(own))),
            figure(numbers.count(n_alerts)),
            clip(column.note, MAX_SENTENCE),
        ]
        rows.append(cells)
    caption = numbers.plural(len(report.columns), "column")
    if len(report.columns) > MAX_COLUMNS:
        caption += f", the first {numbers.count(MAX_COLUMNS)} shown"
    return table(caption, heads, rows)


def definitions(pairs: Iterable[tuple[str, str]]) -> Markup:
    return tag(
        "dl",
        [tag("div", tag("dt", clip(term, MAX_NAME)), tag("dd", words)) for term, words in pairs],
        class_="words",
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """A table that scrolls sideways by itself; a row's first cell is its head."""
    body = [
        tag(
            "tr",
            [
                tag("th", cell, scope="row") if i == 0 else tag("td", cell)
                for i, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads])),
        tag("tbody", body),
    )
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=join(caption))


def _finding_row(report: ScanReport, finding: Finding) -> list[Child]:
    result, change = finding.result, finding.change_point_row
    cells: list[Child] = [
        _what(finding),
        badge(finding.level),
        finding.subject.value,
        figure(positions.at(report, finding.row)),
        figure(numbers.UNKNOWN if change is None else positions.at(report, change)),
        figure(numbers.effect(result.effect)),
        figure(numbers.p_value(result.p_value)),
        figure(f"{numbers.number(result.statistic)}, {numbers.number(result.threshold)}"),
        clip(result.detector, MAX_NAME),
    ]
    if report.times_ms is not None:
        window = window_of(report, finding.row)
        time = None if window is None else numbers.moment(int(report.times_ms[window]))
        cells.insert(4, tag("span", time or numbers.UNKNOWN, class_="time"))
    return cells


def _what(finding: Finding) -> Markup:
    """The name, and below it the sentence and the shares."""
    words = join(bdi(finding.sentence, MAX_SENTENCE), " ", shares(finding, 4))
    return join(
        tag("bdi", clip(finding.name, MAX_NAME) or "(no name)"),
        tag("div", words, class_="in-words"),
    )


def figure(text: str) -> Markup:
    """A number: set apart so that the table can align it."""
    return tag("span", text, class_="figure")
