"""One suite over all tests of windows."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from drift.columns import Kind
from drift.window_tests import (
    WINDOW_TESTS,
    WindowTest,
    each_column,
    ks_binned,
)
from tests.unit.drift.window_counts import NULLS, moved, of_kind, run

CASES = [
    pytest.param(test, kind, id=f"{name}-{kind}")
    for name, test in WINDOW_TESTS.items()
    for kind in Kind
    if kind in test.kinds
]


@pytest.mark.parametrize(("test", "kind"), CASES)
class TestEveryWindowTest:
    def test_equal_proportions_are_no_evidence(self, test: WindowTest, kind: Kind) -> None:
        result = run(test, of_kind(kind, 1_000, missing=20), of_kind(kind, 100, missing=2), kind)
        assert result.p_value > 0.7
        assert result.effect == pytest.approx(0.0, abs=1e-9)
        assert not result.exceeded

    @pytest.mark.parametrize(("n", "m"), [(1_000, 100), (10_000, 5_000), (60, 50)])
    def test_a_huge_shift_has_a_tiny_p_value_and_a_large_effect(
        self, test: WindowTest, kind: Kind, n: int, m: int
    ) -> None:
        result = run(test, of_kind(kind, n), moved(test, kind, m), kind)
        assert result.p_value < (1e-6 if m > 50 else 1e-5)
        assert result.effect > 0.3
        assert result.exceeded

    @pytest.mark.parametrize("m", [1, 7, 100, 5_000])
    def test_it_exceeds_its_threshold_exactly_when_p_is_at_most_alpha(
        self, test: WindowTest, kind: Kind, m: int
    ) -> None:
        rng = np.random.default_rng(m)
        reference = of_kind(kind, 1_000, missing=30)
        for sharpness in (30.0, 1_000.0):
            shares = rng.dirichlet(1e-3 + sharpness * reference / reference.sum())
            result = run(test, reference, rng.multinomial(m, shares), kind)
            assert 0.0 <= result.p_value <= 1.0
            assert result.effect >= 0.0
            assert result.exceeded == (result.p_value <= 0.01)
            assert all(map(math.isfinite, (result.statistic, result.effect)))

    def test_sizes_are_those_of_what_it_looked_at(self, test: WindowTest, kind: Kind) -> None:
        reference, window = of_kind(kind, 1_000, missing=50), of_kind(kind, 100, missing=7)
        result = run(test, reference, window, kind)
        missing = test.name == "null_rate"
        assert (result.n_reference, result.n_window) == ((1_050, 107) if missing else (1_000, 100))
        assert result.detector == test.name

    def test_an_empty_side_is_no_evidence_and_the_sizes_say_why(
        self, test: WindowTest, kind: Kind
    ) -> None:
        full = of_kind(kind, 100)
        for reference, window in ((full, full * 0), (full * 0, full), (full * 0, full * 0)):
            result = run(test, reference, window, kind)
            assert (result.p_value, result.effect, result.exceeded) == (1.0, 0.0, False)
            assert result.n_reference == reference.sum()
            assert result.n_window == window.sum()

    def test_columns_at_once_answer_as_one_by_one(self, test: WindowTest, kind: Kind) -> None:
        rng = np.random.default_rng(1)
        reference = np.stack([of_kind(kind, n, missing=n // 50) for n in (200, 1_000, 9_000)])
        window = np.stack(
            [
                rng.multinomial(m, row / row.sum())
                for row, m in zip(reference, (90, 90, 4_000), strict=True)
            ]
        )
        window[1] = 0
        together = test.columns(reference, window, kind=kind, nulls=NULLS, alpha=0.01)
        assert together == [run(test, *pair, kind) for pair in zip(reference, window, strict=True)]

    def test_what_cannot_be_judged_raises(self, test: WindowTest, kind: Kind) -> None:
        good = of_kind(kind, 100)
        with pytest.raises(ValueError, match="do not compare"):
            run(test, good, good[:-1], kind)
        with pytest.raises(ValueError, match="negative"):
            run(test, good, good - 50, kind)
        with pytest.raises(ValueError, match="alpha"):
            test(good, good, kind=kind, nulls=NULLS, alpha=0.0)
        with pytest.raises(ValueError, match="value bin"):
            run(test, good[:1], good[:1], kind)


def test_a_test_that_needs_an_order_refuses_categories() -> None:
    with pytest.raises(ValueError, match="ks_binned does not apply to category"):
        run(ks_binned, of_kind(Kind.CATEGORY, 50), of_kind(Kind.CATEGORY, 50), Kind.CATEGORY)


def test_tests_are_registered_under_their_names() -> None:
    assert all(name == test.name for name, test in WINDOW_TESTS.items())
    assert {"g_test", "null_rate", "unseen_rate"} <= WINDOW_TESTS.keys()


def test_columns_of_any_kind_are_tested_in_their_order() -> None:
    kinds: Sequence[Kind] = [Kind.CATEGORY, Kind.NUMERIC, Kind.DISCRETE, Kind.NUMERIC]
    references = [of_kind(kind, 1_000) for kind in kinds]
    windows = [moved(ks_binned, kind, 100 + i) for i, kind in enumerate(kinds)]
    results = each_column(ks_binned, references, windows, kinds, nulls=NULLS, alpha=0.01)
    assert results[0] is None
    assert [result and result.n_window for result in results] == [None, 101, 102, 103]
