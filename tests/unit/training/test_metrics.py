"""Measures against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import average_precision, best_f1_threshold, platt, roc_auc

rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda value: value / 20)), min_size=2
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


@given(rows)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, float]]) -> None:
    labels, scores = np.array(rows).T
    ones, zeros = scores[labels == 1], scores[labels == 0]
    wins = sum(float(one > zero) + 0.5 * (one == zero) for one in ones for zero in zeros)
    assert roc_auc(labels.astype(np.int8), scores) == pytest.approx(wins / len(ones) / len(zeros))


@given(rows)
def test_average_precision_follows_its_definition(rows: list[tuple[int, float]]) -> None:
    labels, scores = np.array(rows).T
    total, recall_before = 0.0, 0.0
    for cut in sorted(set(scores), reverse=True):
        flagged = scores >= cut
        recall = labels[flagged].sum() / labels.sum()
        total += (recall - recall_before) * labels[flagged].mean()
        recall_before = recall
    assert average_precision(labels.astype(np.int8), scores) == pytest.approx(total)


@given(rows)
def test_no_threshold_beats_the_chosen_one(rows: list[tuple[int, float]]) -> None:
    labels, wide = np.array(rows).T
    scores = wide.astype(np.float32)

    def f1(threshold: float) -> float:
        flagged = scores >= np.float32(threshold)
        return float(2 * labels[flagged].sum() / (flagged.sum() + labels.sum()))

    threshold, reached = best_f1_threshold(labels.astype(np.int8), scores)
    assert f1(threshold) == pytest.approx(reached)
    assert 0 <= threshold <= 1
    assert reached == pytest.approx(max(f1(float(cut)) for cut in scores))


def test_platt_finds_the_slope_and_intercept_that_made_the_labels() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=50_000) * 3
    labels = (generator.random(50_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(np.int8)
    slope, intercept = platt(labels, logits)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-1, abs=0.03)


def test_platt_never_turns_the_ranking_round() -> None:
    labels = np.array([1] * 20 + [0] * 60, dtype=np.int8)
    slope, intercept = platt(labels, np.linspace(-1, 3, 80))
    assert slope == 1
    assert np.isfinite(intercept)


@pytest.mark.parametrize("scale", [1e-2, 1, 1e4])
def test_platt_stays_finite_on_separated_classes(scale: float) -> None:
    labels = np.array([0] * 30 + [1] * 3, dtype=np.int8)
    slope, intercept = platt(labels, np.where(labels == 1, scale, -scale))
    assert slope > 0
    assert np.isfinite([slope, intercept]).all()
    assert 1 / (1 + np.exp(-(slope * scale + intercept))) == pytest.approx(4 / 5, abs=0.01)
