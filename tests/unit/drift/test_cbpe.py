"""Quality from scores alone: right under covariate shift, wrong and saying so under others."""

import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import isotonic_regression

from drift.quality.calibration import (
    Calibrator,
    Identity,
    Isotonic,
    Platt,
    choose_calibrator,
    log_loss,
    pool_adjacent_violators,
)
from drift.quality.cbpe import CAVEAT, EstimatedQuality, estimate_quality
from drift.quality.costs import Costs
from drift.quality.metrics import METRICS
from drift.quality.ranking import Ranked, roc_auc
from drift.quality.windows import LabelledRows, Quality, measure_quality

N_SHIFTS = 60 if os.environ.get("DRIFT_LONG") == "1" else 6
COSTS = Costs(missed=5, false_alarm=1)


def world(
    rng: np.random.Generator,
    n: int,
    *,
    covariate: float = 0.0,
    base_rate: float = 0.0,
    concept: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and the scores of a model that ranks well and is overconfident (slope 1.7)."""
    x = rng.normal(size=(n, 2))
    x[:, 0] += covariate
    logit = 1.2 * x[:, 0] - 0.8 * x[:, 1] - 2
    truth = logit + base_rate if not concept else -1.2 * x[:, 0] - 0.8 * x[:, 1] - 2
    labels = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float64)
    return labels, 1 / (1 + np.exp(-(1.7 * logit + 0.6)))


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


# --- the estimate


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


# --- the calibrators


def test_platt_finds_the_sigmoid_that_bent_the_scores() -> None:
    rng = np.random.default_rng(12)
    labels, scores = world(rng, 50_000)

    platt = Platt.fit(scores, labels)

    # scores are sigmoid(1.7 z + 0.6), so z = (logit - 0.6) / 1.7
    errors = np.sqrt(np.diag(np.array(platt.covariance).reshape(2, 2)))
    assert abs(platt.slope - 1 / 1.7) < 4 * errors[0]
    assert abs(platt.offset + 0.6 / 1.7) < 4 * errors[1]


def test_platt_is_scikit_learns_logistic_regression_on_the_logit() -> None:
    from sklearn.linear_model import LogisticRegression

    labels, scores = world(np.random.default_rng(13), 5_000)
    logit = np.log(scores / (1 - scores))

    platt = Platt.fit(scores, labels)
    reference = LogisticRegression(C=1e12, tol=1e-10).fit(logit[:, None], labels)

    # Platt's targets are half a row away from 0 and 1
    assert platt.slope == pytest.approx(reference.coef_[0, 0], rel=5e-3)
    assert platt.offset == pytest.approx(reference.intercept_[0], abs=5e-3)


@pytest.mark.parametrize("n_positive", [1, 10, 190])
def test_platt_stays_finite_on_separable_rows(n_positive: int) -> None:
    scores = np.linspace(0, 1, 200)
    labels = (np.arange(200) >= 200 - n_positive).astype(np.float64)

    p = Platt.fit(scores, labels).probabilities(scores)

    assert np.isfinite(p).all()
    assert (np.diff(p) >= 0).all()
    assert p.mean() == pytest.approx(labels.mean(), abs=0.02)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5)), min_size=1, max_size=40))
def test_pooled_means_are_scipys_isotonic_regression(pairs: list[tuple[int, int]]) -> None:
    means = np.array([mean for mean, _ in pairs], dtype=np.float64)
    weights = np.array([weight for _, weight in pairs], dtype=np.float64)

    starts, totals, pooled = pool_adjacent_violators(means * weights, weights)

    lengths = np.diff([*starts, len(means)])
    expected = isotonic_regression(means, weights=weights).x
    assert np.repeat(totals / pooled, lengths) == pytest.approx(expected)
    assert pooled.sum() == weights.sum()


def test_isotonic_rises_and_keeps_off_0_and_1() -> None:
    labels, scores = world(np.random.default_rng(14), 2_000)

    p = Isotonic.fit(scores, labels).probabilities(np.linspace(0, 1, 500))

    assert (np.diff(p) >= 0).all()
    assert p[0] > 0
    assert p[-1] < 1


def test_each_calibrator_is_chosen_where_it_is_right() -> None:
    rng = np.random.default_rng(15)
    n = 20_000
    scores = rng.random(n)
    bent = 1 / (1 + np.exp(-(2.5 * np.log(scores / (1 - scores)) - 1)))
    stepped = np.select([scores < 0.3, scores < 0.7], [0.05, 0.4], 0.6)
    kinds = {"identity": scores, "platt": bent, "isotonic": stepped}

    for kind, truth in kinds.items():
        labels = (rng.random(n) < truth).astype(np.float64)
        chosen = choose_calibrator(scores, labels, generator=np.random.default_rng(0))
        if kind == "identity":
            # Platt's two numbers cost next to nothing where none is needed
            assert chosen.name in ("identity", "platt")
        else:
            assert chosen.name == kind
        assert np.abs(chosen.probabilities(scores) - truth).mean() < 0.02


def test_the_choice_is_that_of_held_out_log_loss() -> None:
    rng = np.random.default_rng(16)
    labels, scores = world(rng, 4_000)
    chosen = choose_calibrator(scores, labels, generator=rng)
    new_labels, new_scores = world(rng, 200_000)

    losses = {
        kind.name: log_loss(new_labels, kind.probabilities(new_scores))
        for kind in (Identity(), Platt.fit(scores, labels), Isotonic.fit(scores, labels))
    }

    assert chosen.name == min(losses, key=lambda name: losses[name])


@pytest.mark.parametrize("kind", [Platt, Isotonic])
def test_a_calibrators_variance_is_that_of_fitting_it_again(kind: type[Platt | Isotonic]) -> None:
    """Of the mean probability over new rows, over 200 calibration sets."""
    _, new = world(np.random.default_rng(17), 2_000, covariate=0.5)
    slope = np.full(len(new), 1 / len(new))
    means, stated = [], []
    for seed in range(200):
        labels, scores = world(np.random.default_rng(2_000 + seed), 1_000)
        calibrator = kind.fit(scores, labels)
        means.append(calibrator.probabilities(new).mean())
        stated.append(math.sqrt(calibrator.variance(new, slope)))

    # isotonic steps are chosen by the rows too, which the variance of fixed steps leaves out
    assert np.std(means) == pytest.approx(np.mean(stated), rel=0.2 if kind is Platt else 0.35)


def test_too_few_rows_of_a_class_calibrate_nothing() -> None:
    with pytest.raises(ValueError, match="3 positives of 100"):
        choose_calibrator(
            np.linspace(0, 1, 100),
            (np.arange(100) >= 97).astype(np.float64),
            generator=np.random.default_rng(0),
        )
