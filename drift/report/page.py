"""The report for people: one HTML page that needs nothing else, no script and no network."""

from drift.findings import Level, ScanReport, Subject
from drift.report import numbers
from drift.report.card import column_card
from drift.report.decisions import decisions_table
from drift.report.headline import headline, lede, summary_numbers
from drift.report.markup import Child, Markup, bdi, join, tag
from drift.report.measures import CAVEAT, quality_plot
from drift.report.plot import MAX_POINTS
from drift.report.rates import false_alarms
from drift.report.segments import segments
from drift.report.selection import (
    MAX_DETAILED,
    MAX_STEADY,
    Moved,
    moved_columns,
    steady_columns,
)
from drift.report.style import CSS
from drift.report.surprise import p_value_plot
from drift.report.tables import GLOSSARY, columns_table, definitions, findings_table
from drift.report.text import clip
from drift.report.timeline import finding_words, shares, timeline

MAX_MEASURES = 20
MAX_WARNINGS = 100
MAX_DETAILS = 60

# Even if something of a stranger's were not escaped, it would be neither run nor fetched.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

# Shapes, not colours alone: a ring, a diamond, a flag.
SYMBOLS = Markup(
    '<svg class="symbols" aria-hidden="true"><defs>'
    '<circle id="m-notice" class="m-notice" r="4"/>'
    '<path id="m-alert" class="m-alert" d="M0-6.5 6 0 0 6.5-6 0z"/>'
    '<path id="m-change" class="m-change" d="M0 0V-9H5.5L4-6.8 5.5-4.5H0"/>'
    "</defs></svg>"
)


def to_html(report: ScanReport) -> str:
    """`report` as one page of bounded size (under 2 MB at 300 columns and 2,000 windows).

    At most 30 columns are drawn and series are thinned to 400 points; the page says where.
    """
    moved = moved_columns(report, report.columns)
    sections = [
        _section("timeline", "Timeline", _timeline(report)),
        _section("columns", "Columns", _columns(report, moved)),
        _section("segments", "Segments", segments(report)),
        _section("quality", "Quality", _quality(report)),
        _section("decisions", "Retraining", _decisions(report)),
        _section("sure", "How sure", _how_sure(report)),
        _section("rate", "False alarms", false_alarms(report)),
        _section("findings", "All findings", _findings(report)),
        _section("all-columns", "All columns", columns_table(report) if report.columns else None),
        _section("glossary", "Glossary", definitions(GLOSSARY)),
        _section("made", "How it was made", _how_made(report)),
    ]
    shown = [(anchor, title, body) for anchor, title, body in sections if body is not None]
    links = tag("nav", [_link(anchor, title) for anchor, title, _ in shown], aria_label="Contents")
    header = tag(
        "header",
        tag("p", "Drift report", class_="what"),
        tag("h1", bdi(report.title, 120)),
        tag("p", headline(report, moved), class_="headline"),
        tag("p", lede(report, moved), class_="lede"),
        summary_numbers(report),
        _warnings(report),
        links,
    )
    main = tag("main", header, [body for _, _, body in shown])
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"Drift: {clip(report.title, 80)}"),
        tag("style", Markup(CSS)),
    )
    body = tag("body", SYMBOLS, main)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _section(anchor: str, title: str, body: Child) -> tuple[str, str, Markup | None]:
    if body is None:
        return anchor, title, None
    heading = tag("h2", title, id=f"{anchor}-title")
    section = tag("section", heading, body, id=anchor, aria_labelledby=f"{anchor}-title")
    return anchor, title, section


def _link(anchor: str, title: str) -> Markup:
    return join(tag("a", title, href=f"#{anchor}"), " ")


def _warnings(report: ScanReport) -> Markup | None:
    if not report.warnings:
        return None
    shown = [tag("li", bdi(each, 400)) for each in report.warnings[:MAX_WARNINGS]]
    if len(report.warnings) > MAX_WARNINGS:
        shown.append(tag("li", f"and {len(report.warnings) - MAX_WARNINGS} more"))
    return tag("ul", shown, class_="warnings", aria_label="Warnings")


