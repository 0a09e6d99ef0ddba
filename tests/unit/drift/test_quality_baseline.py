"""The quality of a model at release: measured as live quality is, and read back as it was."""

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, precision_score, roc_auc_score

from drift.quality.baseline import calibrator_of, error_baseline, measure_baseline
from drift.quality.calibration import Identity, choose_calibrator
from drift.quality.metrics import METRICS
from drift.quality.ranking import FloatArray
from drift.stream.baseline import Baseline
from schemas.quality import (
    IsotonicCalibration,
    PlattCalibration,
    QualityBaseline,
    decode_quality,
    encode_quality,
)

THRESHOLD = 0.6


def held_out(
    n: int, seed: int = 0, power: float = 1.0, positives: float = 0.2
) -> tuple[FloatArray, FloatArray]:
    """Labels and scores of `n` rows; the scores are probabilities where `power` is 1."""
    random = np.random.default_rng(seed)
    probability = random.beta(4 * positives, 4 * (1 - positives), n)
    labels = (random.random(n) < probability).astype(np.float64)
    return labels, probability**power


def measured(labels: FloatArray, scores: FloatArray, seed: int = 0) -> QualityBaseline:
    return measure_baseline(
        labels, scores, threshold=THRESHOLD, generator=np.random.default_rng(seed)
    )


def test_every_measure_is_the_textbooks() -> None:
    labels, scores = held_out(2_000)
    found = measured(labels, scores)
    assert set(found.measures) == set(METRICS)
    flagged = scores >= THRESHOLD
    for name, expected in (
        ("precision", precision_score(labels, flagged)),
        ("f1", f1_score(labels, flagged)),
        ("roc_auc", roc_auc_score(labels, scores)),
        ("log_loss", log_loss(labels, scores)),
    ):
        assert found.measures[name].value == pytest.approx(expected, rel=1e-9)
        assert 0 < (found.measures[name].standard_error or 0) < 0.1
    assert found.label_rate == labels.mean()
    assert found.errors.rate == pytest.approx((flagged != labels).mean(), abs=1e-3)


@pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
def test_the_calibrator_read_back_is_the_one_chosen(power: float) -> None:
    labels, scores = held_out(3_000, power=power)
    chosen = choose_calibrator(scores, labels, generator=np.random.default_rng(0))
    again = calibrator_of(decode_quality(encode_quality(measured(labels, scores))))
    assert again is not None
    assert again.name == chosen.name
    grid = np.linspace(0, 1, 500)
    assert again.probabilities(grid).tolist() == chosen.probabilities(grid).tolist()
    slope = np.linspace(-1, 1, 500)
    assert again.variance(grid, slope) == chosen.variance(grid, slope)


def test_an_isotonic_calibration_survives_too() -> None:
    random = np.random.default_rng(3)
    scores = random.random(5_000)
    labels = (random.random(5_000) < np.where(scores < 0.5, 0.05, 0.6)).astype(np.float64)
    found = measured(labels, scores)
    assert isinstance(found.calibration, IsotonicCalibration)
    assert decode_quality(encode_quality(found)) == found


def test_scores_left_alone_are_read_back_with_what_is_not_known_of_them() -> None:
    labels, scores = held_out(3_000)
    again = calibrator_of(decode_quality(encode_quality(measured(labels, scores))))
    assert again == Identity.fit(scores, labels)


def test_scores_left_alone_by_an_earlier_version_are_taken_for_certain() -> None:
    whole = json.loads(encode_quality(measured(*held_out(900))))
    before = json.dumps(whole | {"calibration": {"kind": "identity"}}).encode()
    again = calibrator_of(decode_quality(before))
    assert again is not None
    assert again.variance(np.array([0.2, 0.7]), np.ones(2)) == 0


def test_the_same_rows_give_the_same_bytes() -> None:
    assert encode_quality(measured(*held_out(900))) == encode_quality(measured(*held_out(900)))


def test_rows_without_positives_have_a_baseline_without_calibration_or_recall() -> None:
    _, scores = held_out(300)
    found = measured(np.zeros(300), scores)
    assert found.calibration is None
    assert calibrator_of(found) is None
    assert found.measures["recall"].value is None
    assert decode_quality(encode_quality(found)) == found


def test_a_model_that_made_no_error_yet_is_not_held_to_making_none() -> None:
    labels = np.tile([0.0, 1.0], 100)
    found = measured(labels, labels)
    assert found.errors.rate == pytest.approx(0.5 / 201)
    assert error_baseline(found).block_std > 0


def test_errors_that_come_in_runs_widen_the_blocks() -> None:
    labels = np.zeros(20_000)
    wrong = np.repeat(np.random.default_rng(0).random(200) < 0.1, 100)
    runs = error_baseline(measured(labels, np.where(wrong, 0.9, 0.1)))
    independent = Baseline.of_rate(runs.mean, block=runs.block, n_rows=20_000)
    assert runs.block > 32
    assert runs.block_std > 3 * independent.block_std


def test_a_few_rows_make_a_baseline_too() -> None:
    found = measured(np.array([0.0, 1.0, 0.0]), np.array([0.1, 0.9, 0.2]))
    assert found.errors.n_rows == 3
    assert error_baseline(found).block == 32


def test_no_rows_make_none() -> None:
    with pytest.raises(ValueError, match="no rows"):
        measured(np.array([]), np.array([]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"n_positive": 901}, "n_positive"),
        ({"n_rows": "many"}, "n_rows"),
        ({"calibration": {"kind": "guess"}}, "guess"),
        ({"calibration": {"kind": "isotonic", "starts": [0, 1], "values": [0.1], "weights": [2]}},
         "as many"),
        ({"calibration": {"kind": "isotonic", "starts": [0, 1], "values": [0.2, 0.1],
                          "weights": [2, 2]}}, "rise"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused_with_the_reason(
    change: dict[str, object], problem: str
) -> None:
    whole = json.loads(encode_quality(measured(*held_out(900))))
    with pytest.raises(ValueError, match=problem):
        decode_quality(json.dumps(whole | change).encode())
    for torn in (b"", b"{}", b"\xff\xfe", encode_quality(measured(*held_out(900)))[:-5]):
        with pytest.raises(ValueError, match="not the quality of a model"):
            decode_quality(torn)


def test_a_later_version_may_add_fields() -> None:
    found = measured(*held_out(900, power=2.0))
    assert isinstance(found.calibration, PlattCalibration | IsotonicCalibration)
    data = json.loads(encode_quality(found)) | {"added": 1}
    assert decode_quality(json.dumps(data).encode()) == found
