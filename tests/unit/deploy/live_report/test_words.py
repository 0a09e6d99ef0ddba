"""The status in words: narrow enough for a terminal, whatever strangers named their columns."""

import msgspec
import pytest

from deploy.live_report.status import DriftStatus, LastWindow, QualityNow
from deploy.live_report.words import WIDTH, status_lines
from deploy.local.status import StageLag
from drift.findings import Subject
from drift.result import Result
from drift.sentences import live_sentence
from tests.golden.messages import ALERT, DECISION
from tests.live_drift import START_MS, WINDOW_MS

HOUR_MS = 3_600_000

LAST = LastWindow(
    start_ms=START_MS, end_ms=START_MS + WINDOW_MS, n_rows=2_000, n_noticed=0, age_s=47.0
)
STATUS = DriftStatus(
    pipeline="fraud",
    champion="0123456789ab",
    reference_rows=20_000,
    reference_columns=31,
    reference_version="c0ffee" * 10,
    arl0=1000.0,
    window_s=300.0,
    false_notices_per_day=0.288,
    last_window=LAST,
)


def text_of(**fields: object) -> str:
    lines = list(status_lines(msgspec.structs.replace(STATUS, **fields)))
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines)
    return " ".join(" ".join(lines).split())


def test_a_quiet_watch_takes_few_words() -> None:
    text = text_of()
    assert "last window 2026-03-01 00:00 to 00:05 UTC, 2,000 rows, nothing noticed" in text
    assert "ended 47 seconds ago" in text
    assert "open alerts none" in text
    assert "behind" not in text
    assert "retraining nothing decided yet" in text


def test_a_window_over_midnight_has_both_dates() -> None:
    last = msgspec.structs.replace(LAST, start_ms=START_MS - HOUR_MS, end_ms=START_MS + HOUR_MS)
    assert "2026-02-28 23:00 to 2026-03-01 01:00" in text_of(last_window=last)


def test_stages_that_are_behind_are_told() -> None:
    lag = StageLag(pipeline="fraud", stage="detect", group="fraud.detect", lag=12_000)
    assert "behind detect 12,000 records" in text_of(lag=(lag,))


@pytest.mark.parametrize("sentence", ["amount\x1b[2J moved\nand more", "x" * 500, "word " * 90])
def test_sentences_of_strangers_stay_within_the_terminal(sentence: str) -> None:
    alert = msgspec.structs.replace(ALERT, sentence=sentence)
    assert "open alerts 1 - alert: " in text_of(open_alerts=(alert,))


def test_an_alert_names_its_segment_and_a_model_that_is_not_the_champion() -> None:
    result = Result("g_test", 80.0, 20.0, 1e-9, 0.3, n_reference=20_000, n_window=2_000)
    window = START_MS, START_MS + WINDOW_MS
    sentence = live_sentence(Subject.FEATURE, "amount", result, window, None, segment="country=DE")
    alert = msgspec.structs.replace(
        ALERT, segment="country=DE", model_version="v0", sentence=sentence
    )
    text = text_of(open_alerts=(alert,))
    assert "alert: feature amount in segment country=DE: moved" in text
    assert text.count("(model v0)") == 1
    assert "(model" not in text_of(open_alerts=(ALERT,))


def test_measures_of_the_same_windows_stand_under_one_line() -> None:
    precision = QualityNow(
        measure="precision",
        realised=0.6,
        realised_error=0.03,
        realised_end_ms=START_MS,
        maturity=0.8,
        estimate=0.79,
        estimate_error=0.01,
        estimate_end_ms=START_MS + HOUR_MS,
    )
    recall = msgspec.structs.replace(precision, measure="recall", estimate_error=None)
    early = QualityNow(measure="brier", estimate=0.04, estimate_end_ms=START_MS)
    nothing = QualityNow(measure="f1")

    text = text_of(quality=(precision, early, recall, nothing))

    assert (
        "quality from labels, 80% of those of the window to 2026-03-01 00:00; estimated for the"
        " window to 2026-03-01 01:00 precision 0.600 ± 0.030 0.790 ± 0.010 recall 0.600 ± 0.030"
        " 0.790" in text
    )
    assert "quality estimated for the window to 2026-03-01 00:00 brier 0.040" in text
    assert "f1" not in text


def test_the_last_decision_comes_with_its_reasons() -> None:
    text = text_of(last_decision=DECISION)
    assert "retraining not requested, decided" in text
    assert all(reason in text for reason in DECISION.reasons)


def test_a_log_that_is_away_leaves_what_is_known_without_it() -> None:
    text = text_of(problem="no stack runs", last_window=None)
    assert "one false notice in 1,000 windows of 5 minutes" in text
    assert "log no stack runs" in text
    assert "open alerts" not in text
