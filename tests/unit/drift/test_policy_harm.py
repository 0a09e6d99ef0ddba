"""A refusal for want of harm says what it wants: a measure, its distance, labels or estimates."""

from typing import Any

import pytest

from drift.policy import Reason, decide
from drift.policy_state import QualitySeen
from tests.unit.drift.test_policy import NOW, policy, reading, state


def harm(seen: QualitySeen | None = None, *quality: Any, **rules: Any) -> Reason:
    given = state(quality=quality, quality_seen=seen or QualitySeen())
    (found,) = [each for each in decide(given, NOW, policy(**rules)).reasons if each.rule == "harm"]
    assert not found.met
    return found


SHORT = reading(loss=0.05, standard_error=0.02)
BETTER = reading(loss=-0.013, standard_error=0.01)
ESTIMATED = reading(loss=0.03, standard_error=0.01, realised=False)


@pytest.mark.parametrize(
    ("quality", "says"),
    [
        (
            (SHORT,),
            (
                "realised average_precision is worse by 0.05 (standard error 0.02): 0.01 beyond two"
                " errors is 0.01 short of 0.02"
            ),
        ),
        (
            (BETTER,),
            (
                "realised average_precision is better by 0.013 (standard error 0.01), 0.02 worse is"
                " asked for"
            ),
        ),
        (
            (reading(loss=0.03, standard_error=0.04),),
            (
                "realised average_precision is worse by 0.03 (standard error 0.04): within two"
                " errors, 0.02 beyond them is asked for"
            ),
        ),
        (
            (reading(loss=0.0, standard_error=0.04),),
            (
                "realised average_precision is as at release (standard error 0.04), 0.02 worse is"
                " asked for"
            ),
        ),
    ],
)
def test_it_says_how_far_a_measure_is_from_the_least_harm(
    quality: tuple[Any, ...], says: str
) -> None:
    assert harm(None, *quality).words == says


def test_labels_and_estimates_that_are_both_short_are_both_told_the_largest_loss_first() -> None:
    words = harm(None, ESTIMATED, SHORT).words
    assert words.startswith("realised average_precision is worse by 0.05")
    assert "; estimated average_precision is worse by 0.03" in words


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (
            QualitySeen(at_release=False, n_windows=5),
            "model v1 has no average_precision at release to be worse than",
        ),
        (QualitySeen(), "no window of model v1 is measured yet"),
        (
            QualitySeen(n_windows=12, most_mature=0.35),
            (
                "no average_precision of model v1 is known: none of 12 windows has 80% of its"
                " labels (35% at most), and none of the others has an estimate"
            ),
        ),
        (
            QualitySeen(n_windows=12, n_mature=12, most_mature=1.0),
            (
                "no average_precision of model v1 is known: 12 of 12 windows have 80% of their"
                " labels, on none of which it is defined"
            ),
        ),
        (
            QualitySeen(n_windows=12, n_mature=3, most_mature=0.9),
            (
                "no average_precision of model v1 is known: 3 of 12 windows have 80% of their"
                " labels, on none of which it is defined, and none of the others has an estimate"
            ),
        ),
    ],
)
def test_where_no_measure_is_known_it_says_whether_labels_or_estimates_are_missing(
    seen: QualitySeen, says: str
) -> None:
    assert harm(seen).words == says


def test_an_estimate_that_the_policy_does_not_take_is_not_passed_over_in_silence() -> None:
    seen = QualitySeen(n_windows=12, most_mature=0.1)
    assert harm(seen, ESTIMATED, harm="realised").words == (
        "no realised average_precision of model v1 is known: none of 12 windows has 80% of its"
        " labels (10% at most); estimated average_precision is worse by 0.03 (standard error 0.01),"
        " which does not count"
    )


def test_a_policy_that_takes_no_estimates_does_not_ask_for_them() -> None:
    assert harm(QualitySeen(n_windows=2), harm="realised", min_maturity=0.5).words == (
        "no realised average_precision of model v1 is known: none of 2 windows has 50% of its"
        " labels (0% at most)"
    )
