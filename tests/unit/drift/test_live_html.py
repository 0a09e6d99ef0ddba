"""The page of a live system: times in place of rows, decisions, and both rates of false notices."""

from dataclasses import replace

import numpy as np
import pytest

from drift.report import to_html
from drift.report.decisions import MAX_DECISIONS
from drift.report.numbers import duration
from drift.report.positions import DAY_MS, HOUR_MS, MINUTE_MS, ticks
from tests.unit.drift.reports import (
    HOSTILE_NAMES,
    LIVE_START_MS,
    LIVE_WINDOW_MS,
    decision,
    finding,
    live,
    one_shifted,
    still,
)
from tests.unit.drift.test_report_html import Page, section

YEAR_MS = 365 * DAY_MS


def text_of(html, anchor):
    return Page(section(html, anchor)).text


def over(span_ms):
    """A live report of 40 windows that cover `span_ms`."""
    made = live(still())
    edges = LIVE_START_MS + np.linspace(0, span_ms, 41).astype(np.int64)
    return replace(made, bounds=np.stack([edges[:-1], edges[1:]], axis=1))


def test_times_stand_where_a_scan_has_rows():
    page = Page(to_html(live())).text
    assert "from about 2026-03-01 01:50 (known at 2026-03-01 01:55)" in page
    assert "Known at (UTC)" in page
    assert "40 windows of 5 minutes, about 1,000 rows each" in page
    assert "window of 2026-03-01" in page
    assert "by row" not in page
    assert "Rows are counted from 0" not in page


def test_a_scan_has_rows_still():
    page = Page(to_html(one_shifted())).text
    assert "Notices and alerts by row" in page
    assert "known at row 28,000" in page
    assert "Retraining" not in page


@pytest.mark.parametrize(
    "span_ms",
    [MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 7 * HOUR_MS, DAY_MS, 9 * DAY_MS, YEAR_MS, 80 * YEAR_MS],
    ids=duration,
)
def test_any_span_of_time_has_a_few_ticks_in_order(span_ms):
    found = ticks(over(span_ms))
    shares = [share for share, _ in found]
    assert 1 <= len(found) <= 6
    assert shares == sorted(set(shares))
    assert all(0 <= share <= 1 for share in shares)
    assert len({text for _, text in found}) == len(found)


def test_ticks_lie_at_round_times():
    assert [text for _, text in ticks(over(2 * HOUR_MS))] == [
        *("03-01", "00:30", "01:00", "01:30", "02:00")
    ]
    assert [text for _, text in ticks(over(4 * DAY_MS))][:2] == ["2026-03-01", "2026-03-02"]


def test_a_mark_lies_where_its_window_ends():
    made = live(still())
    middle = finding(LIVE_START_MS + 20 * LIVE_WINDOW_MS, "v1", change_point_row=None)
    html = to_html(replace(made, findings=(middle,)))
    (mark,) = [
        attributes
        for attributes, within in Page(section(html, "timeline")).all("use")
        if attributes["href"] == "#m-alert" and "figcaption" not in within and "p" not in within
    ]
    assert mark["x"] == "50.00%"


def test_decisions_are_told_newest_first_with_reasons_and_what_is_trained_on():
    html = to_html(live())
    text = text_of(html, "decisions")
    assert "3 decisions, 1 request among them" in text
    assert text.index("reason 2 for it") < text.index("reason 1 for it") < text.index("reason 0")
    assert "requested request-1" in text
    assert "on 2026-03-01 00:00 to 2026-03-01 00:35, 5,120 labelled rows by then" in text


def test_of_very_many_decisions_the_requests_are_kept():
    refused = tuple(decision(number) for number in range(200, 1, -1))
    html = to_html(live(decisions=(*refused, decision(1, requested=True))))
    text = text_of(html, "decisions")
    assert f"{MAX_DECISIONS} shown" in text
    assert "request-1" in text
    assert "reason 200 for it" in text
    assert "reason 100 for it" not in text


def test_without_decisions_it_says_that_there_are_none():
    assert "decided nothing yet" in text_of(to_html(live(decisions=())), "decisions")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_reasons_of_strangers_are_only_text(name):
    asked = decision(1, requested=True, reasons=(name, name), request_id=name or "x")
    page = Page(to_html(live(decisions=(asked,))))  # which knows of no script, img or comment
    assert not page.comments


def test_both_rates_of_false_notices_are_told():
    text = text_of(to_html(live()), "rate")
    assert "one false notice in 200 windows, 1.44 a day; 0.2 expected in these 40 windows" in text
    assert "of 40 windows had a new notice: one in" in text
    assert "more than chance gives at the stated rate" in text


def test_a_still_stretch_keeps_the_stated_rate():
    text = text_of(to_html(still()), "rate")
    assert "0 of 40 windows had a new notice: one in 10.8 or more (95%, Poisson)" in text
    assert "no more than the stated rate allows" in text


def test_what_was_found_before_the_first_window_or_lasts_is_not_counted_as_new():
    made = live(still())
    before = finding(LIVE_START_MS - LIVE_WINDOW_MS, "v1", change_point_row=None)
    inside = finding(LIVE_START_MS + LIVE_WINDOW_MS, "v2", change_point_row=None)
    facts = replace(made.live, n_significant=17)
    report = replace(made, findings=(before, inside), live=facts)

    assert report.noticed.tolist() == [True] + 39 * [False]
    text = text_of(to_html(report), "rate")
    assert "1 of 40 windows had a new notice" in text
    assert "17 windows had one, if known ones that lasted are counted" in text


def test_quality_of_windows_of_its_own_lies_at_its_own_times():
    made = live()
    (precision,) = made.quality
    ends = LIVE_START_MS + np.array([10, 20]) * LIVE_WINDOW_MS
    own = replace(
        precision,
        values=np.array([0.8, 0.7]),
        standard_errors=np.array([0.01, 0.01]),
        estimates=None,
        estimate_errors=None,
        ends=ends,
        note="Labels have come for 50% of the rows shown.",
    )
    quality = section(to_html(replace(made, quality=(own,))), "quality")
    (curve,) = [
        attributes["d"]
        for attributes, _ in Page(quality).all("path")
        if attributes.get("class") == "curve now"
    ]
    assert curve.startswith("M250 ")
    assert "L500 " in curve
    assert "Labels have come for 50%" in quality


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (500, "0.5 seconds"),
        (1000, "1 second"),
        (300_000, "5 minutes"),
        (HOUR_MS, "1 hour"),
        (36 * HOUR_MS, "1.5 days"),
        (4_700 * DAY_MS, "4,700 days"),
    ],
)
def test_durations_are_in_the_largest_unit_that_they_fill(ms, words):
    assert duration(ms) == words
