"""The page's segments: those that moved are drawn as columns are, all of them are in a list."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from drift.findings import Level, SegmentSummary
from drift.report import to_html
from drift.report.selection import MAX_OF_SEGMENTS
from tests.unit.drift.reports import HOSTILE_NAMES, column, finding, findings_of, live, still
from tests.unit.drift.test_report_html import Page, section

SEGMENTS = ("channel=web", "channel=shop", "is_night=true")


def summary(name, effect=0.02):
    return SegmentSummary(
        name=name,
        n_reference=1200,
        n_windows=40,
        n_rows=9000,
        column="amount",
        effect=effect,
        p_value=1e-9 if effect > 0.1 else 0.3,
    )


def segmented(moved=1, names=SEGMENTS, n_drawn=3):
    """A live report with segments, in the first `moved` of which the amount moves."""
    rng, made = np.random.default_rng(5), live(still())
    columns, found = [], []
    for i, name in enumerate(names[:n_drawn]):
        shift_at = 22 if i < moved else None
        history = replace(column(rng, "amount", shift_at=shift_at), name=f"amount ({name})")
        columns.append(history)
        told = findings_of(history, made.bounds) if i < moved else []
        found += [replace(each, segment=name) for each in told]
    listed = tuple(summary(name, 0.6 if i < moved else 0.02) for i, name in enumerate(names))
    return replace(made, findings=tuple(found), segments=listed, segment_columns=tuple(columns))


def cards(html):
    return re.findall(r"<article.*?</article>", section(html, "segments"), re.DOTALL)


def test_a_segment_that_moved_is_drawn_with_its_curve_and_its_distribution():
    (card,) = cards(to_html(segmented(n_drawn=1)))
    text = Page(card).text
    assert text.startswith("amount (channel=web)")
    assert "Effect over time (PSI" in text
    assert "Shares by bin, window of 2026-03-01" in text
    assert Page(card).all("path"), "a curve"
    assert Page(card).all("rect"), "bars"


def test_all_segments_are_in_the_list_those_that_moved_first():
    texts = Page(section(to_html(segmented(n_drawn=1)), "segments")).texts
    listed = texts[texts.index("3 segments") :]
    assert [each for each in listed if each in SEGMENTS] == list(SEGMENTS)
    shop = listed[listed.index("channel=shop") :]
    assert shop[1:9] == ["1,200", "40", "9,000", "0.02", "amount", "0.3", "0", "0"]


def test_where_none_moved_those_with_the_largest_effects_are_drawn_and_it_says_so():
    html = to_html(segmented(moved=0))
    assert "None moved. To look at: those with the largest effects" in html
    assert len(cards(html)) == 3


def test_of_very_many_that_moved_a_few_are_drawn_and_the_list_has_the_rest():
    names = tuple(f"channel=c{i:02}" for i in range(20))
    made = segmented(moved=20, names=names, n_drawn=20)
    html = to_html(replace(made, segment_columns=made.segment_columns[:MAX_OF_SEGMENTS]))
    assert len(cards(html)) == MAX_OF_SEGMENTS
    text = Page(section(html, "segments")).text
    assert f"The {MAX_OF_SEGMENTS} that moved most, of 20" in text
    assert all(name in text for name in names)


def test_alerts_come_before_larger_effects_without_one():
    made = segmented(moved=2)
    notices = [
        replace(each, level=Level.NOTICE) if each.segment == SEGMENTS[0] else each
        for each in made.findings
    ]
    first, *_ = cards(to_html(replace(made, findings=tuple(notices))))
    assert SEGMENTS[1] in first


def test_a_page_without_segments_has_no_such_section():
    assert section(to_html(live()), "segments") is None
    assert "Segments" not in Page(to_html(live())).text


def test_windows_in_which_a_segment_was_not_tested_leave_gaps():
    made = segmented(n_drawn=1)
    (history,) = made.segment_columns
    history.windows[5:9] = 0
    history.effects[5:9] = history.p_values[5:9] = math.nan
    history.windows[30:] = 0
    history.effects[30:] = history.p_values[30:] = math.nan
    (card,) = cards(to_html(made))
    assert "nan" not in Page(card).text


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_of_strangers_are_only_text(name):
    made = segmented(names=(name, *SEGMENTS[:1]), n_drawn=1)
    found = finding(made.bounds[3, 1], f"amount ({name})", segment=name, change_point_row=None)
    page = Page(to_html(replace(made, findings=(found,))))  # which knows of no script, img, comment
    assert not page.comments
