"""A value that the reference never had, in columns whose rows depend on each other."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from drift.columns import ColumnSpec
from drift.families import StatedRate
from drift.monitor import WindowMonitor
from drift.new_values import knows_its_values
from drift.nulls import Nulls
from drift.reference import Reference, make_reference

Ints = npt.NDArray[np.int64]
World = Callable[[int], tuple[Ints, Ints]]
"""Codes of categories and customers of the next n rows."""

NAMES = ("chip", "online", "phone", "swipe", "new")
SHARES = (0.4, 0.3, 0.2, 0.1)
N_REFERENCE, WINDOW = 10_000, 500
Q = 0.05


def runs(rng: np.random.Generator, shares: tuple[float, ...] = SHARES) -> World:
    """Neighbouring rows, twenty of them, have the same category."""

    def rows(n: int) -> tuple[Ints, Ints]:
        codes = np.repeat(rng.choice(len(shares), size=n // 20 + 1, p=shares), 20)[:n]
        return codes, np.arange(n)

    return rows


def customers(rng: np.random.Generator, shares: tuple[float, ...] = SHARES) -> World:
    """300 customers, each with a category of its own, in random order."""
    home = rng.choice(len(shares), size=300, p=shares)

    def rows(n: int) -> tuple[Ints, Ints]:
        who = rng.integers(0, 300, n)
        return home[who], who

    return rows


WORLDS = {"block_hotelling": runs, "customer_covariance": customers}


def matrix(codes: Ints) -> npt.NDArray[np.float32]:
    return codes.astype(np.float32)[:, None]


def reference(world: World, *, has_customers: bool) -> Reference:
    codes, who = world(N_REFERENCE)
    return make_reference(
        matrix(codes),
        [ColumnSpec("channel", NAMES)],
        rng=np.random.default_rng(0),
        entity_keys=who if has_customers else None,
    )


def monitor(kind: str, rng: np.random.Generator) -> tuple[WindowMonitor, World]:
    world = WORLDS[kind](rng)
    made = reference(world, has_customers=kind == "customer_covariance")
    return WindowMonitor(made, WINDOW, rate=StatedRate(1 / Q, 1), nulls=Nulls(seed=0)), world


def unseen(of: WindowMonitor, codes: Ints) -> list[float]:
    """p-values of the test of unseen values; none where it is not done."""
    checked = of.check(of.reference.columns.count(matrix(codes)))
    return [t.result.p_value for t in checked.tested if t.result.detector == "unseen_rate"]


@pytest.mark.parametrize("kind", WORLDS)
def test_a_new_category_in_a_few_rows_is_noticed(kind: str) -> None:
    watch, world = monitor(kind, np.random.default_rng(1))
    assert watch.detector_of(0) == kind
    codes, _ = world(WINDOW)
    codes[:10] = NAMES.index("new")
    noticed = watch.check(watch.reference.columns.count(matrix(codes))).noticed
    assert "unseen_rate" in {each.result.detector for each in noticed}


@pytest.mark.parametrize("kind", WORLDS)
def test_the_categories_there_were_raise_nothing(kind: str) -> None:
    """20 references, 20 windows each: of a closed vocabulary nothing is unseen by chance."""
    p_values = []
    for seed in range(20):
        watch, world = monitor(kind, np.random.default_rng(seed))
        p_values += [p for _ in range(20) for p in unseen(watch, world(WINDOW)[0])]
    assert len(p_values) == 400
    assert sum(p <= Q for p in p_values) <= 1.5 * Q * len(p_values)


def test_where_values_came_once_more_are_to_be_expected() -> None:
    """A hundred rare ones, in runs: half of them are in the reference, which met most of those
    once."""
    rng = np.random.default_rng(3)
    shares = (0.5, *([0.5 / 400] * 400))
    world = runs(rng, shares)
    codes, _ = world(N_REFERENCE)
    made = make_reference(
        matrix(codes),
        [ColumnSpec("shop", tuple(f"s{i}" for i in range(401)))],
        rng=np.random.default_rng(0),
    )
    watch = WindowMonitor(made, WINDOW, rate=StatedRate(1 / Q, 1), nulls=Nulls(seed=0))
    assert unseen(watch, world(WINDOW)[0]) == []


@pytest.mark.parametrize(
    ("first", "second", "knows"),
    [
        ({0: 250, 1: 250}, {0: 250, 1: 250}, True),
        ({0: 250, 1: 250}, {0: 500}, False),
        ({0: 490, 1: 10}, {0: 490, 1: 10}, False),
        ({0: 479, 1: 21}, {0: 479, 1: 21}, True),
    ],
    ids=[
        "each in both windows",
        "one in one window only",
        "perhaps all of one customer",
        "more than any customer has",
    ],
)
def test_values_are_known_that_came_more_than_once(
    first: dict[int, int], second: dict[int, int], knows: bool
) -> None:
    codes = np.concatenate([np.repeat(list(w), list(w.values())) for w in (first, second)])
    made = make_reference(
        matrix(codes),
        [ColumnSpec("channel", NAMES)],
        rng=np.random.default_rng(0),
        entity_keys=np.arange(len(codes)) // 20,
    )
    assert knows_its_values(made, 0, WINDOW) is knows
