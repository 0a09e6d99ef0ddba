"""Quality from scores alone: right under covariate shift, wrong and saying so under others."""

import math
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from drift.quality.calibration import Calibrator, Identity, Platt, choose_calibrator
from drift.quality.cbpe import CAVEAT, EstimatedQuality, estimate_quality
from drift.quality.costs import Costs
from drift.quality.metrics import METRICS
from drift.quality.ranking import Ranked, roc_auc
from drift.quality.windows import LabelledRows, Quality, measure_quality
from tests.unit.drift.scored_world import world

N_SHIFTS = 60 if os.environ.get("DRIFT_LONG") == "1" else 6
COSTS = Costs(missed=5, false_alarm=1)


def compare(
    labels: np.ndarray, scores: np.ndarray, calibrator: Calibrator
) -> tuple[EstimatedQuality, Quality]:
    flagged, groups = scores >= 0.5, np.zeros(len(scores), dtype=np.int64)
    estimated = estimate_quality(
        scores, flagged, groups, n_groups=1, calibrator=calibrator, costs=COSTS
    )[0]
    rows = LabelledRows(labels, scores, flagged, groups)
    return estimated, measure_quality(rows, n_scored=[len(labels)], costs=COSTS)[0]


def fitted(seed: int, n: int = 20_000) -> Calibrator:
    rng = np.random.default_rng(seed)
    labels, scores = world(rng, n)
    return choose_calibrator(scores, labels, generator=rng)


@pytest.mark.parametrize("covariate", [0.0, -0.7, 0.7, 1.5])
@pytest.mark.parametrize("n", [1_000, 20_000])
def test_under_covariate_shift_the_estimate_is_the_realised_value(covariate: float, n: int) -> None:
    """Within 0.02 plus two standard errors, every metric; costs within 0.02 of a mistake's cost."""
    n_outside = 0
    for seed in range(N_SHIFTS):
        labels, scores = world(np.random.default_rng(100 + seed), n, covariate=covariate)
        estimated, realised = compare(labels, scores, fitted(seed))
        assert set(estimated.metrics) == set(realised.metrics) >= set(METRICS)
        for name, value in estimated.metrics.items():
            unit = COSTS.missed if name.startswith("cost") else 1.0
            gap = abs(value.value - realised.metrics[name].value)
            n_outside += gap > 0.02 * unit + 2 * value.standard_error

    # 0.02 is some 0.7 errors at 1,000 rows, so that 1% of the gaps lie beyond it and two more
    assert n_outside <= stats.binom.ppf(0.9995, N_SHIFTS * len(estimated.metrics), 0.01)


def test_the_standard_error_is_that_of_the_realised_value_around_the_estimate() -> None:
    """Calibration set drawn anew each time, so that its share of the error is in the spread."""
    z: dict[str, list[float]] = {}
    for seed in range(150):
        labels, scores = world(np.random.default_rng(1_000 + seed), 2_000, covariate=0.7)
        estimated, realised = compare(labels, scores, fitted(seed, n=5_000))
        for name, value in estimated.metrics.items():
            gap = realised.metrics[name].value - value.value
            z.setdefault(name, []).append(gap / value.standard_error)

    for name, values in z.items():
        assert abs(np.mean(values)) < 4 / math.sqrt(len(values)), name
        assert 0.8 < np.std(values) < 1.2, name


def test_a_bend_too_small_for_the_calibration_to_see_is_in_the_standard_error() -> None:
    """Scores bent by as much as a line fitted on 1,000 rows may be off, judged on 20,000 rows.

    Most of them are left alone: held out, that loses no more than a fitted line does.
    """
    n_runs = 100
    outside, left_alone = Counter[str](), 0
    for seed in range(n_runs):
        rng = np.random.default_rng(3_000 + seed)
        scores = rng.beta(1, 3, 21_000)
        unbent = Platt.fit(scores[:1_000], (rng.random(1_000) < scores[:1_000]).astype(np.float64))
        covariance = np.array(unbent.covariance).reshape(2, 2)
        slope, offset = rng.multivariate_normal([1.0, 0.0], covariance)
        truth = Platt(slope, offset, unbent.covariance).probabilities(scores)
        labels = (rng.random(len(scores)) < truth).astype(np.float64)
        calibrator = choose_calibrator(scores[:1_000], labels[:1_000], generator=rng)
        left_alone += calibrator.name == "identity"

        estimated, realised = compare(labels[1_000:], scores[1_000:], calibrator)
        for name, value in estimated.metrics.items():
            gap = abs(value.value - realised.metrics[name].value)
            outside[name] += gap > 2 * value.standard_error

    assert left_alone > n_runs / 2
    # each measure's own count, all of them together wrong once in 1,000
    level = 1 - 0.001 / len(estimated.metrics)
    assert max(outside.values()) <= stats.binom.ppf(level, n_runs, 2 * stats.norm.sf(2)), outside


def test_under_concept_drift_the_estimate_is_wrong_and_its_caveat_says_that_it_may_be() -> None:
    labels, scores = world(np.random.default_rng(7), 20_000, concept=True)

    estimated, realised = compare(labels, scores, fitted(7))

    auc = estimated.metrics["roc_auc"]
    assert auc.value - realised.metrics["roc_auc"].value > 0.05 + 2 * auc.standard_error
    assert estimated.caveat == CAVEAT
    assert "cannot see concept drift" in estimated.caveat


