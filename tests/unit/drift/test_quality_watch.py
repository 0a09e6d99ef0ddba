"""Labelled windows against release: what is worse is told once, chance at the stated rate."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from drift.alert_book import AlertRules, Window
from drift.quality.baseline import measure_baseline
from drift.quality.watch import QualityRules, QualityWatch
from schemas.drift_events import AlertKind, AlertLevel, AlertState, DriftAlert
from schemas.quality import QualityBaseline

HOUR_MS = 3_600_000
THRESHOLD = 0.4

Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def rows(n: int, random: np.random.Generator, *, rate: float = 0.2, flipped: float = 0.0) -> Rows:
    """Labels, scores that are their probabilities, and decisions; a share of labels turned over."""
    labels = (random.random(n) < rate).astype(np.float64)
    x = random.normal(size=n) + 1.8 * labels
    logit = np.log(0.2 / 0.8) + 1.8 * x - 1.62
    scores = 1 / (1 + np.exp(-logit))
    labels = np.where(random.random(n) < flipped, 1 - labels, labels)
    return labels, scores, scores >= THRESHOLD


def baseline(n: int = 5_000, seed: int = 0) -> QualityBaseline:
    random = np.random.default_rng(seed)
    labels, scores, _ = rows(n, random)
    return measure_baseline(labels, scores, threshold=THRESHOLD, generator=random)


def watch(
    *, arl0: float = 100.0, state: bytes | None = None, at_release: QualityBaseline | None = None
) -> QualityWatch:
    options = QualityRules(arl0=arl0, rules=AlertRules(quiet_windows=2))
    return QualityWatch("p", "v1", at_release or baseline(), options, state=state)


def window(number: int) -> Window:
    return Window(number * HOUR_MS, (number + 1) * HOUR_MS, 10**9 + number)


def run(watch: QualityWatch, windows: list[tuple[int, Rows]]) -> list[DriftAlert]:
    return [alert for number, each in windows for alert in watch.judge(window(number), *each)]


def stream(
    n_windows: int, *, seed: int = 1, bad: range = range(0), **how: float
) -> list[tuple[int, Rows]]:
    random = np.random.default_rng(seed)
    return [
        (number, rows(1_000, random, **(how if number in bad else {})))
        for number in range(n_windows)
    ]


def test_errors_that_rise_are_told_with_the_window_in_which_they_began() -> None:
    alerts = run(watch(), stream(20, bad=range(8, 14), flipped=0.15))
    opened = {each.name: each for each in alerts if each.state is AlertState.OPENED}
    assert {"recall", "roc_auc", "error_rate"} <= set(opened)
    first = opened["recall"]
    assert first.kind is AlertKind.QUALITY
    assert first.level is AlertLevel.ALERT
    assert first.window_start_ms == 8 * HOUR_MS
    assert first.change_point_ms == 8 * HOUR_MS
    assert first.effect is not None
    assert first.effect < -0.1
    assert (first.effect_unit, first.n_window) == ("difference", 1_000)
    assert "recall fell from" in first.sentence
    assert "at release" in first.sentence
    states = [each.state for each in alerts if each.name == "recall"]
    assert (states[0], states[-1]) == (AlertState.OPENED, AlertState.RESOLVED)


def test_more_positives_are_told_of_the_labels() -> None:
    alerts = run(watch(), stream(12, bad=range(6, 12), rate=0.3))
    (opened,) = [
        each for each in alerts if each.name == "label_rate" and each.state is AlertState.OPENED
    ]
    assert opened.kind is AlertKind.LABEL
    assert opened.effect == pytest.approx(0.1, abs=0.04)


def test_a_better_model_is_no_news() -> None:
    random = np.random.default_rng(2)
    perfect = []
    for number in range(5):
        labels, _, _ = rows(1_000, random)
        perfect.append((number, (labels, 0.05 + 0.9 * labels, labels > 0.5)))
    assert run(watch(), perfect) == []


def test_windows_are_judged_once_and_in_order() -> None:
    one = watch()
    windows = stream(10, bad=range(5, 10), flipped=0.2)
    first = run(one, windows)
    assert first
    assert run(one, windows) == []
    assert one.judged_ms == 9 * HOUR_MS


def test_a_successor_goes_on_as_the_one_before_would_have() -> None:
    windows = stream(24, bad=range(9, 17), flipped=0.12)
    whole = run(watch(), windows)
    for cut in (1, 8, 10, 16, 18):
        one = watch()
        before = run(one, windows[:cut])
        after = run(watch(state=one.encode()), windows[cut:])
        assert before + after == whole
        again = run(watch(state=one.encode()), windows[cut:])
        assert again == after, "a replay says the same under the same ids"


def test_a_state_against_another_baseline_is_not_gone_on_with() -> None:
    one = watch()
    run(one, stream(6, bad=range(2, 6), flipped=0.3))
    other = watch(at_release=baseline(seed=9), state=one.encode())
    assert other.judged_ms is None
    assert other.open_alerts == ()
    assert watch(state=one.encode()).open_alerts == one.open_alerts


def test_a_state_of_another_rate_keeps_its_alerts() -> None:
    one = watch()
    run(one, stream(6, bad=range(2, 6), flipped=0.3))
    assert watch(arl0=5_000.0, state=one.encode()).open_alerts == one.open_alerts


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff"])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the state of a quality watch"):
        watch(state=data)


def test_the_state_is_bounded() -> None:
    one = watch()
    sizes = []
    random = np.random.default_rng(0)
    for number in range(450):
        one.judge(window(number), *rows(60, random))
        if number in (249, 449):
            sizes.append(len(one.encode()))
    assert abs(sizes[1] - sizes[0]) < 4_000
    assert len(json.loads(one.encode())["past"]) == 200


def test_a_window_without_rows_is_passed_over() -> None:
    one = watch()
    none = np.empty(0)
    assert one.judge(window(3), none, none, none.astype(np.bool_)) == ()
    assert one.judged_ms == 3 * HOUR_MS


@pytest.mark.parametrize(("n_release", "n_window"), [(4_000, 500), (4_000, 2_000)])
def test_stable_windows_open_alerts_at_the_stated_rate_at_most(
    n_release: int, n_window: int
) -> None:
    """Over many releases, for the noise of one baseline is in all its windows."""
    arl0, n_windows, n_releases = 20.0, 10, 60
    noisy = 0
    for release in range(n_releases):
        random = np.random.default_rng(release)
        one = watch(arl0=arl0, at_release=baseline(n_release, seed=1_000 + release))
        for number in range(n_windows):
            told = one.judge(window(number), *rows(n_window, random))
            noisy += any(each.state is AlertState.OPENED for each in told)
    # quality has a quarter of the whole monitor's rate
    stated = 1 / arl0 / 4
    assert noisy <= binom.ppf(0.999, n_releases * n_windows, 1.5 * stated)