def _timeline(report: ScanReport) -> Markup | None:
    if not report.n_windows:
        return None
    words = (
        "Where marks would lie on each other, the strongest is drawn." if report.findings else None
    )
    return join(
        None if words is None else tag("p", words), tag("div", timeline(report), class_="card")
    )


def _columns(report: ScanReport, moved: list[Moved]) -> Markup | None:
    if not report.n_windows or not report.columns:
        return None
    shown = moved[:MAX_DETAILED]
    words = "Those with alerts first, then by the size of the effect."
    if len(moved) > MAX_DETAILED:
        words = f"The {MAX_DETAILED} that moved most, of {len(moved)}; the table below has all."
    if not moved:
        shown = steady_columns(report, report.columns, MAX_STEADY)
        words = "None moved. To look at: those with the largest effects, all within chance."
    if report.n_windows > MAX_POINTS:
        words += f" Of stretches of windows the lowest and highest are drawn ({MAX_POINTS} points)."
    return join(tag("p", words), _together(report), [column_card(report, each) for each in shown])


def _together(report: ScanReport) -> Markup | None:
    """The strongest finding about several columns at once, and whose shares in it are largest."""
    found = [each for each in report.findings if each.subject is Subject.MULTIVARIATE]
    if not found:
        return None
    alerts = [each for each in found if each.level is Level.ALERT]
    telling = max(alerts or found, key=lambda each: each.result.statistic)
    note = tag("p", shares(telling), class_="note") if telling.contributions else None
    head = tag("h3", bdi(telling.name, 80), " (several columns together)")
    return tag("article", head, finding_words(telling), note, class_="card")


def _quality(report: ScanReport) -> Markup | None:
    if not report.quality or not report.n_windows:
        return None
    shown = report.quality[:MAX_MEASURES]
    words = "Measured on the rows whose labels have come."
    if len(report.quality) > len(shown):
        words += f" The first {len(shown)} of {len(report.quality)} measures."
    if any(each.estimates is not None for each in shown):
        words += f" {CAVEAT}"
    plots = [tag("div", quality_plot(report, each), class_="card") for each in shown]
    return join(tag("p", words), tag("div", plots, class_="pair" if len(plots) > 1 else None))


def _how_sure(report: ScanReport) -> Markup | None:
    figure = p_value_plot(report)
    if figure is None:
        return None
    words = (
        f"Thresholds are set for one false notice in {numbers.number(report.arl0)} windows, all "
        "columns and detectors together. Where nothing moves, p-values spread evenly and the bars "
        "keep near the dashed line; a tall first bar is drift, a slope means that the tests do not "
        "fit these data."
    )
    return join(tag("p", words), tag("div", figure, class_="card"))


def _decisions(report: ScanReport) -> Markup | None:
    if report.live is None:
        return None
    if not report.live.decisions:
        return tag(
            "p", "The policy has decided nothing yet: it does when an alert opens or changes."
        )
    words = (
        "What the policy made of the alerts, refusals too; each reason is one of its conditions."
    )
    return join(tag("p", words), decisions_table(report.live))


def _findings(report: ScanReport) -> Markup | None:
    return findings_table(report) if report.findings else None


def _how_made(report: ScanReport) -> Markup:
    where = (
        "Rows are counted from 0. A finding's row is where it was known: the end of its window, or "
        "the event."
        if report.live is None
        else "Times are event times, in UTC. A finding was known at the end of its window."
    )
    words = (
        f"{numbers.plural(report.n_windows, 'window')} were compared with "
        f"the reference of {numbers.plural(report.n_reference, 'row')}, column by column. {where}"
    )
    pairs = list(report.details.items())[:MAX_DETAILS]
    return join(tag("p", words), definitions(pairs) if pairs else None)
