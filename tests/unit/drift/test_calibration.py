"""Scores made into probabilities, and what the rows of the fit leave open about them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from drift.quality.calibration import (
    Identity,
    Isotonic,
    Platt,
    choose_calibrator,
    log_loss,
    pool_adjacent_violators,
)
from tests.unit.drift.scored_world import world


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


ROWS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60)


@given(ROWS)
def test_isotonic_rises_keeps_off_0_and_1_and_moves_each_step_by_at_most_half_a_row(
    rows: list[tuple[int, bool]],
) -> None:
    scores = np.array([score / 30 for score, _ in rows])
    labels = np.array([label for _, label in rows], dtype=np.float64)

    isotonic = Isotonic.fit(scores, labels)

    assert (np.diff(isotonic.values) > 0).all()
    assert ((isotonic.values > 0) & (isotonic.values < 1)).all()
    assert isotonic.weights.sum() == len(rows)
    distinct, place, n_rows = np.unique(scores, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=labels, minlength=len(distinct)) / n_rows
    n_steps = len(np.unique(isotonic_regression(means, weights=n_rows).x.round(9)))
    surplus = isotonic.probabilities(scores).sum() - labels.sum()
    assert abs(surplus) <= n_steps / 2 + 1e-9


def test_one_row_at_the_low_end_does_not_lift_the_steps_above_it() -> None:
    """A row without a positive is a step of its own: with half a row each way it says 0.25."""
    scores = np.concatenate([[0.001], np.linspace(0.1, 0.5, 1_000), np.linspace(0.6, 0.9, 100)])
    labels = np.zeros(1_101)
    labels[1:1_000:100] = 1
    labels[1_002::2] = 1

    low, middle, high = Isotonic.fit(scores, labels).probabilities(np.array([0.001, 0.3, 0.75]))

    assert low == pytest.approx(0.01, abs=0.005)
    assert middle == pytest.approx(0.01, abs=0.005)
    assert high == pytest.approx(0.5, abs=0.03)


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


def test_scores_left_alone_are_known_no_better_than_a_line_fitted_on_their_rows() -> None:
    """Of the mean probability, over 200 calibration sets of scores that are probabilities."""
    rng = np.random.default_rng(18)
    new = rng.beta(2, 3, 2_000)
    slope = np.full(len(new), 1 / len(new))
    means, stated = [], []
    for _ in range(200):
        scores = rng.beta(1, 3, 1_000)
        labels = (rng.random(1_000) < scores).astype(np.float64)
        means.append(Platt.fit(scores, labels).probabilities(new).mean())
        stated.append(math.sqrt(Identity.fit(scores, labels).variance(new, slope)))

    assert np.mean(stated) == pytest.approx(np.std(means), rel=0.2)


def test_scores_left_alone_stay_themselves() -> None:
    scores = np.array([0.0, 0.2, 1.0])
    identity = Identity.fit(scores, np.array([0.0, 1.0, 1.0]))
    assert identity.probabilities(scores).tolist() == scores.tolist()
    assert math.isfinite(identity.variance(np.array([0.5]), np.ones(1)))


def test_too_few_rows_of_a_class_calibrate_nothing() -> None:
    with pytest.raises(ValueError, match="3 positives of 100"):
        choose_calibrator(
            np.linspace(0, 1, 100),
            (np.arange(100) >= 97).astype(np.float64),
            generator=np.random.default_rng(0),
        )
