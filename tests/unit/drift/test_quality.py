"""Metrics of labelled windows against scikit-learn, their errors against resampling."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from drift.quality.costs import Costs
from drift.quality.estimate import Estimate, rate_estimate
from drift.quality.metrics import METRICS
from drift.quality.windows import LabelledRows, Quality, measure_quality, number_groups
from schemas.retraining import RetrainingPolicy

TIED_SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


def rows_of(n: int, seed: int, *, decimals: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Labels and calibrated scores, skewed to the low end as in fraud."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.beta(0.6, 4, n), decimals)
    return (rng.random(n) < scores).astype(np.float64), scores


def quality_of(labels: np.ndarray, scores: np.ndarray, costs: Costs | None = None) -> Quality:
    rows = LabelledRows(labels, scores, scores >= 0.3, np.zeros(len(labels), dtype=np.int64))
    return measure_quality(rows, n_scored=[len(labels)], costs=costs)[0]


def equal_mass_ece(labels: np.ndarray, scores: np.ndarray, n_bins: int = 10) -> float:
    """Of distinct scores, written down directly."""
    order = np.argsort(-scores)
    bins = np.arange(len(order)) * n_bins // len(order)
    gaps = [
        (bins == b).mean() * abs(labels[order][bins == b].mean() - scores[order][bins == b].mean())
        for b in range(n_bins)
    ]
    return float(sum(gaps))


@pytest.mark.parametrize("decimals", [16, 2, 1])
def test_every_metric_is_scikit_learns(decimals: int) -> None:
    """Ties included: scores of one decimal have 10 values in 2,000 rows."""
    labels, scores = rows_of(2_000, 1, decimals=decimals)
    flagged = scores >= 0.3

    found = {name: value.value for name, value in quality_of(labels, scores).metrics.items()}

    assert set(found) == set(METRICS)
    assert found["precision"] == pytest.approx(sk.precision_score(labels, flagged))
    assert found["recall"] == pytest.approx(sk.recall_score(labels, flagged))
    assert found["f1"] == pytest.approx(sk.f1_score(labels, flagged))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, scores))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(labels, scores))
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, scores))
    if decimals == 16:
        assert found["calibration_error"] == pytest.approx(equal_mass_ece(labels, scores))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), TIED_SCORES, st.integers(0, 3)), min_size=1, max_size=60
    )
)
def test_many_groups_at_once_are_each_group_alone(rows: list[tuple[int, float, int]]) -> None:
    """Whatever the order of rows, the ties, and the groups that lack a class or every row."""
    labels, scores, groups = (np.array(column) for column in zip(*rows, strict=True))
    together = measure_quality(
        LabelledRows(labels.astype(float), scores, scores >= 0.3, groups),
        n_scored=np.bincount(groups, minlength=4),
        costs=Costs(),
    )

    for g, quality in enumerate(together):
        mine = groups == g
        assert quality.n_labelled == mine.sum()
        if not mine.any():
            assert all(math.isnan(value.value) for value in quality.metrics.values())
            continue
        alone = quality_of(labels[mine].astype(float), scores[mine], costs=Costs())
        for name, value in alone.metrics.items():
            assert quality.metrics[name].value == pytest.approx(value.value, nan_ok=True)
            assert quality.metrics[name].standard_error == pytest.approx(
                value.standard_error, nan_ok=True, abs=1e-7
            )
        if 0 < labels[mine].sum() < mine.sum():
            expected = sk.roc_auc_score(labels[mine], scores[mine])
            assert quality.metrics["roc_auc"].value == pytest.approx(expected)


def test_standard_errors_are_those_of_drawing_the_rows_again() -> None:
    """Spread of each metric over 400 windows against the mean error that each of them states."""
    windows = [quality_of(*rows_of(1_500, seed), costs=Costs(missed=5)) for seed in range(400)]

    for name in windows[0].metrics:
        values = np.array([window.metrics[name].value for window in windows])
        stated = np.array([window.metrics[name].standard_error for window in windows])
        # the spread of 400 values is itself known to 3.5%; the calibration error's is an
        # approximation: absolute values of noise spread less than the noise does
        low = 0.6 if name == "calibration_error" else 0.87
        assert low * stated.mean() < values.std() < 1.13 * stated.mean(), name


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    labels, scores = rows_of(2_000_000, 0)
    truth = quality_of(labels, scores).metrics
    names = ("precision", "recall", "f1", "roc_auc", "average_precision", "brier", "log_loss")
    held = dict.fromkeys(names, 0)
    n_windows = 400
    for seed in range(1, n_windows + 1):
        found = quality_of(*rows_of(400, seed)).metrics
        for name in names:
            held[name] += found[name].low <= truth[name].value <= found[name].high

    for name in names:
        assert held[name] >= stats.binom.ppf(0.0005, n_windows, 0.93), name


def test_the_error_of_auc_is_delongs() -> None:
    """His covariance, written as placements: S10 / m + S01 / n."""
    labels, scores = rows_of(500, 3, decimals=2)
    x, y = scores[labels == 1], scores[labels == 0]
    psi = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    expected = psi.mean(axis=1).var(ddof=1) / len(x) + psi.mean(axis=0).var(ddof=1) / len(y)

    found = quality_of(labels, scores).metrics["roc_auc"]

    assert found.standard_error == pytest.approx(math.sqrt(expected))


@given(hits=st.integers(0, 50), misses=st.integers(0, 50))
def test_rates_have_wilsons_interval(hits: int, misses: int) -> None:
    n = hits + misses
    found = rate_estimate(hits, n)
    if n == 0:
        assert math.isnan(found.value)
        return
    wilson = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert found.low == pytest.approx(wilson.low, abs=1e-9)
    assert found.high == pytest.approx(wilson.high, abs=1e-9)
    assert found.standard_error > 0


def test_a_window_without_an_answer_says_nan_and_not_zero() -> None:
    honest = quality_of(np.zeros(50), np.full(50, 0.1)).metrics

    for name in ("precision", "recall", "f1", "roc_auc", "average_precision"):
        assert math.isnan(honest[name].value)
        assert math.isnan(honest[name].standard_error)
    assert honest["brier"].value == pytest.approx(0.01)


def test_maturity_is_the_share_of_scored_rows_with_a_label() -> None:
    labels, scores = rows_of(30, 4)
    groups = np.repeat([0, 2], [10, 20])

    found = measure_quality(
        LabelledRows(labels, scores, scores > 0.5, groups), n_scored=[40, 7, 20, 0]
    )

    assert [quality.maturity for quality in found] == [0.25, 0.0, 1.0, 0.0]
    assert [quality.n_labelled for quality in found] == [10, 0, 20, 0]
    assert found[0].n_positive + found[2].n_positive == labels.sum()


def test_a_corrected_label_moves_the_metrics() -> None:
    """The caller keeps the latest label of each event; the metrics follow."""
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    before = quality_of(np.array([1.0, 0.0, 0.0, 0.0]), scores).metrics
    after = quality_of(np.array([1.0, 1.0, 0.0, 0.0]), scores).metrics

    assert before["precision"].value == 0.5
    assert after["precision"].value == 1.0


def test_costs_count_missed_amounts_and_false_alarms() -> None:
    labels = np.array([1.0, 1.0, 0.0, 0.0])
    flagged = np.array([True, False, True, False])
    rows = LabelledRows(
        labels,
        np.array([0.9, 0.1, 0.8, 0.2]),
        flagged,
        np.zeros(4, dtype=np.int64),
        amounts=np.array([500.0, 200.0, 30.0, 40.0]),
    )
    costs = Costs(missed=10, false_alarm=3, missed_share=1.0)

    found = measure_quality(rows, n_scored=[4], costs=costs)[0].metrics

    assert found["cost_per_row"].value == pytest.approx((210 + 3) / 4)
    assert found["cost_per_row_unflagged"].value == pytest.approx((510 + 210) / 4)
    assert found["cost_per_row"].standard_error == pytest.approx(np.std([0, 210, 3, 0], ddof=1) / 2)


def test_costs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        Costs(missed=-1)
    with pytest.raises(ValueError, match="amounts"):
        quality_of(np.array([1.0, 0.0]), np.array([0.5, 0.5]), costs=Costs(missed_share=1))


@pytest.mark.parametrize(
    ("labels", "scores", "groups", "message"),
    [
        ([0.0, 2.0], [0.1, 0.2], [0, 0], "0 or 1"),
        ([0.0, math.nan], [0.1, 0.2], [0, 0], "0 or 1"),
        ([0.0, 1.0], [0.1, 1.2], [0, 0], r"0\.\.1"),
        ([0.0, 1.0], [0.1, math.nan], [0, 0], r"0\.\.1"),
        ([0.0, 1.0], [0.1], [0, 0], "lengths"),
        ([0.0, 1.0], [0.1, 0.2], [0, -1], "below 0"),
        ([0.0, 1.0], [0.1, 0.2], [0, 3], "group 3"),
        ([0.0, 1.0, 1.0], [0.1, 0.2, 0.3], [0, 0, 0], "more labelled"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    labels: list[float], scores: list[float], groups: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure_quality(
            LabelledRows(
                np.array(labels),
                np.array(scores),
                np.zeros(len(labels), dtype=bool),
                np.array(groups),
            ),
            n_scored=[2],
        )


def test_groups_are_numbered_by_window_and_segment() -> None:
    window = np.array([60, 0, 60, 0, 60])
    segment = np.array(["b", "a", "a", "a", "b"])

    names, groups = number_groups(window, segment)

    assert names == [(0, "a"), (60, "a"), (60, "b")]
    assert groups.tolist() == [2, 0, 1, 0, 2]


def test_an_estimate_is_cut_to_what_the_metric_can_be() -> None:
    perfect = quality_of(np.repeat([0.0, 1.0], 20), np.linspace(0, 1, 40)).metrics

    assert perfect["roc_auc"] == Estimate(1.0, 0.0, 1.0, 1.0)
    assert perfect["average_precision"].high <= 1.0


def test_the_policy_can_be_about_any_measure() -> None:
    assert get_args(RetrainingPolicy.model_fields["measure"].annotation) == METRICS
