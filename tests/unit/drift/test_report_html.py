import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.findings import Level, QualityHistory, Subject
from drift.report import to_html
from drift.report.intervals import shorten_intervals
from drift.report.measures import CAVEAT
from drift.report.numbers import MINUS, UNKNOWN, number, poisson_tail
from drift.report.plot import MAX_POINTS, Axis, thin
from drift.report.selection import MAX_DETAILED, window_of
from drift.report.text import clean, clip
from tests.unit.drift.reports import (
    HOSTILE_NAMES,
    bounds_of,
    column,
    finding,
    hostile,
    live,
    many_shifted,
    one_shifted,
    report,
    result,
    still,
    without_windows,
)

SCENARIOS = [still, one_shifted, many_shifted, hostile, without_windows, live]
VOID = {"meta"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "article"),
    *("nav", "h1", "h2", "h3", "p", "a", "ul", "li", "dl", "div", "dt", "dd", "span", "small"),
    *("bdi", "figure", "figcaption", "svg", "defs", "use", "path", "circle", "rect", "line"),
    *("text", "table", "caption", "thead", "tbody", "tr", "th", "td"),
}
REFERENCES = {"href", "src", "action", "xlink:href", "data", "srcset", "poster", "formaction"}


class Page(HTMLParser):
    """Reads a page and checks what a browser would forgive: balance, unknown elements."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts, self.comments = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, name, attributes):
        assert name in ELEMENTS, name
        assert len(dict(attributes)) == len(attributes), f"an attribute twice in {name}"
        self.elements.append((name, dict(attributes), tuple(self.open)))
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open, f"</{name}> closes nothing"
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def handle_comment(self, data):
        self.comments.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def all(self, name):
        return [
            (attributes, within) for found, attributes, within in self.elements if found == name
        ]


def section(html, anchor):
    found = re.search(rf'<section id="{anchor}".*?</section>', html, re.DOTALL)
    return found and found.group()


@pytest.mark.parametrize("make", SCENARIOS)
def test_the_page_is_balanced_and_of_known_elements_only(make):
    page = Page(to_html(make()))
    assert not page.comments
    assert Counter(name for name, *_ in page.elements)["main"] == 1


@pytest.mark.parametrize("make", SCENARIOS)
def test_nothing_is_fetched_and_nothing_runs(make):
    page = Page(to_html(make()))
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes, _ in page.elements:
        assert not any(key.startswith("on") for key in attributes), name
        for key in REFERENCES & set(attributes):
            assert attributes[key][0] == "#", (name, attributes)
            assert attributes[key][1:] in ids
    style = re.search(r"<style>(.*?)</style>", to_html(make()), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    policies = [
        each["content"]
        for each, _ in page.all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")


@pytest.mark.parametrize("make", SCENARIOS)
def test_every_plot_has_a_title_and_every_other_drawing_is_hidden_from_readers(make):
    html = to_html(make())
    for attributes, within in Page(html).all("svg"):
        if "svg" in within:
            continue  # the stretched part of a plot
        assert attributes.get("role") == "img" or attributes.get("aria-hidden") == "true"
    n_plots = html.count('<svg role="img"')
    assert len(re.findall(r'<svg role="img"[^>]*><title>[^<]{10,}</title>', html)) == n_plots
    assert (n_plots > 0) == (make is not without_windows)


@pytest.mark.parametrize("make", SCENARIOS)
def test_no_number_of_the_drawings_is_nan_or_infinite(make):
    for name, attributes, _ in Page(to_html(make())).elements:
        for key in {"x", "y", "d", "x1", "x2", "y1", "y2", "width", "height"} & set(attributes):
            assert not re.search("nan|inf", attributes[key]), (name, key, attributes[key])


@pytest.mark.parametrize("make", SCENARIOS)
def test_tables_have_a_caption_and_heads_for_rows_and_columns(make):
    html = to_html(make())
    tables = re.findall(r"<table>.*?</table>", html, re.DOTALL)
    assert tables
    for table in tables:
        n_columns = table.count('<th scope="col">')
        rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)[1:]
        assert table.startswith("<table><caption>")
        assert rows
        assert all(row.count('<th scope="row">') == 1 for row in rows)
        assert all(row.count("<td>") == n_columns - 1 for row in rows)


def test_names_of_strangers_are_shown_as_they_are_and_do_nothing():
    page = Page(to_html(hostile()))
    for name in HOSTILE_NAMES:
        if name:
            assert " ".join(clip(name, 60).split()) in page.text
    assert "(no name)" in page.text
    assert "script" not in {name for name, *_ in page.elements}


@given(st.text(max_size=80))
@settings(max_examples=30, deadline=None)
def test_any_text_leaves_the_page_whole(text):
    rng = np.random.default_rng(0)
    steady = column(rng, text, 2, 1, 2.0, labels=(text, text[::-1], "missing"))
    steady = replace(steady, test=text, note=text)
    odd = [finding(7000, text, sentence=text, result=result(detector=text))]
    odd.append(
        finding(6000, text, Level.NOTICE, Subject.MULTIVARIATE, contributions=((text, 0.5),))
    )
    made = report([steady], found=odd, title=text, warnings=(text,), details={text: text})
    html = to_html(made)
    html.encode("utf-8")
    page = Page(html)
    assert not page.comments
    assert clip(clean(text), 60).strip()[:20] in "".join(page.texts)


def test_the_page_says_what_moved_first_and_what_moved_most():
    rng = np.random.default_rng(8)
    early = column(rng, "early", 40, 10, 0.5)
    strong = column(rng, "strong", 40, 20, 1.5)
    page = Page(to_html(report([early, strong])))
    assert "early moved first, from about row 15,017 (known at row 16,000)" in page.text
    assert re.search(r"strong moved most \(PSI [\d.]+\)", page.text)


def test_the_page_says_that_nothing_moved_and_what_chance_would_have_given():
    page = Page(to_html(still()))
    assert "Nothing moved." in page.text
    assert "Chance alone gives 0.2 notices" in page.text


def test_few_notices_of_many_expected_are_called_chance():
    made = still(n_windows=400)
    few = [finding(7000, "v1", Level.NOTICE), finding(9000, "v2", Level.NOTICE)]
    chance = Page(to_html(replace(made, findings=tuple(few))))
    assert "Nothing moved beyond chance: 2 notices" in chance.text
    alert = Page(to_html(replace(made, findings=(finding(7000, "v1"),))))
    assert "v1 moved first" in alert.text


def test_the_page_says_that_there_was_nothing_to_compare():
    assert "There was nothing to compare" in Page(to_html(without_windows())).text


def test_the_stated_rate_is_given_in_windows_and_by_the_day_where_there_are_times():
    day = 86_400_000
    made = still(n_windows=21)
    assert " a day" not in Page(to_html(made)).text
    timed = replace(made, times_ms=np.arange(21, dtype=np.int64) * (day // 10))  # ten a day
    text = Page(to_html(timed)).text
    assert "1 in 200 windows" in text
    assert "0.05 a day" in text


def test_notices_and_alerts_differ_in_shape_and_in_words():
    timeline = section(to_html(one_shifted()), "timeline")
    assert timeline.count('href="#m-alert"') > 1
    assert timeline.count('href="#m-notice"') > 1
    findings = section(to_html(one_shifted()), "findings")
    assert "</svg>alert</span>" in findings
    assert "</svg>notice</span>" in findings


def test_quality_is_shown_with_its_estimate_and_what_that_cannot_see():
    quality = Page(section(to_html(one_shifted()), "quality")).text
    assert CAVEAT in quality
    assert "cannot see concept drift" in quality
    plain = QualityHistory("recall", 0.5, np.full(40, 0.5), np.full(40, 0.01))
    html = to_html(replace(still(), quality=(plain,)))
    assert "CBPE" not in section(html, "quality")


def test_a_window_without_rows_is_shown_as_one():
    rng = np.random.default_rng(3)
    empty = column(rng, "amount", 3)
    empty.windows[1] = 0
    empty.effects[:] = [math.nan, 0.5, math.nan]
    html = to_html(report([empty], found=[finding(7000)]))
    assert "(which has no rows)" in Page(html).text


def test_a_column_of_many_categories_keeps_the_bins_that_differ_and_the_missing_ones():
    rng = np.random.default_rng(3)
    labels = (*(f"category {i}" for i in range(100)), "unseen", "missing")
    wide = column(rng, "merchant", 4, 2, 0.0, labels=labels)
    wide.windows[3, 57] += 400
    shown = section(to_html(report([wide], found=[finding(9000, "merchant")])), "columns")
    assert "<title>category 57</title>" in shown
    assert "<title>missing</title>" in shown
    assert "<title>unseen</title>" in shown
    assert "79 more bins, together" in shown


def test_shares_in_a_finding_about_several_columns_are_named():
    several = finding(
        7000,
        "PCA reconstruction",
        subject=Subject.MULTIVARIATE,
        contributions=(("v3", 0.61), ("v1", 0.22)),
    )
    text = Page(to_html(report(still().columns, found=[several]))).text
    assert "Largest shares: v3 61.0%, v1 22.0%." in text


def test_three_hundred_columns_and_two_thousand_windows_stay_under_two_megabytes():
    rng = np.random.default_rng(6)
    n_windows = 2000
    first = [column(rng, f"v{i}" + "<&>'\"" * 39, n_windows, 100, 0.8, rows=200) for i in range(5)]
    columns = [replace(first[i % 5], name=f"{i} {first[i % 5].name}") for i in range(300)]
    bounds = bounds_of(n_windows, rows=200)
    found = [
        finding(int(bounds[w, 1]), each.name, Level.ALERT if w % 3 else Level.NOTICE)
        for each in columns
        for w in range(100, n_windows, 10)
    ]
    html = to_html(report(columns, bounds, found))
    page = Page(html)
    assert len(html.encode()) < 2_000_000
    assert len(page.all("article")) == MAX_DETAILED
    assert f"The {MAX_DETAILED} that moved most, of 300" in page.text
    assert "of which 300 are shown" in page.text
    assert f"({MAX_POINTS} points)" in page.text
    for each, _ in page.all("path"):
        assert len(re.findall("[ML]", each.get("d", ""))) <= MAX_POINTS


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=3000),
    st.integers(4, 400),
)
@settings(max_examples=60, deadline=None)
def test_thinning_keeps_extremes_and_order_within_its_limit(values, limit):
    series = np.array(values)
    kept = thin(series, limit)
    assert len(kept) <= limit
    assert np.all(np.diff(kept) > 0)
    if not np.isnan(series).all():
        assert np.nanmax(series[kept]) == np.nanmax(series)
        assert np.nanmin(series[kept]) == np.nanmin(series)


@pytest.mark.parametrize(
    ("row", "window"), [(5001, 0), (6000, 0), (6001, 1), (45_000, 39), (45_001, None), (0, 0)]
)
def test_a_row_belongs_to_the_window_that_it_is_in_or_the_end_of(row, window):
    assert window_of(still(), row) == window


@pytest.mark.parametrize(
    ("labels", "short"),
    [
        (
            ["(-inf, -1.23457]", "(-1.23457, 2.5]", "(2.5, inf)"],
            ["≤ -1.23", "-1.23 to 2.5", "> 2.5"],
        ),
        (["(1000.12, 1000.15]", "missing"], ["1000.12 to 1000.15", "missing"]),
        (["(-inf, inf)"], ["all"]),
        (["(a, b]", "(2, 1]", "(x", ""], ["(a, b]", "(2, 1]", "(x", ""]),
    ],
)
def test_intervals_are_shown_in_as_few_digits_as_keep_their_edges_apart(labels, short):
    assert [each.replace(MINUS, "-") for each in shorten_intervals(labels)] == short


@given(st.floats() | st.floats(-2, 8), st.booleans())
def test_one_value_has_the_place_that_it_has_among_many(value, root):
    axis = Axis(-1.5, 6.0, root=root)
    assert axis.share(value) == pytest.approx(float(axis.place(value)), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, UNKNOWN),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0.0, "0"),
        (1e-9, "1e-9"),
        (2.34e-5, "2.3e-5"),
        (0.0123, "0.0123"),
        (-1.5, "-1.5"),
        (12345.6, "12,346"),
        (7.7e12, "7.7e12"),
    ],
)
def test_numbers_are_shown_with_about_three_digits(value, shown):
    assert number(value).replace(MINUS, "-") == shown


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.25, 0.5, 0.75, 1]), (-0.03, 0.31, [0, 0.1, 0.2, 0.3]), (5, 5, [5])],
)
def test_ticks_are_round_values_in_the_range(low, high, ticks):
    assert Axis(low, high).ticks(4) == pytest.approx(ticks)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 8))
def test_ticks_are_few_and_inside(low, width, about):
    axis = Axis(low, low + width)
    ticks = axis.ticks(about)
    assert len(ticks) <= 2 * about + 1
    slack = 1e-6 * axis.width + 1e-9 * abs(low)
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)


@pytest.mark.parametrize(("n", "mean"), [(1, 0.2), (3, 0.2), (5, 5.0), (40, 20.0), (200, 150.0)])
def test_the_chance_of_notices_is_the_tail_of_poissons_distribution(n, mean):
    from scipy import stats

    assert poisson_tail(n, mean) == pytest.approx(stats.poisson.sf(n - 1, mean), abs=1e-12)


def test_the_same_report_gives_the_same_page():
    assert to_html(one_shifted()) == to_html(one_shifted())