def test_under_a_new_base_rate_precision_is_wrong_and_the_caveat_says_that_it_may_be() -> None:
    labels, scores = world(np.random.default_rng(8), 20_000, base_rate=-1.5)

    estimated, realised = compare(labels, scores, fitted(8))

    precision = estimated.metrics["precision"]
    assert precision.value - realised.metrics["precision"].value > 0.1
    assert "change in base rate" in estimated.caveat


def test_uncalibrated_scores_would_mislead() -> None:
    """Why calibrate: the overconfident scores taken at their word promise too much."""
    labels, scores = world(np.random.default_rng(9), 20_000)

    naive, realised = compare(labels, scores, Identity())
    estimated, _ = compare(labels, scores, fitted(9))

    truth = realised.metrics["precision"].value
    assert abs(naive.metrics["precision"].value - truth) > 0.1
    assert abs(estimated.metrics["precision"].value - truth) < 0.03


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()),
        min_size=2,
        max_size=40,
    )
)
def test_certain_scores_give_the_metrics_of_their_labels(
    rows: list[tuple[int, float, bool]],
) -> None:
    """With probabilities of 0 and 1 there is nothing to estimate: both ways of counting agree."""
    labels = np.array([label for label, _, _ in rows], dtype=np.float64)
    scores = np.array([score for _, score, _ in rows])
    flagged = np.array([flag for _, _, flag in rows])
    groups = np.zeros(len(rows), dtype=np.int64)

    class Oracle(Identity):
        def probabilities(self, scores: np.ndarray) -> np.ndarray:
            return labels[np.argsort(groups, kind="stable")]

        def variance(self, scores: np.ndarray, slope: np.ndarray) -> float:
            return 0.0

    estimated = estimate_quality(
        scores, flagged, groups, n_groups=1, calibrator=Oracle(), costs=COSTS
    )[0]
    measured = measure_quality(
        LabelledRows(labels, scores, flagged, groups), n_scored=[len(rows)], costs=COSTS
    )[0]

    for name, value in measured.metrics.items():
        assert estimated.metrics[name].value == pytest.approx(value.value, nan_ok=True, abs=1e-9)
        if not math.isnan(value.value):
            assert estimated.metrics[name].standard_error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "precision", "recall", "f1"])
def test_expectations_are_those_of_drawing_labels(metric: str) -> None:
    """1,000 draws of 300 labels from their probabilities, ties among the scores included."""
    rng = np.random.default_rng(10)
    scores = np.round(rng.beta(1, 3, 300), 2)
    flagged, groups = scores > 0.4, np.zeros(300, dtype=np.int64)
    estimated = estimate_quality(scores, flagged, groups, n_groups=1, calibrator=Identity())[0]

    n_draws = 1_000
    draws = rng.random((n_draws, 300)) < scores
    everything = LabelledRows(
        draws.ravel().astype(np.float64),
        np.tile(scores, n_draws),
        np.tile(flagged, n_draws),
        np.repeat(np.arange(n_draws), 300),
    )
    drawn = np.array(
        [q.metrics[metric].value for q in measure_quality(everything, n_scored=[300] * n_draws)]
    )

    found = estimated.metrics[metric]
    # a ratio of expectations is off the expected ratio by its curvature, a tenth of an error
    allowed = 4 * drawn.std() / math.sqrt(n_draws) + 0.1 * drawn.std()
    assert found.value == pytest.approx(drawn.mean(), abs=allowed)
    assert found.standard_error == pytest.approx(drawn.std(), rel=0.12)


def test_soft_auc_is_the_sum_over_pairs_and_its_slope_the_difference_quotient() -> None:
    """Few rows, where a row compared with itself would show; ties among the scores."""
    scores = np.array([0.1, 0.4, 0.4, 0.7, 0.9, 0.9])
    p = np.array([0.2, 0.3, 0.6, 0.5, 0.9, 0.7])

    def by_pairs(p: np.ndarray) -> float:
        wins = np.sign(scores[:, None] - scores[None, :]) / 2 + 0.5
        weight = p[:, None] * (1 - p[None, :])
        np.fill_diagonal(weight, 0)
        return float((wins * weight).sum() / weight.sum())

    ranked = Ranked.of(p, scores, np.zeros(6, dtype=np.int64))
    auc, _, slope = roc_auc(ranked, 1)

    assert auc[0] == pytest.approx(by_pairs(p))
    for place, row in enumerate(ranked.order):
        step = np.zeros(6)
        step[row] = 1e-6
        quotient = (by_pairs(p + step) - by_pairs(p - step)) / 2e-6
        assert slope[place] == pytest.approx(quotient, abs=1e-6)


def test_groups_are_estimated_each_from_its_own_rows() -> None:
    rng = np.random.default_rng(11)
    _, scores = world(rng, 3_000)
    groups = rng.choice([0, 1, 3], 3_000)
    flagged, calibrator = scores >= 0.5, fitted(11)

    found = estimate_quality(scores, flagged, groups, n_groups=4, calibrator=calibrator)

    assert [quality.n_rows for quality in found] == np.bincount(groups, minlength=4).tolist()
    assert found[2].metrics == {}
    assert found[2].caveat == CAVEAT
    mine = groups == 3
    alone = estimate_quality(
        scores[mine], flagged[mine], groups[mine] * 0, n_groups=1, calibrator=calibrator
    )[0]
    for name, value in alone.metrics.items():
        assert found[3].metrics[name].value == pytest.approx(value.value)
